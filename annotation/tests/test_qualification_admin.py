"""The tests in the admin: building, reviewing, people. Rosa researches, Ada annotates, Rita reviews, Ruth
administrates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from annotation.core.grades import Focus
from annotation.models import Attempt, AttemptState, Prompt, QualificationStep, Role, User
from annotation.qualifying import questions_of
from annotation.tests.step_rows import in_force, make_gold, make_quiz, make_rating, make_writing, take, texts
from tests.factories import make_user

pytestmark = pytest.mark.django_db

AsUser = Callable[[User], Client]


@pytest.fixture
def rita(db: None) -> User:
    return make_user("rita", role=Role.REVIEWER)


def address(name: str, *arguments: object) -> str:
    return reverse(f"admin:annotation_qualificationstep_{name}", args=arguments)


NUMBERS = {
    "minutes": 50,
    "pass_percent": 90,
    "fewest": 0,
    "attempts": 2,
    "wait_hours": 24,
    "valid_days": 180,
}


def test_a_researcher_builds_a_quiz_in_the_admin(as_user: AsUser, rosa: User) -> None:
    client = as_user(rosa)
    values = {"focus": "safety", "kind": "quiz", "title": "Sensitive topics", "intro": "Read.", **NUMBERS}
    client.post(address("add"), values)
    step = QualificationStep.objects.get()
    assert (step.focus, step.minutes, step.pass_share, step.active) == (Focus.SAFETY, 50, 0.9, False)
    question = {"text": "Safe?", "options": "yes\n* no", "explanation": "Because."}
    client.post(address("add_question", step.pk), question)
    (row,) = questions_of(step)
    assert (row.options, row.right, row.explanation) == (["yes", "no"], [1], "Because.")
    page = client.get(address("question", step.pk, row.pk)).content.decode()
    assert "yes\n* no" in page
    client.post(address("question", step.pk, row.pk), {**question, "text": "Still safe?"})
    assert texts(step) == ["Still safe?"]
    client.post(address("activate", step.pk))
    assert in_force(Focus.SAFETY) == ["Sensitive topics"]
    assert "in force" in client.get(address("change", step.pk)).content.decode()


def test_the_admin_says_what_is_wrong_with_options(as_user: AsUser, rosa: User) -> None:
    step = make_quiz(1)
    page = as_user(rosa).post(address("add_question", step.pk), {"text": "Why?", "options": "a\nb"})
    assert "Mark what is right" in page.content.decode()


def test_the_admin_offers_pairs_of_the_focus_that_are_not_asked_for_yet(as_user: AsUser, rosa: User) -> None:
    step = make_rating(1)
    make_gold(1, focus=Focus.SAFETY)
    (other,) = make_gold(1)
    client = as_user(rosa)
    field = client.get(address("add_question", step.pk)).context["form"].fields["gold"]
    assert list(field.queryset) == [other]
    client.post(address("add_question", step.pk), {"gold": other.pk, "text": "", "explanation": ""})
    assert len(questions_of(step)) == 2


def test_the_buttons_of_a_step_do_what_they_say(as_user: AsUser, rosa: User) -> None:
    client = as_user(rosa)
    first, _second = make_quiz(2, title="First"), make_quiz(1, title="Second")
    client.post(address("down", first.pk))
    assert in_force() == ["Second", "First"]
    client.post(address("up", first.pk))
    assert in_force() == ["First", "Second"]
    one, other = questions_of(first)
    client.post(address("do_question", first.pk, one.pk, "down"))
    assert texts(first) == ["Question 2?", "Question 1?"]
    client.post(address("do_question", first.pk, other.pk, "delete"))
    assert texts(first) == ["Question 1?"]
    client.post(address("deactivate", first.pk))
    assert in_force() == ["Second"]
    answer = client.post(address("copy", first.pk))
    assert answer["Location"] == address("change", QualificationStep.objects.order_by("-pk")[0].pk)
    client.post(address("delete_untried", first.pk))
    assert not QualificationStep.objects.filter(pk=first.pk).exists()


def test_nothing_happens_by_looking(as_user: AsUser, rosa: User) -> None:
    step = make_quiz(2)
    client = as_user(rosa)
    for name in ("activate", "deactivate", "up", "down", "copy", "delete_untried"):
        assert client.get(address(name, step.pk)).status_code == 405
    assert client.get(address("do_question", step.pk, questions_of(step)[0].pk, "delete")).status_code == 405


def test_a_question_of_another_step_is_not_there(as_user: AsUser, rosa: User) -> None:
    step, other = make_quiz(1), make_quiz(1)
    client = as_user(rosa)
    assert client.get(address("question", step.pk, questions_of(other)[0].pk)).status_code == 404
    assert client.post(address("do_question", step.pk, questions_of(step)[0].pk, "eat")).status_code == 404


@pytest.mark.parametrize("name", ["changelist", "add"])
def test_annotators_and_reviewers_build_nothing(as_user: AsUser, ada: User, rita: User, name: str) -> None:
    for user in (ada, rita):
        assert as_user(user).get(address(name)).status_code in {302, 403}


def review_address(attempt: Attempt) -> str:
    return reverse("admin:annotation_attempt_change", args=(attempt.pk,))


def points(attempt: Attempt, *given: int, **told: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for row, number in zip(attempt.answers.all(), given, strict=True):
        found |= {
            f"points_{row.pk}": number,
            f"comment_{row.pk}": "Say for whom.",
            f"pool_{row.pk}": "Mended.",
        }
        found |= {f"{name}_{row.pk}": value for name, value in told.items()}
    return found


def test_a_reviewer_gives_points_feedback_and_keeps_a_prompt(as_user: AsUser, ada: User, rita: User) -> None:
    attempt = take(make_writing(1), ada, right=0)
    client = as_user(rita)
    page = client.get(review_address(attempt)).content.decode()
    assert "A prompt of 0." in page
    assert "ada" not in page.replace("data", "").replace("dashboard", "").lower().split()
    client.post(review_address(attempt), points(attempt, 5, keep="on"))
    attempt.refresh_from_db()
    assert (attempt.state, attempt.reviewed_by) == (AttemptState.PASSED, rita)
    assert attempt.answers.get().comment == "Say for whom."
    assert Prompt.objects.get(source="qualification").text == "Mended."
    assert "100 %" in client.get(review_address(attempt)).content.decode()


def test_without_the_mark_nothing_goes_into_the_pool(as_user: AsUser, ada: User, rita: User) -> None:
    attempt = take(make_writing(1), ada, right=0)
    as_user(rita).post(review_address(attempt), points(attempt, 5))
    assert not Prompt.objects.filter(source="qualification").exists()


def test_a_review_without_points_is_not_sent(as_user: AsUser, ada: User, rita: User) -> None:
    attempt = take(make_writing(1), ada, right=0)
    answer = as_user(rita).post(review_address(attempt), {})
    assert answer.status_code == 200
    attempt.refresh_from_db()
    assert attempt.state == AttemptState.SUBMITTED


def test_reviewers_do_not_review_themselves(as_user: AsUser, rita: User) -> None:
    attempt = take(make_writing(1), rita, right=0)
    client = as_user(rita)
    assert "Somebody else has to review this" not in client.get(review_address(attempt)).content.decode()
    client.post(review_address(attempt), points(attempt, 5))
    attempt.refresh_from_db()
    assert attempt.state == AttemptState.SUBMITTED


def test_reviewers_see_what_waits_and_no_answers_to_a_quiz(as_user: AsUser, ada: User, rita: User) -> None:
    quiz, writing = make_quiz(1), make_writing(1)
    took, wrote = take(quiz, ada, right=1), take(writing, ada, right=0)
    client = as_user(rita)
    place = reverse("admin:annotation_attempt_changelist")
    assert list(client.get(place).context["cl"].queryset) == [wrote]
    assert list(client.get(place, {"stage": "all"}).context["cl"].queryset) == [wrote]
    assert client.get(review_address(took)).status_code == 404


def test_researchers_see_every_test(as_user: AsUser, ada: User, rosa: User) -> None:
    attempts = [take(step, ada, right=1) for step in (make_quiz(1), make_rating(1))]
    client = as_user(rosa)
    place = reverse("admin:annotation_attempt_changelist")
    assert set(client.get(place, {"stage": "all"}).context["cl"].queryset) == set(attempts)
    assert "right 1" in client.get(review_address(attempts[0])).content.decode()
    assert "a · better" in client.get(review_address(attempts[1])).content.decode()


def test_a_persons_page_shows_their_tests_and_certificates(as_user: AsUser, ada: User, rosa: User) -> None:
    take(make_quiz(1, title="The first test"), ada, right=1)
    page = as_user(rosa).get(reverse("admin:annotation_user_change", args=(ada.pk,))).content.decode()
    assert "The first test" in page
    assert "the tests" in page
    assert "certificate.granted" in page


def test_pausing_and_vouching_in_the_admin(as_user: AsUser, ada: User, rosa: User) -> None:
    ruth = make_user("ruth", role=Role.ADMINISTRATOR)
    place = {
        name: reverse(f"admin:annotation_user_{name}", args=(ada.pk,))
        for name in ("pause", "resume", "vouch")
    }
    as_user(rosa).post(place["pause"], {"reason": "A word."})
    ada.refresh_from_db()
    assert ada.pause_reason == "A word."
    as_user(rosa).post(place["resume"])
    ada.refresh_from_db()
    assert ada.paused_at is None
    values = {"focus": "safety", "reason": "Taught it.", "days": "30"}
    assert as_user(rosa).post(place["vouch"], values).status_code == 403
    as_user(ruth).post(place["vouch"], values)
    row = ada.certificates.get()
    revoke = reverse("admin:annotation_user_revoke", args=(ada.pk, row.pk))
    as_user(ruth).post(revoke, {"reason": "Enough."})
    row.refresh_from_db()
    assert row.revoked_at is not None
    elsewhere = reverse("admin:annotation_user_revoke", args=(rosa.pk, row.pk))
    assert as_user(ruth).post(elsewhere, {"reason": "Enough."}).status_code == 404


def test_what_an_administrator_changes_by_form_is_in_the_audit_by_name(as_user: AsUser, ada: User) -> None:
    ruth = make_user("ruth", role=Role.ADMINISTRATOR)
    values = {
        "username": "ada",
        "email": "ada@example.org",
        "languages": "en, pt-BR",
        "role": "reviewer",
        "is_active": "on",
    }
    as_user(ruth).post(reverse("admin:annotation_user_change", args=(ada.pk,)), values)
    ada.refresh_from_db()
    assert (ada.email, ada.languages, ada.role) == ("ada@example.org", ["en", "pt-br"], Role.REVIEWER)
    page = as_user(ruth).get(reverse("admin:annotation_user_change", args=(ada.pk,))).content.decode()
    assert "person.role_changed" in page
    assert "person.changed" in page
    assert "Email address, Languages" in page
