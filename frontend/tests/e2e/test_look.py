"""What can be checked of how the pages look and whom they serve: accessibility, themes, small screens."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from annotation.core.grades import Focus
from annotation.models import Comparison, User
from annotation.services.guidelines import install_default_guidelines
from tests.factories import make_policy

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

pytestmark = pytest.mark.e2e

Pairs = Callable[..., list[Comparison]]
Bench = Callable[[], "Page"]
SignIn = Callable[[User], None]


def violations(page: Page) -> list[str]:
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="axe is not installed (the e2e extra)"
    )
    found: list[dict[str, Any]] = axe.Axe().run(page).response["violations"]
    return [f"{rule['id']}: {[node['html'] for node in rule['nodes']]}" for rule in found]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["/", "/guidelines", "/mine", "/nowhere", "/sign-in"])
def test_pages_have_no_known_barrier(
    context: BrowserContext, sign_in: SignIn, rosa: User, pairs: Pairs, path: str, scheme: Any
) -> None:
    install_default_guidelines()
    pairs(2)
    if path != "/sign-in":
        sign_in(rosa)
    page = context.new_page()
    page.emulate_media(color_scheme=scheme)
    page.goto(path)
    assert violations(page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_bench_has_no_known_barrier(bench: Bench, pairs: Pairs, scheme: Any) -> None:
    pairs(2, focus=Focus.SAFETY)
    page = bench()
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    page.keyboard.press("3")
    page.keyboard.press("s")
    assert violations(page) == []
    page.get_by_text("only Response 2 is safe", exact=True).click(force=True)
    assert violations(page) == []
    page.keyboard.press("?")
    assert violations(page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_opens_at_the_bench_has_no_known_barrier(bench: Bench, pairs: Pairs, scheme: Any) -> None:
    install_default_guidelines()
    make_policy(endpoint="http://127.0.0.1:9")
    pairs(2)
    page = bench()
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    page.keyboard.press("g")
    page.wait_for_selector("#panel:not([hidden])")
    assert violations(page) == []
    page.keyboard.press("g")
    page.keyboard.press("k")
    page.wait_for_selector("#pass[open]")
    assert violations(page) == []
    page.keyboard.press("Escape")
    page.keyboard.press("w")
    page.get_by_role("button", name="Write a prompt").click()
    page.wait_for_selector("#composer:not([hidden])")
    assert violations(page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_cover_of_a_safety_pair_has_no_known_barrier(
    context: BrowserContext, sign_in: SignIn, ada: User, pairs: Pairs, scheme: Any
) -> None:
    pairs(1, focus=Focus.SAFETY)
    sign_in(ada)
    page = context.new_page()
    page.emulate_media(color_scheme=scheme)
    page.goto("/rate")
    page.wait_for_selector("#cover:not([hidden])")
    assert violations(page) == []


def test_the_theme_is_remembered(bench: Bench, pairs: Pairs) -> None:
    pairs(1)
    page = bench()
    page.emulate_media(color_scheme="light")
    page.get_by_role("button", name="Light or dark").click()
    page.reload()
    assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "dark"


@pytest.mark.parametrize("width", [320, 390, 768, 1280, 1920])
@pytest.mark.parametrize("path", ["/", "/guidelines", "/mine", "/rate"])
def test_nothing_is_wider_than_the_screen(
    context: BrowserContext, sign_in: SignIn, rosa: User, pairs: Pairs, path: str, width: int
) -> None:
    install_default_guidelines()
    pairs(2, focus=Focus.SAFETY)
    sign_in(rosa)
    page = context.new_page()
    page.set_viewport_size({"width": width, "height": 844})
    page.goto(path)
    page.wait_for_load_state("networkidle")
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


def test_the_scale_stays_in_place_while_the_answers_scroll(bench: Bench, pairs: Pairs) -> None:
    pairs(1)
    page = bench()
    page.set_viewport_size({"width": 390, "height": 600})
    page.evaluate("document.getElementById('left').innerHTML = '<p>long</p>'.repeat(100)")
    box = page.locator("#judgment").bounding_box()
    assert box is not None
    assert box["y"] + box["height"] == pytest.approx(600, abs=1)
    assert box["height"] < 300


def test_the_documentation_of_the_api_works_without_the_internet(
    context: BrowserContext, sign_in: SignIn, ada: User
) -> None:
    outside: list[str] = []
    context.on(
        "request", lambda request: outside.append(request.url) if "localhost" not in request.url else None
    )
    sign_in(ada)
    page = context.new_page()
    page.goto("/api/v1/docs")
    page.get_by_text("/api/v1/snapshots", exact=True).first.wait_for()
    assert [url for url in outside if not url.startswith("data:")] == []
