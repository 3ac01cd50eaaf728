"""Taking the tests. Ada and Ben annotate, Rosa reviews."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.utils import timezone

from annotation.core.grades import Focus
from annotation.errors import ConflictError, DomainError, ForbiddenError, NotFoundError
from annotation.models import Attempt, AttemptAnswer, AttemptState, AuditEvent, Certificate, Prompt, User
from annotation.qualifying import questions_of, sheet_of, step_for, ways_of
from annotation.services.people import pause_person
from annotation.services.qualification import (
    Mark,
    close_overdue_attempts,
    review_attempt,
    save_answers,
    start_attempt,
    submit_attempt,
)
from annotation.services.steps import deactivate_step
from annotation.tests.step_rows import answers_to, make_quiz, make_rating, make_writing, take
from tests.factories import make_user

pytestmark = pytest.mark.django_db


def marks(attempt: Attempt, *points: int, **told: Any) -> dict[int, Mark]:
    rows = attempt.answers.order_by("question__position")
    return {row.pk: Mark(points=n, **told) for row, n in zip(rows, points, strict=True)}


def in_(**span: float) -> Any:
    return time_machine.travel(timezone.now() + timedelta(**span), tick=False)


def test_a_quiz_is_scored_when_it_is_handed_in(ada: User) -> None:
    attempt = take(make_quiz(4, pass_share=0.75), ada, right=3)
    assert (attempt.state, attempt.score) == (AttemptState.PASSED, 0.75)
    assert [asked.answer.right for asked in sheet_of(attempt) if asked.answer] == [True, True, True, False]


def test_below_the_pass_mark_it_is_failed(ada: User) -> None:
    attempt = take(make_quiz(4, pass_share=0.75), ada, right=2)
    assert (attempt.state, attempt.score) == (AttemptState.FAILED, 0.5)


def test_what_was_not_answered_counts_as_wrong(ada: User) -> None:
    step = make_quiz(4, pass_share=0.75)
    attempt = start_attempt(annotator=ada, step=step)
    save_answers(attempt=attempt, values=dict(list(answers_to(step, right=4).items())[:2]))
    assert submit_attempt(attempt=attempt).score == 0.5


def test_a_rating_is_held_against_the_references_with_their_tolerance(ada: User) -> None:
    """Expected: A better, one step off is right. Slightly better is one step, negligibly better two."""
    step = make_rating(3, pass_share=0.6)
    attempt = start_attempt(annotator=ada, step=step)
    grades = ("better", "slightly_better", "negligibly_better")
    save_answers(
        attempt=attempt,
        values={q.pk: {"choice": "a", "grade": g} for q, g in zip(questions_of(step), grades, strict=True)},
    )
    attempt = submit_attempt(attempt=attempt)
    assert attempt.score == pytest.approx(2 / 3)
    assert attempt.state == AttemptState.PASSED


def test_a_safety_rating_needs_its_label(ada: User) -> None:
    step = make_rating(1, focus=Focus.SAFETY)
    attempt = start_attempt(annotator=ada, step=step)
    (question,) = questions_of(step)
    save_answers(attempt=attempt, values={question.pk: {"choice": "a", "grade": "better"}})
    assert [asked.given for asked in sheet_of(attempt)] == [False]
    assert submit_attempt(attempt=attempt).score == 0


def test_answers_are_kept_as_they_come_and_replaced(ada: User) -> None:
    step = make_quiz(2)
    attempt = start_attempt(annotator=ada, step=step)
    first, second = (q.pk for q in questions_of(step))
    save_answers(attempt=attempt, values={first: [1], second: [0]})
    save_answers(attempt=attempt, values={first: [0, 2], second: []})
    assert list(AttemptAnswer.objects.values_list("question", "value")) == [(first, [0, 2])]


@pytest.mark.parametrize("value", [[3], [-1], ["0"], "0", {"choice": "a"}, None])
def test_an_answer_that_is_none_is_refused(ada: User, value: Any) -> None:
    step = make_quiz(2)
    attempt = start_attempt(annotator=ada, step=step)
    first, second = (q.pk for q in questions_of(step))
    with pytest.raises(DomainError):
        save_answers(attempt=attempt, values={first: [0], second: value})
    assert not AttemptAnswer.objects.exists()


@pytest.mark.parametrize("value", [{"choice": "left"}, {"mood": "good"}, ["a"], {"choice": ["a"]}])
def test_a_rating_that_is_none_is_refused(ada: User, value: Any) -> None:
    step = make_rating(1)
    attempt = start_attempt(annotator=ada, step=step)
    with pytest.raises(DomainError):
        save_answers(attempt=attempt, values={questions_of(step)[0].pk: value})


@pytest.mark.parametrize("value", ["x" * 8001, "\0", ["x"]])
def test_a_text_that_cannot_be_stored_is_refused(ada: User, value: Any) -> None:
    step = make_writing(1)
    attempt = start_attempt(annotator=ada, step=step)
    with pytest.raises(DomainError):
        save_answers(attempt=attempt, values={questions_of(step)[0].pk: value})


def test_a_question_of_another_step_is_not_answered(ada: User) -> None:
    step, other = make_quiz(1), make_quiz(1, focus=Focus.SAFETY)
    attempt = start_attempt(annotator=ada, step=step)
    save_answers(attempt=attempt, values={questions_of(other)[0].pk: [0]})
    assert not AttemptAnswer.objects.exists()


def test_beginning_again_goes_on_with_the_open_try(ada: User) -> None:
    step = make_quiz(minutes=50)
    first = start_attempt(annotator=ada, step=step)
    with in_(minutes=10):
        again = start_attempt(annotator=ada, step=step)
    assert (again.pk, again.deadline) == (first.pk, first.deadline)


def test_the_clock_of_a_timed_step_runs_from_its_beginning(ada: User) -> None:
    with time_machine.travel(timezone.now(), tick=False):
        attempt = start_attempt(annotator=ada, step=make_quiz(minutes=50))
        assert attempt.deadline == timezone.now() + timedelta(minutes=50)


def test_answers_just_after_the_deadline_are_taken_and_later_ones_refused(ada: User) -> None:
    step = make_quiz(4, minutes=50)
    attempt = start_attempt(annotator=ada, step=step)
    answers = answers_to(step, right=4)
    one, *others = answers
    with in_(minutes=50, seconds=25):
        save_answers(attempt=attempt, values={one: answers[one]})
    with in_(minutes=50, seconds=40), pytest.raises(ConflictError, match="time was up"):
        save_answers(attempt=attempt, values={pk: answers[pk] for pk in others})
    attempt.refresh_from_db()
    assert (attempt.state, attempt.score, attempt.ended_at) == (AttemptState.FAILED, 0.25, attempt.deadline)


def test_the_sweep_scores_what_ran_out_of_time_as_it_stands(ada: User, ben: User) -> None:
    step = make_quiz(2, minutes=50)
    attempt = start_attempt(annotator=ada, step=step)
    save_answers(attempt=attempt, values=answers_to(step, right=2))
    with in_(minutes=20):
        later = start_attempt(annotator=ben, step=step)
    with in_(minutes=51):
        assert close_overdue_attempts() == 1
        assert close_overdue_attempts() == 0
    attempt.refresh_from_db()
    later.refresh_from_db()
    assert (attempt.state, later.state) == (AttemptState.PASSED, AttemptState.OPEN)


def test_handing_in_twice_changes_nothing(ada: User) -> None:
    attempt = take(make_quiz(), ada, right=4)
    again = submit_attempt(attempt=Attempt.objects.get(pk=attempt.pk))
    assert (again.state, again.ended_at) == (attempt.state, attempt.ended_at)


def test_what_was_handed_in_takes_no_answers(ada: User) -> None:
    step = make_quiz()
    attempt = take(step, ada, right=2)
    with pytest.raises(ConflictError):
        save_answers(attempt=attempt, values=answers_to(step, right=4))


def test_the_next_try_waits_and_the_last_one_is_the_last(ada: User) -> None:
    step = make_quiz(attempts=2, wait_hours=24)
    take(step, ada, right=0)
    with pytest.raises(ConflictError, match="cannot try again yet"):
        start_attempt(annotator=ada, step=step)
    with in_(hours=25):
        assert take(step, ada, right=0).number == 2
    with in_(hours=99), pytest.raises(ConflictError, match="no tries left"):
        start_attempt(annotator=ada, step=step)


def test_a_step_that_is_passed_is_not_taken_again(ada: User) -> None:
    step = make_quiz()
    take(step, ada, right=4)
    with pytest.raises(ConflictError, match="passed this step"):
        start_attempt(annotator=ada, step=step)


def test_steps_are_taken_in_order(ada: User) -> None:
    first, second = make_quiz(), make_quiz()
    with pytest.raises(ConflictError, match="before this one"):
        start_attempt(annotator=ada, step=second)
    take(first, ada, right=4)
    start_attempt(annotator=ada, step=second)


def test_a_step_out_of_force_is_not_there(ada: User, rosa: User) -> None:
    step = make_quiz()
    deactivate_step(step=step, by=rosa)
    with pytest.raises(NotFoundError):
        start_attempt(annotator=ada, step=step)


def test_safety_texts_are_shown_to_nobody_who_did_not_agree(db: None) -> None:
    carol = make_user("carol", safety=False)
    with pytest.raises(ForbiddenError, match="Agree"):
        start_attempt(annotator=carol, step=make_quiz(focus=Focus.SAFETY))


def test_whoever_is_paused_takes_no_test(ada: User, rosa: User) -> None:
    pause_person(person=ada, reason="A break.", by=rosa)
    with pytest.raises(ForbiddenError, match="paused"):
        start_attempt(annotator=ada, step=make_quiz())


def test_all_steps_make_a_certificate_that_ends_with_the_first_pass(ada: User) -> None:
    first, second = make_quiz(valid_days=30), make_quiz(valid_days=90)
    take(first, ada, right=4)
    assert not Certificate.objects.exists()
    with in_(days=20):
        take(second, ada, right=4)
        row = Certificate.objects.valid().get(annotator=ada, focus=Focus.HELPFULNESS)
    passed = first.tries.get().ended_at
    assert passed is not None
    assert row.expires_at == passed + timedelta(days=30)


def test_passes_without_an_end_make_a_certificate_without_one(ada: User) -> None:
    take(make_quiz(), ada, right=4)
    assert Certificate.objects.get().expires_at is None


def test_an_ended_pass_does_not_count_and_a_new_one_renews_the_certificate(ada: User) -> None:
    first, second = make_quiz(valid_days=10, wait_hours=0), make_quiz(valid_days=90)
    take(first, ada, right=4)
    take(second, ada, right=4)
    with in_(days=11):
        assert not Certificate.objects.valid().exists()
        take(first, ada, right=4)
        (row,) = Certificate.objects.valid()
        assert row.expires_at is not None
        assert row.expires_at > timezone.now() + timedelta(days=9)
    assert list(
        AuditEvent.objects.filter(action__startswith="certificate").values_list("action", flat=True)
    ) == [
        "certificate.renewed",
        "certificate.granted",
    ]


def test_writing_waits_for_a_reviewer_whose_mean_decides(ada: User, rosa: User) -> None:
    attempt = take(make_writing(3, pass_share=0.8), ada, right=0)
    assert (attempt.state, attempt.score) == (AttemptState.SUBMITTED, None)
    assert not Certificate.objects.exists()
    review_attempt(attempt=attempt, by=rosa, marks=marks(attempt, 3, 4, 5, comment="Fine."))
    attempt.refresh_from_db()
    assert (attempt.state, attempt.score, attempt.reviewed_by) == (AttemptState.PASSED, 0.8, rosa)
    assert {row.comment for row in attempt.answers.all()} == {"Fine."}
    assert Certificate.objects.valid().filter(annotator=ada).exists()


def test_writing_below_the_mean_is_failed(ada: User, rosa: User) -> None:
    attempt = take(make_writing(3, pass_share=0.81), ada, right=0)
    assert (
        review_attempt(attempt=attempt, by=rosa, marks=marks(attempt, 3, 4, 5)).state == AttemptState.FAILED
    )


def test_too_few_pieces_are_not_handed_in_before_the_time_is_up(ada: User) -> None:
    step = make_writing(4, fewest=2, minutes=50)
    attempt = start_attempt(annotator=ada, step=step)
    one = questions_of(step)[0].pk
    save_answers(attempt=attempt, values={one: "Only one."})
    with pytest.raises(DomainError, match="at least 2: there are 1"):
        submit_attempt(attempt=attempt)
    with in_(minutes=51):
        close_overdue_attempts()
    attempt.refresh_from_db()
    assert (attempt.state, attempt.score) == (AttemptState.FAILED, None)


def test_writing_of_blanks_is_no_answer(ada: User) -> None:
    step = make_writing(1)
    attempt = start_attempt(annotator=ada, step=step)
    save_answers(attempt=attempt, values={questions_of(step)[0].pk: " \n"})
    assert not AttemptAnswer.objects.exists()


def test_nobody_reviews_their_own_writing(rosa: User) -> None:
    attempt = take(make_writing(1), rosa, right=0)
    with pytest.raises(ForbiddenError):
        review_attempt(attempt=attempt, by=rosa, marks=marks(attempt, 5))


def test_an_annotator_reviews_nothing(ada: User, ben: User) -> None:
    attempt = take(make_writing(1), ada, right=0)
    with pytest.raises(ForbiddenError):
        review_attempt(attempt=attempt, by=ben, marks=marks(attempt, 5))


def test_what_was_reviewed_is_not_reviewed_again(ada: User, rosa: User) -> None:
    attempt = take(make_writing(1), ada, right=0)
    review_attempt(attempt=attempt, by=rosa, marks=marks(attempt, 5))
    with pytest.raises(ConflictError):
        review_attempt(attempt=attempt, by=rosa, marks=marks(attempt, 1))


@pytest.mark.parametrize("points", [(5, 0), (6, 5)])
def test_points_lie_between_one_and_five(ada: User, rosa: User, points: tuple[int, int]) -> None:
    attempt = take(make_writing(2), ada, right=0)
    with pytest.raises(DomainError):
        review_attempt(attempt=attempt, by=rosa, marks=marks(attempt, *points))


def test_everything_written_needs_points(ada: User, rosa: User) -> None:
    attempt = take(make_writing(2), ada, right=0)
    one, _ = marks(attempt, 5, 5).items()
    with pytest.raises(DomainError):
        review_attempt(attempt=attempt, by=rosa, marks=dict([one]))


def test_a_good_prompt_goes_into_the_pool_as_the_reviewer_left_it(ada: User, rosa: User) -> None:
    attempt = take(make_writing(1), ada, right=0)
    review_attempt(attempt=attempt, by=rosa, marks=marks(attempt, 4, pool=" A better prompt. "))
    row = Prompt.objects.get(source="qualification")
    assert (row.text, row.focus, row.in_pool) == ("A better prompt.", Focus.HELPFULNESS, True)


def test_a_weak_prompt_stays_out_of_the_pool(ada: User, rosa: User) -> None:
    attempt = take(make_writing(1), ada, right=0)
    with pytest.raises(DomainError):
        review_attempt(attempt=attempt, by=rosa, marks=marks(attempt, 3, pool="A prompt."))
    assert not Prompt.objects.exists()


def test_what_ada_may_begin_is_hers_to_begin_and_not_bens(ada: User, ben: User) -> None:
    first, second = make_quiz(), make_quiz()
    take(first, ada, right=4)
    assert [step.place.standing for step in ways_of(ada)[0].steps] == ["passed", "ready"]
    assert [step.place.standing for step in ways_of(ben)[0].steps] == ["ready", "later"]
    assert step_for(ben, second.pk).tries == []


def test_the_way_says_what_is_next(ada: User) -> None:
    first, second = make_quiz(), make_quiz()
    take(first, ada, right=4)
    (way,) = ways_of(ada)
    assert way.next is not None
    assert (way.next.step, way.next.number, way.certified) == (second, 2, False)
    take(second, ada, right=4)
    (way,) = ways_of(ada)
    assert (way.next, way.certified) == (None, True)


def test_without_steps_there_is_one_question_to_the_database(
    ada: User, django_assert_num_queries: Any
) -> None:
    with django_assert_num_queries(1):
        assert ways_of(ada) == []


def test_many_steps_cost_what_one_costs(ada: User, django_assert_num_queries: Any) -> None:
    for _ in range(5):
        take(make_quiz(1), ada, right=1)
    with django_assert_num_queries(3):
        assert len(ways_of(ada)[0].steps) == 5
