"""What stands beside the scale: drafts, skipping and flagging, the guidelines, keys of one's own, safety pairs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from annotation.core.grades import Focus
from annotation.core.passes import PassReason
from annotation.core.states import ComparisonState
from annotation.models import Batch, Comparison, GuidelineReport, Judgment, Pass, User
from annotation.services.guidelines import add_guideline, install_default_guidelines
from frontend.tests.e2e.test_workbench import by_prompt, effective, eventually, prompt, submit

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

pytestmark = pytest.mark.e2e

Pairs = Callable[..., list[Comparison]]
Bench = Callable[[], "Page"]


def test_what_was_begun_on_a_pair_survives_a_reload(bench: Bench, pairs: Pairs) -> None:
    pairs(2)
    page = bench()
    page.keyboard.press("6")
    page.keyboard.press("c")
    page.keyboard.type("half a thou")
    page.reload()
    page.wait_for_selector("#pair:not(.waiting)")
    assert page.input_value("#comment") == "half a thou"
    assert page.inner_text("#sentence") == "Response 2 is slightly better."
    submit(page)
    assert page.input_value("#comment") == ""


def test_the_arrows_move_along_the_scale(bench: Bench, pairs: Pairs) -> None:
    pairs(1)
    page = bench()
    for key, value in (("ArrowRight", "5"), ("ArrowRight", "6"), ("ArrowLeft", "5"), ("ArrowLeft", "4")):
        page.keyboard.press(key)
        assert page.is_checked(f"[name=cell][value='{value}']")


def test_a_pair_is_skipped_with_a_reason_and_undo_brings_it_back(bench: Bench, pairs: Pairs) -> None:
    pairs(3)
    page = bench()
    first = by_prompt(page)
    page.keyboard.press("k")
    page.wait_for_selector("#pass[open]")
    page.keyboard.press("1")
    page.wait_for_function(
        "old => document.getElementById('prompt').innerText !== old", arg=first.dialogue.prompt.text
    )
    eventually(lambda: Pass.objects.standing().count() == 1, page)
    row = Pass.objects.get()
    assert (row.comparison, row.reason) == (first, PassReason.NOT_MY_FIELD)
    page.keyboard.press("u")
    assert prompt(page) == first.dialogue.prompt.text
    assert page.inner_text("#sentence") == "Taken back. You had said: Skipped: Not my field."
    eventually(lambda: Pass.objects.standing().count() == 0, page)
    submit(page, "2")
    eventually(effective(1), page)


def test_a_flag_takes_a_broken_pair_out_of_the_queue(bench: Bench, pairs: Pairs) -> None:
    pairs(2)
    page = bench()
    broken = by_prompt(page)
    page.keyboard.press("x")
    page.get_by_placeholder("Say more (optional)").fill("It ends in the middle of a word.")
    page.get_by_role("button", name="Broken: empty, cut off or garbled").click()
    eventually(lambda: Pass.objects.count() == 1, page)
    broken.refresh_from_db()
    assert broken.state == ComparisonState.WITHDRAWN
    assert Pass.objects.get().comment == "It ends in the middle of a word."


def test_a_key_can_be_changed_and_is_remembered(bench: Bench, pairs: Pairs, ada: User) -> None:
    pairs(3)
    page = bench()
    page.keyboard.press("?")
    page.get_by_label("Change the key for: Response 1 is better", exact=True).click()
    page.keyboard.press("5")
    assert page.inner_text("#help-said") == "5 does something else already."
    page.get_by_label("Change the key for: Response 1 is better", exact=True).click()
    page.keyboard.press("q")
    page.get_by_text("Remembered.").wait_for()
    page.keyboard.press("Escape")
    page.keyboard.press("2")
    assert page.locator("[name=cell]:checked").count() == 0
    page.reload()
    page.wait_for_selector("#pair:not(.waiting)")
    page.keyboard.press("q")
    assert page.inner_text("#sentence") == "Response 1 is better."
    ada.refresh_from_db()
    assert ada.preferences["keys"] == {"choose-2": "q"}


def test_guidelines_are_read_beside_the_pair_and_judgments_name_the_version(
    bench: Bench, pairs: Pairs
) -> None:
    install_default_guidelines()
    pairs(3)
    page = bench()
    page.get_by_text("Read the guidelines for helpfulness before you begin.").wait_for()
    submit(page, "1")
    page.get_by_role("button", name="Read them").click()
    page.get_by_role("button", name="I have read this version").click()
    page.wait_for_selector("#panel", state="hidden")
    submit(page, "2")
    eventually(effective(2), page)
    versions = [row.guideline and row.guideline.version for row in Judgment.objects.order_by("pk")]
    assert versions == [None, 1]


def test_a_changed_guideline_is_announced_once_with_its_difference(bench: Bench, pairs: Pairs) -> None:
    add_guideline(focus=Focus.HELPFULNESS, text="Prefer the shorter answer.")
    pairs(3)
    page = bench()
    page.get_by_role("button", name="Read them").click()
    page.get_by_role("button", name="I have read this version").click()
    add_guideline(focus=Focus.HELPFULNESS, text="Prefer the clearer answer.")
    page.reload()
    page.get_by_role("button", name="See what changed").click()
    assert page.inner_text("#panel-difference del") == "shorter"
    assert page.inner_text("#panel-difference ins") == "clearer"
    page.get_by_role("button", name="I have read this version").click()
    page.reload()
    page.wait_for_selector("#pair:not(.waiting)")
    assert page.locator("#notice-guidelines").count() == 0


def test_a_bug_in_the_guidelines_is_reported_from_the_pair(bench: Bench, pairs: Pairs) -> None:
    install_default_guidelines()
    pairs(1)
    page = bench()
    page.keyboard.press("g")
    page.get_by_label("Something here is wrong, unclear or missing?").fill("What of two equal answers?")
    page.get_by_role("button", name="Report it").click()
    page.get_by_text("Thank you.").wait_for()
    eventually(lambda: GuidelineReport.objects.count() == 1, page)
    assert GuidelineReport.objects.get().comparison == by_prompt(page)


def test_a_safety_pair_is_covered_until_it_is_wanted(
    context: BrowserContext, sign_in: Callable[[User], None], ada: User, pairs: Pairs
) -> None:
    pairs(1, focus=Focus.SAFETY)
    sign_in(ada)
    page = context.new_page()
    page.goto("/rate")
    page.get_by_role("heading", name="A safety pair").wait_for()
    assert not page.is_visible("#left")
    page.keyboard.press("1")
    page.keyboard.press("Enter")
    assert page.is_visible("#left")
    assert page.locator("[name=cell]:checked").count() == 0


def test_nobody_has_to_go_on_with_safety_pairs(bench: Bench, pairs: Pairs, ada: User) -> None:
    pairs(1, focus=Focus.SAFETY)
    pairs(2)
    page = bench()
    assert "safety" in prompt(page)
    page.keyboard.press("?")
    page.locator("#help").get_by_role("button", name="Stop getting safety pairs").click()
    page.wait_for_function("() => document.getElementById('prompt').innerText.includes('helpfulness')")
    ada.refresh_from_db()
    assert ada.safety_consent_at is None


def test_safety_pairs_are_offered_to_those_who_have_not_agreed(
    context: BrowserContext, sign_in: Callable[[User], None], ada: User, pairs: Pairs
) -> None:
    User.objects.filter(pk=ada.pk).update(safety_consent_at=None)
    pairs(2, focus=Focus.SAFETY)
    sign_in(ada)
    page = context.new_page()
    page.goto("/rate")
    page.get_by_role("button", name="Show me safety pairs too").click()
    page.get_by_role("heading", name="A safety pair").wait_for()


def test_undo_after_a_reload_takes_back_what_the_server_has(bench: Bench, pairs: Pairs) -> None:
    pairs(3)
    page = bench()
    first = prompt(page)
    submit(page, "7")
    eventually(effective(1), page)
    page.reload()
    page.wait_for_selector("#pair:not(.waiting)")
    page.keyboard.press("u")
    page.wait_for_function("first => document.getElementById('prompt').innerText === first", arg=first)
    assert page.inner_text("#sentence") == "Taken back. You had said: Response 2 is better."
    eventually(effective(0), page)


def test_an_earlier_judgment_is_opened_again_and_replaced(bench: Bench, pairs: Pairs, week: Batch) -> None:
    pairs(3)
    page = bench()
    first = prompt(page)
    submit(page, "1")
    submit(page, "2")
    eventually(effective(2), page)
    earlier = Judgment.objects.order_by("pk")[0]
    page.goto(f"/rate?reopen={earlier.uid}")
    page.get_by_text("You are changing an earlier judgment.").wait_for()
    assert prompt(page) == first
    assert page.inner_text("#sentence") == "Response 1 is significantly better."
    submit(page, "8")
    eventually(lambda: Judgment.objects.count() == 3, page)
    assert effective(2)()
    assert Judgment.objects.get(supersedes=earlier).choice != earlier.choice
    eventually(lambda: page.inner_text("#count").startswith("2 today"), page)


def test_time_without_a_sign_of_life_does_not_count(bench: Bench, pairs: Pairs) -> None:
    pairs(2)
    page = bench()
    page.evaluate(
        "() => { const real = performance.now.bind(performance); performance.now = () => real() + 600_000; }"
    )
    submit(page, "2")
    eventually(effective(1), page)
    assert (Judgment.objects.get().active_ms or 0) < 70_000
