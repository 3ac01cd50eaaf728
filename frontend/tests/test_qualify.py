"""Taking the tests on the pages, as a browser without scripts does. Ada and Ben annotate, Rosa researches."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
import time_machine
from django.test import Client
from django.utils import timezone

from annotation.core.grades import Focus
from annotation.models import Attempt, Batch, QualificationStep, User
from annotation.services.people import pause_person
from annotation.tests.step_rows import answers_to, make_quiz, make_rating, make_writing, take
from tests.factories import make_user

pytestmark = pytest.mark.django_db

AsUser = Callable[[User], Client]


def words(answer: Any) -> str:
    """The page's text, tags gone and white space folded."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", answer.content.decode())).split())


def begin(client: Client, step: QualificationStep) -> str:
    """Start a step; returns the address of its sheet."""
    address: str = client.post(f"/qualify/{step.pk}")["Location"]
    return address


def filled(step: QualificationStep, *, right: int) -> dict[str, Any]:
    """A quiz's form with all its questions answered."""
    return {f"q{pk}": value for pk, value in answers_to(step, right=right).items()}


def later(**span: float) -> Any:
    return time_machine.travel(timezone.now() + timedelta(**span), tick=False)


def test_the_way_shows_the_steps_and_what_is_next(ada: User, as_user: AsUser) -> None:
    first, _ = make_quiz(title="First", minutes=50), make_writing(title="Second")
    client = as_user(ada)
    text = words(client.get("/qualify"))
    assert "You are not qualified yet." in text
    assert "First to be taken Quiz · 4 questions · 50 minutes" in text
    assert "Second after the step before it" in text
    assert "Step 1: First" in text
    take(first, ada, right=4)
    text = words(client.get("/qualify"))
    assert "First passed" in text
    assert "Step 2: Second" in text


def test_without_tests_the_page_says_so(ada: User, as_user: AsUser) -> None:
    assert "No tests are set up" in words(as_user(ada).get("/qualify"))


def test_a_step_tells_its_rules_before_the_clock_runs(ada: User, as_user: AsUser) -> None:
    step = make_quiz(42, minutes=50, pass_share=0.8, attempts=2, intro="Read *this* first.", valid_days=180)
    page = as_user(ada).get(f"/qualify/{step.pk}")
    text = words(page)
    assert b"<em>this</em>" in page.content
    for part in ("42 questions", "50 minutes", "34 of 42 right", "Tries left 2", "24 hours", "180 days"):
        assert part in text
    assert not Attempt.objects.exists()


def test_adas_sheet_is_nobody_elses(ada: User, ben: User, as_user: AsUser) -> None:
    step = make_quiz(1)
    sheet = begin(as_user(ada), step)
    client = as_user(ben)
    assert client.get(sheet).status_code == 404
    assert client.post(sheet, filled(step, right=1)).status_code == 404
    assert client.post(f"{sheet}/hand-in").status_code == 404


@pytest.mark.parametrize(
    "path", ["/qualify/404", "/qualify/attempts/404", f"/qualify/{2**63}", "/qualify/404/preview"]
)
def test_what_is_not_there_is_not_found(rosa: User, as_user: AsUser, path: str) -> None:
    assert as_user(rosa).get(path).status_code == 404


@pytest.mark.parametrize("path", ["/qualify", "/qualify/1", "/qualify/attempts/1", "/qualify/1/preview"])
def test_a_stranger_is_asked_to_sign_in(client: Client, path: str) -> None:
    assert client.get(path)["Location"].startswith("/sign-in")


def test_safety_texts_are_agreed_to_before_they_are_shown(as_user: AsUser) -> None:
    carol = make_user("carol", safety=False)
    step = make_rating(1, focus=Focus.SAFETY)
    client = as_user(carol)
    for path in ("/qualify", f"/qualify/{step.pk}"):
        text = words(client.get(path))
        assert "Show me safety texts" in text
        assert "Start" not in text
    text = words(client.post(f"/qualify/{step.pk}", follow=True))
    assert "Agree to read them first." in text
    client.post("/safety", {"consent": "yes"})
    assert "Start" in words(client.get(f"/qualify/{step.pk}"))


@pytest.mark.parametrize("kind", [make_quiz, make_rating, make_writing])
def test_a_researcher_sees_a_step_as_its_takers_will(
    rosa: User, ada: User, as_user: AsUser, kind: Any
) -> None:
    step = kind(2, active=False)
    page = as_user(rosa).get(f"/qualify/{step.pk}/preview")
    assert "So its takers see it." in words(page)
    assert b'name="go"' not in page.content
    assert as_user(ada).get(f"/qualify/{step.pk}/preview").status_code == 404


def test_home_names_the_next_step_where_the_week_asks_for_it(ada: User, week: Batch, as_user: AsUser) -> None:
    make_quiz(title="The first test")
    client = as_user(ada)
    assert "The first test" not in words(client.get("/"))
    Batch.objects.update(needs_certificate=True)
    text = words(client.get("/"))
    assert "The pairs of this week are given to people who qualified for them." in text
    assert "Helpfulness, step 1 of 1: The first test." in text


def test_home_tells_a_paused_person_why_and_whom_to_ask(
    ada: User, rosa: User, week: Batch, as_user: AsUser
) -> None:
    pause_person(person=ada, reason="A word about <the> checks.", by=rosa)
    page = as_user(ada).get("/")
    text = words(page)
    assert "You are paused" in text
    assert "A word about <the> checks." in text
    assert "Ask rosa" in text
    assert "/mine" in page.content.decode()


def test_home_tells_whom_to_ask_when_the_house_paused_somebody(ada: User, as_user: AsUser) -> None:
    pause_person(person=ada, reason="Checks.", by=None)
    assert "Ask whoever invited you" in words(as_user(ada).get("/"))


@pytest.mark.parametrize("make", [make_quiz, make_rating, make_writing])
def test_no_page_of_the_tests_holds_inline_script_or_style(ada: User, as_user: AsUser, make: Any) -> None:
    client = as_user(ada)
    step = make(2, minutes=50)
    sheet = begin(client, step)
    for path in ("/qualify", f"/qualify/{step.pk}", sheet, f"{sheet}?check"):
        page = client.get(path).content.decode()
        assert not re.search(r"<script(?![^>]*(\ssrc=|application/json))|<style|\sstyle=|\son[a-z]+=", page)
