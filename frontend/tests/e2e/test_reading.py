"""Differences are marked, and answers of different length stay beside each other, in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from annotation.core.grades import Focus
from annotation.models import Batch
from annotation.services.ingest import NewPair, NewResponse, ingest_pairs

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.e2e

Bench = Callable[[], "Page"]
MARKED = "[...CSS.highlights.get('difference') ?? []].map(range => range.toString())"


def store(batch: Batch, first: str, second: str) -> None:
    pair = NewPair(
        messages=({"role": "user", "content": "Which?"},),
        focus=Focus.HELPFULNESS,
        first=NewResponse(text=first),
        second=NewResponse(text=second),
    )
    ingest_pairs(batch=batch, pairs=[pair])


def call(page: Page, module: str, expression: str) -> Any:
    """What a function of a module of the workbench says of the two answers."""
    return page.evaluate(
        f"""async () => {{
          const module = await import('/static/frontend/workbench/{module}.js');
          const [left, right] = ['left', 'right'].map(id => document.getElementById(id));
          return {expression};
        }}"""
    )


def test_words_that_one_side_alone_has_are_marked_and_nothing_is_touched(bench: Bench, week: Batch) -> None:
    store(
        week,
        "The **quick brown** fox jumps.\n\n- over `x = 1`\n- 我们喜欢苹果",
        "The **quick red** fox jumps.\n\n- over `x = 2`\n- 我们喜欢香蕉\n- more words here",
    )
    page = bench()
    before = page.inner_html("#pair")
    found = call(page, "difference", "module.showDifference(left, right)")
    marked = sorted(page.evaluate(MARKED))
    assert marked == sorted(["brown", "red", "1", "2", "苹果", "香蕉", "more words here"])
    assert found == 9
    assert page.inner_html("#pair") == before
    call(page, "difference", "module.hideDifference()")
    assert page.evaluate("CSS.highlights.size") == 0


def test_two_answers_that_read_alike_have_no_marks(bench: Bench, week: Batch) -> None:
    store(week, "The same **words**.", "The same words!")
    page = bench()
    assert call(page, "difference", "module.showDifference(left, right)") == 0
    assert page.evaluate(MARKED) == []


def test_what_is_too_long_or_cannot_be_marked_says_so(bench: Bench, week: Batch) -> None:
    store(week, "word " * 13_000, "other " * 13_000)
    page = bench()
    assert call(page, "difference", "module.showDifference(left, right)") is None
    page.evaluate("() => { delete window.Highlight; }")
    assert call(page, "difference", "module.showDifference(left, right)") is None


def place(page: Page, side: str, edge: str) -> float:
    return float(page.evaluate(f"document.getElementById('{side}').getBoundingClientRect().{edge}"))


@pytest.fixture
def uneven(bench: Bench, week: Batch) -> tuple[Page, str, str]:
    """A bench with a long answer and one of a third of its length: the page, and which side is which."""
    store(week, "A long paragraph of words.\n\n" * 120, "A short paragraph of words.\n\n" * 50)
    page = bench()
    page.wait_for_load_state("networkidle")
    call(page, "together", "module.scrollTogether(left, right, true)")
    heights = {side: place(page, side, "height") for side in ("left", "right")}
    long = max(heights, key=heights.__getitem__)
    return page, long, "left" if long == "right" else "right"


def scroll_by_hand(page: Page, to: float) -> None:
    page.mouse.move(400, 300)
    page.mouse.wheel(0, to - page.evaluate("scrollY"))
    page.wait_for_function("y => Math.abs(scrollY - y) < 2", arg=to)
    page.wait_for_timeout(60)


def test_beginning_and_end_of_both_stand_beside_each_other(uneven: tuple[Page, str, str]) -> None:
    page, long, short = uneven
    assert abs(place(page, long, "top") - place(page, short, "top")) < 1
    end = page.evaluate("document.documentElement.scrollHeight - innerHeight")
    scroll_by_hand(page, end / 2)
    gap = (
        place(page, short, "top") - place(page, long, "top"),
        place(page, long, "bottom") - place(page, short, "bottom"),
    )
    assert min(gap) > 100
    scroll_by_hand(page, end)
    assert abs(place(page, long, "bottom") - place(page, short, "bottom")) < 2


def test_it_is_undone_when_switched_off(uneven: tuple[Page, str, str]) -> None:
    page, _, short = uneven
    scroll_by_hand(page, 1_500)
    assert page.evaluate(f"document.getElementById('{short}').style.transform") != ""
    call(page, "together", "module.scrollTogether(left, right, false)")
    scroll_by_hand(page, 1_600)
    assert page.evaluate(f"document.getElementById('{short}').style.transform") == ""


def test_what_gets_the_focus_in_the_moved_answer_is_seen(uneven: tuple[Page, str, str]) -> None:
    page, _, short = uneven
    page.evaluate(
        f"""() => {{
          const all = document.querySelectorAll('#{short} p');
          for (const p of all) p.tabIndex = 0;
          all[all.length - 5].focus();
        }}"""
    )
    page.wait_for_timeout(100)
    seen = page.evaluate("document.activeElement.getBoundingClientRect().top")
    bar = page.evaluate("document.getElementById('judgment').getBoundingClientRect().top")
    assert 0 <= seen < bar


def test_nothing_moves_where_the_answers_stand_below_each_other(bench: Bench, week: Batch) -> None:
    store(week, "A long paragraph of words.\n\n" * 60, "Short.")
    page = bench()
    page.set_viewport_size({"width": 390, "height": 800})
    call(page, "together", "module.scrollTogether(left, right, true)")
    scroll_by_hand(page, 900)
    transforms = [
        page.evaluate(f"document.getElementById('{side}').style.transform") for side in ("left", "right")
    ]
    assert transforms == ["", ""]


def test_a_short_answer_stays_in_view(bench: Bench, week: Batch) -> None:
    store(week, "A long paragraph of words.\n\n" * 80, "Short.")
    page = bench()
    call(page, "together", "module.scrollTogether(left, right, true)")
    short = "left" if place(page, "left", "height") < place(page, "right", "height") else "right"
    for share in (0.3, 0.6, 1.0):
        scroll_by_hand(page, share * page.evaluate("document.documentElement.scrollHeight - innerHeight"))
        assert 0 <= place(page, short, "top") < 300
