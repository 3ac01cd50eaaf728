"""A reviewer at the keyboard: through the queue, deciding, taking back."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from annotation.models import Comparison, Decision, Review, Role, User
from annotation.reviewing import opinions_on
from annotation.tests.disputes import BETTER, SLIGHTLY, A, B, make_dispute
from frontend.tests.e2e.test_workbench import eventually
from tests.factories import make_batch, make_user

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

pytestmark = pytest.mark.e2e


@pytest.fixture
def pairs(transactional_db: None, ada: User, ben: User) -> list[Comparison]:
    """Two disputes, in the order of the queue."""
    week = make_batch(overlap=2)
    return [make_dispute(week, {ada: (A, BETTER), ben: (B, grade)}) for grade in (BETTER, SLIGHTLY)]


@pytest.fixture
def page(pairs: list[Comparison], context: BrowserContext, sign_in: Callable[[User], None]) -> Page:
    sign_in(make_user("rhea", role=Role.REVIEWER))
    opened = context.new_page()
    opened.goto("/admin/annotation/review/queue/")
    return opened


def at(page: Page, pair: Comparison) -> None:
    page.wait_for_url(f"**/review/pair/{pair.pk}/*")


def test_the_queue_is_worked_off_by_keyboard(page: Page, pairs: list[Comparison]) -> None:
    first, second = pairs
    page.keyboard.press("j")
    at(page, first)
    page.keyboard.press("j")
    at(page, second)
    page.keyboard.press("k")
    at(page, first)
    page.keyboard.press("2")
    at(page, second)
    review = Review.objects.get()
    assert (review.decision, review.judgment) == (Decision.APPROVED, opinions_on(first)[1].judgment)
    page.get_by_text("You approved a judgment").wait_for()
    page.keyboard.press("u")
    at(page, first)
    page.get_by_text("Taken back: the pair waits again.").wait_for()


def test_what_is_typed_presses_no_key(page: Page, pairs: list[Comparison]) -> None:
    page.keyboard.press("j")
    at(page, pairs[0])
    page.get_by_text("Return with feedback…").first.click()
    page.get_by_label("What should Annotator 1 look at?").fill("")
    page.get_by_label("What should Annotator 1 look at?").type("jk120u")
    assert page.get_by_label("What should Annotator 1 look at?").input_value() == "jk120u"
    page.get_by_role("button", name="Return", exact=True).first.click()
    eventually(lambda: Review.objects.count() == 1, page)
    assert Review.objects.get().feedback == "jk120u"


def test_whoever_switched_single_keys_off_has_none(page: Page, pairs: list[Comparison]) -> None:
    page.evaluate("localStorage.setItem('margin-keys', 'off')")
    page.keyboard.press("j")
    page.wait_for_timeout(200)
    assert page.url.endswith("/queue/")
