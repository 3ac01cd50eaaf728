"""Tests in two tabs and by two reviewers at the same moment. PostgreSQL alone lets writers run beside each other."""

from __future__ import annotations

from functools import partial

import pytest
from django.conf import settings

from annotation.errors import ConflictError
from annotation.models import Attempt, AttemptState, Certificate, Prompt, QualificationStep, Role, User
from annotation.qualifying import questions_of
from annotation.services.qualification import (
    Mark,
    close_overdue_attempts,
    review_attempt,
    save_answers,
    start_attempt,
    submit_attempt,
)
from annotation.services.steps import QuestionDraft, add_question, delete_step
from annotation.tests.step_rows import answers_to, make_quiz, make_writing, take
from annotation.tests.test_races import at_once
from tests.factories import make_user

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(
        "postgresql" not in settings.DATABASES["default"]["ENGINE"], reason="SQLite has one writer at a time"
    ),
]
ROUNDS = 6


@pytest.fixture
def ada(transactional_db: None) -> User:
    return make_user("ada")


def test_a_step_begun_in_two_tabs_at_once_is_one_try(ada: User) -> None:
    for _ in range(ROUNDS):
        step = make_quiz(1)
        found = at_once(*[partial(start_attempt, annotator=ada, step=step)] * 2)
        assert found[0] == found[1]
        take(step, ada, right=1)


def test_handing_in_twice_at_once_makes_one_certificate(ada: User) -> None:
    step = make_quiz(1)
    attempt = start_attempt(annotator=ada, step=step)
    save_answers(attempt=attempt, values=answers_to(step, right=1))
    at_once(*[partial(submit_attempt, attempt=attempt)] * 2, close_overdue_attempts)
    assert Attempt.objects.get().state == AttemptState.PASSED
    assert Certificate.objects.count() == 1


def test_an_answer_that_comes_while_the_try_is_handed_in_counts_or_is_refused(ada: User) -> None:
    for _ in range(ROUNDS):
        step = make_quiz(1, wait_hours=0, attempts=0)
        attempt = start_attempt(annotator=ada, step=step)
        saved, _ = at_once(
            partial(save_answers, attempt=attempt, values=answers_to(step, right=1)),
            partial(submit_attempt, attempt=attempt),
        )
        attempt.refresh_from_db()
        assert attempt.score == (0.0 if isinstance(saved, ConflictError) else 1.0)
        if attempt.state == AttemptState.FAILED:
            take(step, ada, right=1)


def test_two_reviewers_who_decide_at_once_decide_once(ada: User) -> None:
    rita, rosa = (make_user(name, role=Role.REVIEWER) for name in ("rita", "rosa"))
    for number in range(ROUNDS):
        attempt = take(make_writing(1), ada, right=0)
        answer = attempt.answers.get().pk
        marks = {answer: Mark(points=5, pool=f"Prompt {number}.")}
        found = at_once(
            *(partial(review_attempt, attempt=attempt, by=by, marks=marks) for by in (rita, rosa))
        )
        (refused,) = [outcome for outcome in found if isinstance(outcome, ConflictError)]
        attempt.refresh_from_db()
        assert attempt.reviewed_by == (rosa if found.index(refused) == 0 else rita)
    assert Prompt.objects.filter(source="qualification").count() == ROUNDS


def test_a_step_changed_while_somebody_begins_it_is_as_they_found_it(ada: User) -> None:
    rosa = make_user("rosa", role=Role.RESEARCHER)
    draft = QuestionDraft(text="More?", options=("yes", "no"), right=(0,))
    for _ in range(ROUNDS):
        step = make_quiz(1)
        begun, _added = at_once(
            partial(start_attempt, annotator=ada, step=step),
            partial(add_question, step=step, draft=draft, by=rosa),
        )
        asked = len(questions_of(step))
        values = {question.pk: [0] for question in questions_of(step)}
        save_answers(attempt=begun, values=values)
        assert submit_attempt(attempt=begun).score == 1.0
        assert asked in {1, 2}
        with pytest.raises(ConflictError):
            delete_step(step=step, by=rosa)
    assert QualificationStep.objects.count() == ROUNDS
