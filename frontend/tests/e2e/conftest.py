"""A real browser on a real server. Skipped, with the reason, where no Chromium is installed."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from django.conf import settings
from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.db import connections
from django.test import Client
from django.test.testcases import LiveServerThread

from annotation.models import User

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (the e2e extra)")

NAMES = ("chromium", "chromium-browser", "google-chrome")
QUIET = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Of one module: while Playwright runs, no other event loop may in this thread."""
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is on the PATH")
    # Playwright's loop runs in this thread, and Django would refuse the tests' own queries beside it.
    with pytest.MonkeyPatch.context() as patch, sync_api.sync_playwright() as playwright:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "yes")
        running = playwright.chromium.launch(executable_path=path, args=[*QUIET, "--disable-sync"])
        yield running
        running.close()


@pytest.fixture(autouse=True)
def database_on_disk(transactional_db: None, tmp_path: Path) -> Iterator[None]:
    """SQLite in memory is a single connection, in which requests that run beside each other would share their
    transactions. So the server gets a copy in a file, as in life."""
    memory = connections["default"]
    if memory.vendor != "sqlite":
        yield
        return
    memory.ensure_connection()
    path = tmp_path / "db.sqlite3"
    with closing(sqlite3.connect(path)) as target:
        memory.connection.backup(target)
    before = connections.settings["default"]
    connections.settings["default"] = {**before, "NAME": str(path)}
    connections["default"] = connections.create_connection("default")
    yield
    connections["default"].close()
    connections.settings["default"] = before
    connections["default"] = memory


@pytest.fixture
def server(database_on_disk: None) -> Iterator[str]:
    """The address of the site, served by threads of this process."""
    thread = LiveServerThread("localhost", StaticFilesHandler)
    thread.daemon = True
    thread.start()
    thread.is_ready.wait()
    assert thread.error is None
    yield f"http://localhost:{thread.port}"
    thread.terminate()


@pytest.fixture
def context(browser: Browser, server: str) -> Iterator[BrowserContext]:
    """A fresh profile; a page that throws, or breaks its own security policy, fails the test."""
    opened = browser.new_context(base_url=server, viewport={"width": 1280, "height": 800})
    opened.set_default_timeout(10_000)
    troubles: list[str] = []
    opened.on("weberror", lambda error: troubles.append(str(error.error)))
    opened.on(
        "console", lambda line: troubles.append(line.text) if "Content Security Policy" in line.text else None
    )
    yield opened
    opened.close()
    assert troubles == []


@pytest.fixture
def sign_in(context: BrowserContext, server: str) -> Callable[[User], None]:
    """Gives the browser somebody's session."""

    def enter(user: User) -> None:
        client = Client()
        client.force_login(user)
        value = client.cookies[settings.SESSION_COOKIE_NAME].value
        context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": value, "url": server}])

    return enter


@pytest.fixture
def bench(context: BrowserContext, sign_in: Callable[[User], None], ada: User) -> Callable[[], Page]:
    """Ada's workbench with its first pair on the screen."""

    def open_bench() -> Page:
        sign_in(ada)
        page = context.new_page()
        page.goto("/rate")
        page.locator("#pair:not(.waiting), #cover").and_(page.locator(":visible")).wait_for()
        if page.is_visible("#cover"):
            page.keyboard.press("Enter")
        return page

    return open_bench
