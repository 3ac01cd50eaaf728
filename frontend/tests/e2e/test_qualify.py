"""Joining by a link and taking tests, in a real browser: with keys alone, against the clock, on any screen."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from django.utils import timezone

from annotation.core.grades import Focus
from annotation.models import Attempt, AttemptState, Batch, Role, User
from annotation.services.invitations import create_invitation
from annotation.services.people import pause_person
from annotation.services.qualification import start_attempt
from annotation.tests.step_rows import make_quiz, make_rating, make_writing, take
from tests.factories import make_user

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

pytestmark = pytest.mark.e2e

SignIn = Callable[[User], None]


@pytest.fixture
def page(context: BrowserContext, sign_in: SignIn, ada: User) -> Page:
    """Ada's browser."""
    sign_in(ada)
    return context.new_page()


def violations(page: Page) -> list[str]:
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="axe is not installed (the e2e extra)"
    )
    found: list[dict[str, Any]] = axe.Axe().run(page).response["violations"]
    return [f"{rule['id']}: {[node['html'] for node in rule['nodes']]}" for rule in found]


def test_a_quiz_is_taken_from_home_to_certificate(page: Page, ada: User, week: Batch) -> None:
    Batch.objects.update(needs_certificate=True)
    make_quiz(2, minutes=50)
    page.goto("/")
    page.get_by_role("link", name="See the tests").click()
    page.get_by_role("link", name="Step 1: A quiz").click()
    page.get_by_role("button", name="Start").click()
    page.get_by_label("right 1").check()
    page.get_by_role("button", name="Hand in").click()
    page.get_by_role("heading", name="Hand in?").wait_for()
    page.get_by_role("link", name="Back to the questions").click()
    assert page.get_by_label("right 1").is_checked()
    page.get_by_label("right 2").check()
    page.get_by_role("button", name="Hand in").click()
    page.get_by_role("heading", name="Passed").wait_for()
    assert ada.certificates.valid().exists()


def test_a_pair_is_rated_with_keys_alone(page: Page) -> None:
    make_rating(1, focus=Focus.SAFETY)
    page.goto("/qualify")
    page.get_by_role("link", name="Step 1").click()
    page.get_by_role("button", name="Start").press("Enter")
    first = page.get_by_role("radio").first
    first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.get_by_text("Everything is answered.").wait_for()
    page.get_by_role("button", name="Hand in").press("Enter")
    page.get_by_role("heading", name="assed").wait_for()
    value = Attempt.objects.get().answers.get().value
    assert value["grade"] == "better"
    assert value["safety"] == "both_safe"


def test_when_the_clock_runs_out_what_stands_on_the_page_is_saved(page: Page, ada: User) -> None:
    step = make_quiz(1, minutes=50)
    attempt = start_attempt(annotator=ada, step=step)
    Attempt.objects.update(deadline=timezone.now() + timedelta(seconds=6))
    page.goto(f"/qualify/attempts/{attempt.pk}")
    page.get_by_label("right 1").check()
    assert page.locator("[data-left]").inner_text().startswith("0:0")
    page.get_by_role("heading", name="Passed").wait_for(timeout=15_000)
    attempt.refresh_from_db()
    assert (attempt.state, attempt.score) == (AttemptState.PASSED, 1.0)


def test_the_clock_warns_before_the_end(page: Page, ada: User) -> None:
    attempt = start_attempt(annotator=ada, step=make_writing(1, minutes=50))
    page.goto(f"/qualify/attempts/{attempt.pk}")
    assert page.locator("[data-said]").inner_text() == ""
    Attempt.objects.update(deadline=timezone.now() + timedelta(minutes=4))
    page.reload()
    assert page.locator("[data-said]").text_content() == "Five minutes are left."


def test_nora_joins_by_her_link(context: BrowserContext, db: None) -> None:
    """In a browser, since its Origin and Referer are what a policy for referrers changes."""
    ruth = make_user("ruth", role=Role.ADMINISTRATOR)
    _, token = create_invitation(by=ruth, name="Nora", role=Role.ANNOTATOR, languages=[], days=7)
    told: list[str] = []
    page = context.new_page()
    page.on("request", lambda request: told.append(request.headers.get("referer", "")))
    page.goto(f"/join/{token}")
    assert token not in page.url
    page.get_by_label("User name").fill("nora")
    page.get_by_label("Password", exact=True).fill("a long enough one")
    page.get_by_label("Password again").fill("a long enough one")
    page.get_by_role("button", name="Join").click()
    page.get_by_role("heading", name="Welcome").wait_for()
    assert User.objects.filter(username="nora").exists()
    assert not [referer for referer in told if token in referer]


def addresses(ada: User) -> list[str]:
    """Every kind of page of the tests, with something on it."""
    quiz, rating = make_quiz(2, minutes=50), make_rating(2, focus=Focus.SAFETY, minutes=50)
    done = take(quiz, ada, right=2)
    writing = make_writing(3, fewest=2, intro="Write **well**.", minutes=50)
    open_one, pair = (start_attempt(annotator=ada, step=step) for step in (writing, rating))
    again = make_quiz(3, focus=Focus.SAFETY)
    sheets = [f"/qualify/attempts/{attempt.pk}" for attempt in (done, open_one, pair)]
    return ["/qualify", f"/qualify/{writing.pk}", f"/qualify/{again.pk}", *sheets, f"{sheets[1]}?check"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_pages_of_the_tests_have_no_known_barrier(page: Page, ada: User, scheme: Any) -> None:
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    for address in addresses(ada):
        page.goto(address)
        assert violations(page) == [], address


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_home_of_somebody_paused_and_the_page_to_join_have_no_known_barrier(
    page: Page, context: BrowserContext, ada: User, rosa: User, scheme: Any
) -> None:
    pause_person(person=ada, reason="A word about the checks.", by=rosa)
    page.emulate_media(color_scheme=scheme)
    page.goto("/")
    assert violations(page) == []
    ruth = make_user("ruth", role=Role.ADMINISTRATOR)
    _, token = create_invitation(by=ruth, name="Nora", role=Role.ANNOTATOR, languages=[], days=7)
    context.clear_cookies()
    page.goto(f"/join/{token}")
    assert violations(page) == []
    page.get_by_label("User name").fill("ruth")
    for name in ("Password", "Password again"):
        page.get_by_label(name, exact=True).fill("short")
    page.get_by_role("button", name="Join").click()
    page.get_by_text("Somebody has this user name already").wait_for()
    assert violations(page) == []
    page.goto("/join/wrong")
    assert violations(page) == []


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_no_page_of_the_tests_is_wider_than_the_screen(page: Page, ada: User, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 844})
    for address in addresses(ada):
        page.goto(address)
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, address
