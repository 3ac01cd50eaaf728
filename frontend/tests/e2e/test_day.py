"""A working day at the bench: many pairs by keyboard alone, with the connection, the page and the server failing."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from annotation.core.grades import Grade
from annotation.core.ordering import left_choice
from annotation.models import Comparison, Judgment, User
from frontend.scale import CELLS
from frontend.tests.e2e.test_workbench import by_prompt, effective, eventually, prompt, submit
from tests.house import House, answers, build_house, free_port, kill_server

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

pytestmark = pytest.mark.e2e

Pairs = Callable[..., list[Comparison]]
Bench = Callable[[], "Page"]


def test_fifty_pairs_by_keyboard_alone_twenty_of_them_offline(
    bench: Bench, pairs: Pairs, context: BrowserContext, ada: User
) -> None:
    pairs(250)  # enough for everybody, so that the page takes pairs along
    page = bench()
    said: dict[str, tuple[str, Grade]] = {}
    for number in range(50):
        if number == 10:
            # The one on the screen and those behind it, for all that is judged offline.
            eventually(lambda: ada.leases.filter(judged=False).count() >= 20 and effective(10)(), page)
            page.wait_for_load_state("networkidle")
            context.set_offline(True)
        if number == 30:
            context.set_offline(False)
        page.wait_for_selector("#pair:not(.waiting)")
        comparison = by_prompt(page)
        cell = CELLS[number % 8]
        left = left_choice(seed=comparison.batch.seed, comparison=comparison.key, annotator=ada.pseudonym)
        said[comparison.key] = (left if cell.side == "left" else left.other, cell.grade)
        submit(page, str(cell.number))
    eventually(effective(50), page)
    rows = Judgment.objects.effective().select_related("comparison")
    assert {row.comparison.key: (row.choice, row.grade) for row in rows} == said
    assert Judgment.objects.count() == 50


def test_the_stock_of_one_at_work_grows_in_a_pause_too(bench: Bench, pairs: Pairs, ada: User) -> None:
    pairs(250)
    page = bench()
    submit(page, "1")
    eventually(lambda: ada.leases.filter(judged=False).count() >= 20, page)


def test_two_tabs_never_count_a_pair_twice(bench: Bench, pairs: Pairs, context: BrowserContext) -> None:
    pairs(12)
    first = bench()
    second = context.new_page()
    second.goto("/rate")
    second.wait_for_selector("#pair:not(.waiting)")
    assert prompt(first) == prompt(second)
    for _ in range(3):
        submit(first, "2")
        submit(second, "2")  # the same pair: the later judgment stands in the place of the earlier
    eventually(effective(3), first)
    first.wait_for_selector("#notice-connection", state="detached")
    assert Judgment.objects.filter(current=True).count() == 3


@contextmanager
def web(house: House, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """A real web server of this house."""
    process = house.serve(port)
    try:
        assert answers(port)
        yield process
    finally:
        kill_server(process)


SETTLE = """
from tests.factories import *
make_user("ada")
make_comparisons(make_batch(), 9)
"""
COUNT = """
import json
from annotation.models import Judgment
rows = Judgment.objects.effective().values_list("comparison__dialogue__prompt__text", "grade")
print(json.dumps([dict(rows), Judgment.objects.count()]))
"""


@pytest.mark.process
def test_a_server_killed_in_the_middle_of_submits_has_exactly_what_was_said(
    browser: Browser, tmp_path: Path
) -> None:
    port = free_port()
    with build_house(tmp_path / "house") as house:
        house.run(SETTLE)
        context = browser.new_context(base_url=f"http://127.0.0.1:{port}")
        page = context.new_page()
        said: dict[str, str] = {}
        for visit in range(3):
            with web(house, port) as server:
                if visit == 0:
                    page.goto("/sign-in?next=/rate")
                    page.get_by_label("User name").fill("ada")
                    page.get_by_label("Password").fill("correct horse battery")
                    page.keyboard.press("Enter")
                page.wait_for_selector("#pair:not(.waiting)")
                page.evaluate("dispatchEvent(new Event('online'))")
                page.wait_for_selector("#notice-connection", state="detached")
                page.wait_for_load_state("networkidle")
                rate(page, said, 1)
                # The judgment is on its way when the server dies.
                with page.expect_request("**/api/v1/judgments"):
                    rate(page, said, 1)
                kill_server(server)
                rate(page, said, 1)
        with web(house, port):
            page.evaluate("dispatchEvent(new Event('online'))")
            page.wait_for_selector("#rest:not([hidden])", timeout=60_000)
            page.wait_for_selector("#notice-connection", state="detached")
        found, rows = json.loads(house.run(COUNT))
        context.close()
    assert found == said
    assert rows == len(said) == 9


def rate(page: Page, said: dict[str, str], count: int) -> None:
    for _ in range(count):
        page.wait_for_selector("#pair:not(.waiting)")
        cell = CELLS[len(said) % 8]
        said[prompt(page)] = cell.grade
        submit(page, str(cell.number))
