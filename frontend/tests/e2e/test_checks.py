"""Attention checks at the bench: what was expected is said beside the next pair, or never."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from annotation.core.ordering import left_choice
from annotation.models import Batch, Comparison, GoldMark, User
from annotation.services.people import pause_person
from annotation.tests.checks import make_checks, make_week
from frontend.tests.e2e.test_workbench import effective, eventually, prompt, submit
from tests.factories import make_user

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

pytestmark = pytest.mark.e2e

Bench = Callable[[], "Page"]
SAID = "#notices .notice"


@pytest.fixture
def telling(transactional_db: None) -> Batch:
    """A week in which every second pair is a check, whose first response is right."""
    rosa = make_user("rosa", role="researcher")
    make_checks(6, rosa)
    return make_week(feedback=True, pairs=12)


def shown(page: Page) -> Comparison:
    """The pair of the open week, and not the one that a check was made of."""
    rows = Comparison.objects.select_related("batch", "dialogue__prompt").filter(batch__state="open")
    return rows.get(dialogue__prompt__text=prompt(page))


def to_check(page: Page) -> Comparison:
    """Judge ordinary pairs until a check is on the screen."""
    while (pair := shown(page)).gold_id is None:
        submit(page, "2")
    return pair


def side_of(pair: Comparison, ada: User) -> int:
    """The number on the screen of the response that is right."""
    left = left_choice(seed=pair.batch.seed, comparison=pair.key, annotator=ada.pseudonym)
    return 1 if left == "a" else 2


def test_what_was_expected_is_said_beside_the_next_pair(bench: Bench, telling: Batch, ada: User) -> None:
    page = bench()
    right = side_of(to_check(page), ada)
    wrong = 3 - right
    submit(page, "1" if wrong == 1 else "8")
    page.wait_for_selector(SAID)
    assert page.locator(f"{SAID} p").inner_text() == (
        f"The pair before was a check. Expected: Response {right} is better. "
        f"You said: Response {wrong} is significantly better. It answers."
    )
    region = page.locator("#notices")
    assert region.get_attribute("role") == "status", "a polite live region"
    page.keyboard.press("2")
    assert page.inner_text("#sentence") == "Response 1 is better.", "the next pair waits for nobody"
    page.locator(SAID).get_by_role("button", name="Close").click()
    assert page.locator(SAID).count() == 0


def test_it_goes_with_the_next_answer(bench: Bench, telling: Batch, ada: User) -> None:
    page = bench()
    to_check(page)
    submit(page, "1")
    page.get_by_text("The pair before was a check.").wait_for()
    submit(page, "1")
    page.wait_for_function("() => !document.getElementById('notices').innerText.includes('pair before')")


def test_a_right_answer_is_said_to_be_one(bench: Bench, telling: Batch, ada: User) -> None:
    page = bench()
    submit(page, "2" if side_of(to_check(page), ada) == 1 else "7")
    page.wait_for_selector(SAID)
    words = page.locator(f"{SAID} p").inner_text()
    assert words == "The pair before was a check. You answered as expected. It answers."


def test_offline_it_comes_when_the_answer_is_sent(
    bench: Bench, telling: Batch, ada: User, context: BrowserContext
) -> None:
    page = bench()
    about = to_check(page).dialogue.prompt.text
    context.set_offline(True)
    submit(page, "1")
    submit(page, "1")
    page.get_by_text("You are offline.").wait_for()
    assert page.get_by_text("was a check").count() == 0
    context.set_offline(False)
    page.get_by_text(f"The pair “{about}” was a check.").wait_for()


def test_a_week_that_tells_nothing_says_nothing(bench: Bench, telling: Batch) -> None:
    Batch.objects.update(gold_feedback=False)
    page = bench()
    to_check(page)
    submit(page, "8")
    submit(page, "1")
    eventually(GoldMark.objects.exists, page)
    page.wait_for_timeout(200)
    assert page.locator(SAID).count() == 0


def test_somebody_warned_is_told_at_the_bench_and_at_home(bench: Bench, telling: Batch, ada: User) -> None:
    User.objects.filter(pk=ada.pk).update(warned_at="2026-03-02T09:00Z")
    page = bench()
    words = page.get_by_text("Some of your recent answers differ from checked ones.")
    words.wait_for()
    page.locator(SAID).get_by_role("button", name="Close").click()
    assert words.count() == 0
    page.goto("/")
    assert words.is_visible()


def test_somebody_paused_while_at_work_is_told_why(bench: Bench, telling: Batch, ada: User) -> None:
    page = bench()
    pause_person(person=User.objects.get(pk=ada.pk), reason="Let us talk first.", by=None)
    page.keyboard.press("2")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="You are paused").wait_for()
    assert page.inner_text("#rest-words") == "Let us talk first."
    assert effective(0)()
    assert not page.is_visible("#pair")
