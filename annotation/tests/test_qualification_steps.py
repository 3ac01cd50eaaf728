"""Building the tests. Rosa researches, Ada and Ben take them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from annotation.core.grades import Focus
from annotation.errors import ConflictError, DomainError
from annotation.models import QualificationStep, StepKind, User
from annotation.qualifying import figures_of, questions_of, ways_of
from annotation.services.default_steps import install_default_steps
from annotation.services.qualification import start_attempt
from annotation.services.steps import (
    QuestionDraft,
    StepDraft,
    activate_step,
    add_question,
    change_question,
    change_step,
    copy_step,
    create_step,
    deactivate_step,
    delete_question,
    delete_step,
    move_question,
    move_step,
)
from annotation.tests.step_rows import in_force, make_gold, make_quiz, make_step, make_writing, take, texts

pytestmark = pytest.mark.django_db

AsUser = Callable[[User], Client]


def test_a_new_step_is_not_in_force_before_it_has_questions(rosa: User) -> None:
    step = create_step(focus=Focus.HELPFULNESS, kind=StepKind.QUIZ, draft=StepDraft(title="First"), by=rosa)
    assert not step.active
    with pytest.raises(ConflictError, match="add 1 more"):
        activate_step(step=step, by=rosa)


def test_a_writing_step_offers_at_least_what_it_asks_for(rosa: User) -> None:
    step = make_writing(2, fewest=3, active=False)
    with pytest.raises(ConflictError, match="add 1 more"):
        activate_step(step=step, by=rosa)


def test_what_nobody_tried_is_changed_in_place(rosa: User) -> None:
    step = make_quiz(2)
    change_step(step=step, draft=StepDraft(title="Anew", minutes=10, pass_share=0.9), by=rosa)
    add_question(step=step, draft=QuestionDraft(text="More?", options=("yes", "no"), right=(0,)), by=rosa)
    move_question(question=questions_of(step)[2], up=True, by=rosa)
    delete_question(question=questions_of(step)[0], by=rosa)
    step.refresh_from_db()
    assert (step.title, step.minutes, step.pass_share) == ("Anew", 10, 0.9)
    assert texts(step) == ["More?", "Question 2?"]


def test_what_somebody_tried_keeps_what_results_rest_on(ada: User, rosa: User) -> None:
    step = make_quiz(2)
    start_attempt(annotator=ada, step=step)
    question = questions_of(step)[0]
    draft = QuestionDraft(text="Another?", options=("yes", "no"), right=(0,))
    for change in (
        lambda: change_step(step=step, draft=StepDraft(title=step.title, pass_share=0.5), by=rosa),
        lambda: add_question(step=step, draft=draft, by=rosa),
        lambda: change_question(question=question, draft=draft, by=rosa),
        lambda: delete_question(question=question, by=rosa),
        lambda: move_question(question=question, up=False, by=rosa),
        lambda: delete_step(step=step, by=rosa),
    ):
        with pytest.raises(ConflictError, match="tried"):
            change()


def test_words_and_tries_and_explanations_change_at_any_time(ada: User, rosa: User) -> None:
    step = make_quiz(2)
    start_attempt(annotator=ada, step=step)
    change_step(step=step, draft=StepDraft(title="Clearer", attempts=9, valid_days=30), by=rosa)
    question = questions_of(step)[0]
    draft = QuestionDraft(
        text=question.text,
        options=tuple(question.options),
        right=tuple(question.right),
        explanation="Clearer.",
    )
    change_question(question=question, draft=draft, by=rosa)
    step.refresh_from_db()
    assert (step.title, step.attempts, questions_of(step)[0].explanation) == ("Clearer", 9, "Clearer.")


def test_a_new_version_takes_the_place_once_it_is_put_in_force(ada: User, rosa: User) -> None:
    first, second = make_quiz(2, title="First"), make_quiz(2, title="Second")
    take(first, ada, right=2)
    copy = copy_step(step=first, by=rosa)
    change_step(step=copy, draft=StepDraft(title="First anew"), by=rosa)
    assert in_force() == ["First", "Second"]
    assert texts(copy) == texts(first)
    activate_step(step=copy, by=rosa)
    assert in_force() == ["First anew", "Second"]
    activate_step(step=first, by=rosa)
    assert in_force() == ["First", "Second"]
    assert second.position == 2


def test_versions_move_with_their_place(rosa: User) -> None:
    first, _ = make_quiz(1, title="First"), make_quiz(1, title="Second")
    copy = copy_step(step=first, by=rosa)
    move_step(step=first, up=False, by=rosa)
    assert in_force() == ["Second", "First"]
    activate_step(step=copy, by=rosa)
    assert in_force() == ["Second", "First"]
    first.refresh_from_db()
    assert not first.active


@pytest.mark.parametrize("up", [True, False])
def test_the_only_step_stays_where_it_is(rosa: User, up: bool) -> None:
    step = make_quiz(1)
    make_quiz(1, focus=Focus.SAFETY)
    assert move_step(step=step, up=up, by=rosa).position == 1


def test_a_step_in_force_keeps_the_questions_that_it_needs(rosa: User) -> None:
    step = make_quiz(1)
    with pytest.raises(ConflictError, match="out of force first"):
        delete_question(question=questions_of(step)[0], by=rosa)
    deactivate_step(step=step, by=rosa)
    delete_question(question=questions_of(step)[0], by=rosa)
    assert texts(step) == []


@pytest.mark.parametrize(
    ("kind", "draft", "field"),
    [
        (StepKind.QUIZ, QuestionDraft(text="Why?", options=("a",), right=(0,)), "options"),
        (StepKind.QUIZ, QuestionDraft(text="Why?", options=("a", "b")), "options"),
        (StepKind.QUIZ, QuestionDraft(options=("a", "b"), right=(0,)), "text"),
        (StepKind.WRITING, QuestionDraft(), "text"),
        (StepKind.RATING, QuestionDraft(text="Which?"), "gold"),
    ],
)
def test_a_question_fits_its_kind(kind: StepKind, draft: QuestionDraft, field: str) -> None:
    step = make_step(kind, active=False)
    with pytest.raises(DomainError) as refused:
        add_question(step=step, draft=draft, by=None)
    assert [error["field"] for error in refused.value.errors] == [field]


def test_a_rating_asks_for_pairs_of_its_own_focus(rosa: User) -> None:
    (gold,) = make_gold(1, focus=Focus.SAFETY)
    step = make_step(StepKind.RATING, active=False)
    with pytest.raises(DomainError):
        add_question(step=step, draft=QuestionDraft(gold=gold), by=rosa)


def test_the_default_steps_come_once_and_are_in_force() -> None:
    assert install_default_steps() == 2
    assert install_default_steps() == 0
    kinds = QualificationStep.objects.filter(active=True).order_by("position").values_list("kind", flat=True)
    assert list(kinds) == ["quiz", "writing"]


def test_the_default_rating_needs_pairs_with_a_known_label() -> None:
    make_gold(12)
    assert install_default_steps() == 3
    assert len(questions_of(QualificationStep.objects.get(kind=StepKind.RATING))) == 10


def test_the_defaults_leave_a_house_its_own_steps() -> None:
    make_quiz(1)
    assert install_default_steps() == 0


def test_the_default_quiz_can_be_passed(ada: User) -> None:
    install_default_steps()
    quiz = QualificationStep.objects.get(kind=StepKind.QUIZ)
    assert len(questions_of(quiz)) == 8
    assert all(question.explanation and question.right for question in questions_of(quiz))
    assert ways_of(ada)[0].steps[0].place.standing == "ready"


def test_figures_name_the_hardest_question(ada: User, ben: User) -> None:
    """Ada has the first three right, Ben the first alone: the fourth was never right, and is the hardest."""
    step = make_quiz(4, pass_share=0.75)
    take(step, ada, right=3)
    take(step, ben, right=1)
    figures = figures_of(step)
    assert (figures.people, figures.tries, figures.passed, figures.pass_rate, figures.mean) == (
        2,
        2,
        1,
        0.5,
        0.5,
    )
    assert [question.right for question in figures.questions] == [2, 1, 1, 0]
    assert figures.hardest is not None
    assert figures.hardest.question.text == "Question 4?"


def test_a_step_that_nobody_finished_has_no_rate(ada: User) -> None:
    step = make_quiz(1)
    start_attempt(annotator=ada, step=step)
    figures = figures_of(step)
    assert (figures.people, figures.tries, figures.pass_rate, figures.hardest) == (1, 0, None, None)
