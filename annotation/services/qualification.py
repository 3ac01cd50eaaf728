"""Taking the tests: beginning, answering, handing in, running out of time, and what reviewers say of the writing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from annotation.core.attention import GoldAnswer, score_gold
from annotation.core.grades import Choice, Focus, Grade, SafetyLabel
from annotation.core.qualification import (
    GOOD_POINTS,
    GRACE,
    MOST_POINTS,
    Rules,
    Standing,
    chose_right,
    is_over,
    is_passed,
    share_of,
    vote_of,
)
from annotation.errors import ConflictError, DomainError, ForbiddenError
from annotation.models import (
    Attempt,
    AttemptAnswer,
    AttemptState,
    Gold,
    QualificationStep,
    Question,
    Role,
    StepKind,
    User,
)
from annotation.qualifying import Asked, rules_of, sheet_of, step_for
from annotation.services.audit import record
from annotation.services.certificates import lock_person, settle_certificate
from annotation.services.prompts import NewPrompt, add_prompts

LONGEST_TEXT: Final = 8000  # characters of one piece of writing


@transaction.atomic
def start_attempt(*, annotator: User, step: QualificationStep) -> Attempt:
    """Begin a step, or go on with the try that is open; its clock runs from the first time on.

    Raises:
        NotFoundError: the step is not in force.
        ForbiddenError: they are paused, or did not agree to read safety texts.
        ConflictError: it is not their turn: an earlier step comes first, a reviewer has it, they passed, they have to
            wait, or have no tries left.
    """
    lock_person(annotator)
    _close_overdue(annotator)
    found = step_for(annotator, step.pk)
    if found.open_try is not None:
        return found.open_try
    if User.objects.get(pk=annotator.pk).paused_at is not None:
        raise ForbiddenError(_("You are paused, and take no tests meanwhile."))
    if step.focus not in annotator.focuses:
        raise ForbiddenError(_("This test shows safety texts. Agree to read them first."))
    if found.place.standing is not Standing.READY:
        raise ConflictError(_refusal(found.place.standing))
    now = timezone.now()
    return Attempt.objects.create(
        step=found.step,
        annotator=annotator,
        number=max((t.number for t in found.tries), default=0) + 1,
        deadline=found.rules.deadline(now),
    )


def _refusal(standing: Standing) -> str:
    return {
        Standing.LATER: _("Pass the steps before this one first."),
        Standing.WAITING: _("A reviewer reads what you wrote. You cannot try again meanwhile."),
        Standing.RESTING: _("You cannot try again yet."),
        Standing.BARRED: _("You have no tries left. Ask an administrator."),
    }.get(standing, _("You have passed this step already."))


def save_answers(*, attempt: Attempt, values: Mapping[int, Any]) -> Attempt:
    """Store answers by question, each in the place of the one before: numbers of options, {choice, grade, safety} or
    a text. What is empty is taken out.

    Raises:
        ConflictError: the time is up or it was handed in; nothing was stored.
        DomainError: an answer cannot be one to its question; nothing was stored.
    """
    with transaction.atomic():
        fresh = _locked(attempt)
        if is_open := fresh.state == AttemptState.OPEN and not is_over(fresh.deadline, timezone.now()):
            for asked in sheet_of(fresh):
                if asked.question.pk in values:
                    _save(fresh, asked.question, values[asked.question.pk])
    if not is_open:
        close_overdue_attempts(annotator=attempt.annotator)
        raise ConflictError(_("The time was up, or you had handed it in. Nothing more was stored."))
    return fresh


def _save(attempt: Attempt, question: Question, value: Any) -> None:
    if not _is_legal(question, value):
        raise DomainError(_("One of the answers cannot be read. Nothing was stored."))
    if value.strip() if isinstance(value, str) else value:
        AttemptAnswer.objects.update_or_create(attempt=attempt, question=question, defaults={"value": value})
    else:
        AttemptAnswer.objects.filter(attempt=attempt, question=question).delete()


def _is_legal(question: Question, value: Any) -> bool:
    if question.step.kind == StepKind.QUIZ:
        numbers = range(len(question.options))
        return isinstance(value, list) and all(isinstance(n, int) and n in numbers for n in value)
    if question.step.kind == StepKind.WRITING:
        return isinstance(value, str) and len(value) <= LONGEST_TEXT and "\0" not in value
    legal: dict[str, list[str]] = {"choice": [*Choice], "grade": [*Grade], "safety": [*SafetyLabel]}
    return isinstance(value, Mapping) and all(v in legal.get(part, ()) for part, v in value.items())


def submit_attempt(*, attempt: Attempt) -> Attempt:
    """Hand a try in; once more changes nothing. A quiz and a rating are scored at once.

    Raises:
        DomainError: fewer pieces of writing than the step asks for; it stays open.
    """
    with transaction.atomic():
        lock_person(attempt.annotator)
        fresh = _locked(attempt)
        if fresh.state != AttemptState.OPEN:
            return fresh
        now = timezone.now()
        sheet = sheet_of(fresh)
        given = sum(asked.given for asked in sheet)
        if fresh.step.kind == StepKind.WRITING and given < fresh.step.fewest and not _ended(fresh, now):
            words = _("Write at least {fewest}: there are {given} so far. Everything is kept.")
            raise DomainError(words.format(fewest=fresh.step.fewest, given=given))
        return _close(fresh, sheet, min(now, fresh.deadline or now))


def _ended(attempt: Attempt, now: datetime) -> bool:
    return attempt.deadline is not None and now > attempt.deadline


def close_overdue_attempts(*, annotator: User | None = None) -> int:
    """Score every try whose time is up as it stands, or one person's; returns how many."""
    late = Attempt.objects.filter(state=AttemptState.OPEN, deadline__lt=timezone.now() - GRACE)
    people = User.objects.filter(pk__in=late.values("annotator")).order_by("pk")
    if annotator is not None:
        people = people.filter(pk=annotator.pk)
    closed = 0
    for person in people:
        with transaction.atomic():
            lock_person(person)
            closed += _close_overdue(person)
    return closed


def _close_overdue(annotator: User) -> int:
    """`annotator` is locked."""
    late = Attempt.objects.filter(annotator=annotator, state=AttemptState.OPEN)
    rows = (
        late.filter(deadline__lt=timezone.now() - GRACE)
        .select_related("step")
        .select_for_update(of=("self",))
    )
    attempts = list(rows)
    for attempt in attempts:
        _close(attempt, sheet_of(attempt), attempt.deadline or timezone.now())
    return len(attempts)


def _locked(attempt: Attempt) -> Attempt:
    rows = Attempt.objects.select_related("step", "annotator").select_for_update(of=("self",))
    return rows.get(pk=attempt.pk)


def _close(attempt: Attempt, sheet: Sequence[Asked], at: datetime) -> Attempt:
    """End an open try, which is locked, as is its taker."""
    rules = rules_of(attempt.step, len(sheet))
    answers = [asked.answer for asked in sheet if asked.given and asked.answer is not None]
    attempt.ended_at = at
    if attempt.step.kind == StepKind.WRITING:
        enough = bool(answers) and len(answers) >= rules.fewest
        return _end(attempt, AttemptState.SUBMITTED if enough else AttemptState.FAILED)
    for answer in answers:
        answer.right = _is_right(answer)
    AttemptAnswer.objects.bulk_update(answers, ["right"])
    return _decide(attempt, rules, earned=sum(bool(a.right) for a in answers), given=len(answers))


def _is_right(answer: AttemptAnswer) -> bool:
    question = answer.question
    if question.gold is None:
        return chose_right(answer.value, question.right)
    vote = vote_of(answer.value, Focus(question.gold.focus))
    return vote is not None and score_gold(vote, _reference(question.gold)).right


def _reference(gold: Gold) -> GoldAnswer:
    return GoldAnswer(
        choice=Choice(gold.choice),
        grade=Grade(gold.grade) if gold.grade else None,
        safety=SafetyLabel(gold.safety) if gold.safety else None,
        tolerance=gold.tolerance,
    )


def _decide(attempt: Attempt, rules: Rules, *, earned: int, given: int, worth: int = 1) -> Attempt:
    attempt.score = share_of(earned, given=given, rules=rules, worth=worth)
    passed = is_passed(attempt.score, given=given, rules=rules)
    return _end(attempt, AttemptState.PASSED if passed else AttemptState.FAILED)


def _end(attempt: Attempt, state: AttemptState) -> Attempt:
    attempt.state = state
    attempt.save(update_fields=["state", "ended_at", "score", "reviewed_by"])
    if state == AttemptState.PASSED:
        settle_certificate(annotator=attempt.annotator, focus=Focus(attempt.step.focus))
    return attempt


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What a reviewer says of one piece of writing. `pool`: as it goes into the prompt pool; empty: not at all."""

    points: int
    comment: str = ""
    pool: str = ""


@transaction.atomic
def review_attempt(*, attempt: Attempt, by: User, marks: Mapping[int, Mark]) -> Attempt:
    """Give points to everything that was written, by primary key of the answer. The mean decides, and the comments
    are shown to whoever wrote it.

    Raises:
        ForbiddenError: `by` is no reviewer, or wrote it.
        ConflictError: somebody reviewed it meanwhile.
        DomainError: an answer has no legal points, or goes into the pool with too few.
    """
    if not by.may(Role.REVIEWER) or by.pk == attempt.annotator_id:
        raise ForbiddenError("Somebody else has to review this: nobody reviews what they wrote themselves.")
    lock_person(attempt.annotator)
    fresh = _locked(attempt)
    if fresh.state != AttemptState.SUBMITTED:
        raise ConflictError("Somebody has reviewed this already. Nothing was changed.")
    answers = list(fresh.answers.select_related("question"))
    _check_marks({answer.pk for answer in answers}, marks)
    for answer in answers:
        answer.points, answer.comment = marks[answer.pk].points, marks[answer.pk].comment.strip()
    AttemptAnswer.objects.bulk_update(answers, ["points", "comment"])
    asked = fresh.step.questions.count()
    fresh.reviewed_by = by
    earned = sum(mark.points for mark in marks.values())
    _decide(fresh, rules_of(fresh.step, asked), earned=earned, given=len(answers), worth=MOST_POINTS)
    added = _fill_pool(fresh, marks)
    record("attempt.reviewed", fresh, by=by, state=fresh.state, score=fresh.score, prompts_added=added)
    return fresh


def _check_marks(answers: set[int], marks: Mapping[int, Mark]) -> None:
    if set(marks) != answers or not all(1 <= mark.points <= MOST_POINTS for mark in marks.values()):
        raise DomainError(f"Give 1 to {MOST_POINTS} points for each. Nothing was stored.")
    if any(mark.pool.strip() and mark.points < GOOD_POINTS for mark in marks.values()):
        raise DomainError(f"What goes into the pool has {GOOD_POINTS} points or more. Nothing was stored.")


def _fill_pool(attempt: Attempt, marks: Mapping[int, Mark]) -> int:
    focus = Focus(attempt.step.focus)
    texts = [mark.pool.strip() for mark in marks.values() if mark.pool.strip()]
    return add_prompts(NewPrompt(text=text, focus=focus, source="qualification") for text in texts)
