"""Building the tests: steps of a focus, their questions, their versions.

Each place of a focus holds versions of one step, at most one of them in force. What somebody has tried is never
changed in what its result rests on: it is copied, and the copy takes the place once it is put in force.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Final, NoReturn

from django.db import transaction
from django.db.models import Max

from annotation.core.grades import Focus
from annotation.errors import ConflictError, DomainError
from annotation.models import Gold, QualificationStep, Question, StepKind, User
from annotation.services.audit import record

_NOWHERE: Final = 32_767  # a place that no step has, while two change places
_MATTERS: Final = ("minutes", "pass_share", "fewest")  # what a result rests on, beside the questions


@dataclass(frozen=True, slots=True, kw_only=True)
class StepDraft:
    """What can be set on a step (annotation.models.QualificationStep)."""

    title: str
    intro: str = ""
    minutes: int = 0
    pass_share: float = 0.8
    fewest: int = 0
    attempts: int = 2
    wait_hours: int = 24
    valid_days: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionDraft:
    """A question. `options` and the numbers of the `right` ones for a quiz, `gold` for a rating, `text` for both a
    quiz and a writing task."""

    text: str = ""
    options: tuple[str, ...] = ()
    right: tuple[int, ...] = ()
    gold: Gold | None = None
    explanation: str = ""


@transaction.atomic
def create_step(*, focus: Focus, kind: StepKind, draft: StepDraft, by: User | None) -> QualificationStep:
    """A step at the end of its focus. It is not in force before it has questions and is put there."""
    last = QualificationStep.objects.filter(focus=focus).aggregate(last=Max("position"))["last"] or 0
    step = QualificationStep.objects.create(
        focus=focus, kind=kind, position=last + 1, active=False, **asdict(draft)
    )
    record("step.added", step, by=by, focus=focus, kind=kind)
    return step


@transaction.atomic
def change_step(*, step: QualificationStep, draft: StepDraft, by: User) -> QualificationStep:
    """Change a step's words and numbers.

    Raises:
        ConflictError: somebody tried it, and a number would change on which results rest.
    """
    row = _locked(step)
    changed = {name: value for name, value in asdict(draft).items() if getattr(row, name) != value}
    if any(name in changed for name in _MATTERS):
        _check_untried(row)
    for name, value in changed.items():
        setattr(row, name, value)
    if changed:
        row.save(update_fields=list(changed))
        record("step.changed", row, by=by, fields=sorted(changed))
    return row


@transaction.atomic
def copy_step(*, step: QualificationStep, by: User) -> QualificationStep:
    """A new version, not in force yet, of the same place and with the same questions."""
    row = _locked(step)
    questions = list(row.questions.all())
    copy = QualificationStep.objects.get(pk=row.pk)
    copy.pk, copy.active = None, False
    copy.save(force_insert=True)
    for question in questions:
        question.pk, question.step = None, copy
        question.save(force_insert=True)
    record("step.copied", copy, by=by, source=row.pk)
    return copy


@transaction.atomic
def activate_step(*, step: QualificationStep, by: User | None) -> QualificationStep:
    """Put a step in force, in the place of the version that was.

    Raises:
        ConflictError: it has no questions, or fewer than it asks answers for.
    """
    row = _locked(step)
    asked = row.questions.count()
    if asked < max(1, row.fewest):
        raise ConflictError(f"{row} has {asked} questions: add {max(1, row.fewest) - asked} more first.")
    same = QualificationStep.objects.filter(focus=row.focus, position=row.position, active=True)
    replaced = list(same.exclude(pk=row.pk).values_list("pk", flat=True))
    same.exclude(pk=row.pk).update(active=False)
    return _set_active(row, True, by=by, replaced=replaced)


@transaction.atomic
def deactivate_step(*, step: QualificationStep, by: User) -> QualificationStep:
    """Take a step out of the way to its focus. Certificates that stand stay."""
    return _set_active(_locked(step), False, by=by)


def _set_active(
    row: QualificationStep, active: bool, *, by: User | None, **detail: object
) -> QualificationStep:
    if row.active != active:
        row.active = active
        row.save(update_fields=["active"])
        record("step.activated" if active else "step.deactivated", row, by=by, **detail)
    return row


@transaction.atomic
def move_step(*, step: QualificationStep, up: bool, by: User) -> QualificationStep:
    """Change places with the step in force before it, or after it; all their versions go along."""
    same = list(QualificationStep.objects.filter(focus=step.focus).order_by("position").select_for_update())
    row = next(found for found in same if found.pk == step.pk)
    others = {found.position for found in same if found.active and found.position != row.position}
    beside = [place for place in others if (place < row.position) == up]
    if beside:
        other = max(beside) if up else min(beside)
        for frm, to in ((row.position, _NOWHERE), (other, row.position), (_NOWHERE, other)):
            QualificationStep.objects.filter(focus=row.focus, position=frm).update(position=to)
        record("step.moved", row, by=by, before=row.position, after=other)
        row.refresh_from_db()
    return row


@transaction.atomic
def delete_step(*, step: QualificationStep, by: User) -> None:
    """Remove a step that nobody tried.

    Raises:
        ConflictError: somebody did.
    """
    row = _locked(step)
    _check_untried(row)
    record("step.deleted", row, by=by)
    row.delete()


@transaction.atomic
def add_question(*, step: QualificationStep, draft: QuestionDraft, by: User | None) -> Question:
    """A question at the end of a step.

    Raises:
        ConflictError: somebody tried the step.
        DomainError: it is no question of the step's kind.
    """
    row = _locked(step)
    _check_untried(row)
    _check_draft(row, draft)
    last = row.questions.aggregate(last=Max("position"))["last"] or 0
    question = Question.objects.create(step=row, position=last + 1, **_columns(draft))
    record("step.changed", row, by=by, question_added=question.position)
    return question


@transaction.atomic
def change_question(*, question: Question, draft: QuestionDraft, by: User) -> Question:
    """Change a question; of one that somebody was asked, the explanation alone.

    Raises:
        ConflictError: somebody tried the step.
        DomainError: it is no question of the step's kind.
    """
    step = _locked(question.step)
    _check_draft(step, draft)
    columns = _columns(draft)
    changed = {name: value for name, value in columns.items() if getattr(question, name) != value}
    if set(changed) - {"explanation"}:
        _check_untried(step)
    for name, value in changed.items():
        setattr(question, name, value)
    if changed:
        question.save(update_fields=list(changed))
        record("step.changed", step, by=by, question=question.position, fields=sorted(changed))
    return question


@transaction.atomic
def delete_question(*, question: Question, by: User) -> None:
    """Remove a question.

    Raises:
        ConflictError: somebody tried the step.
    """
    step = _locked(question.step)
    _check_untried(step)
    if step.active and step.questions.count() <= max(1, step.fewest):
        raise ConflictError(f"{step} is in force and needs its questions. Take it out of force first.")
    question.delete()
    record("step.changed", step, by=by, question_deleted=question.position)


@transaction.atomic
def move_question(*, question: Question, up: bool, by: User) -> None:
    """Change places with the question before it, or after it.

    Raises:
        ConflictError: somebody tried the step.
    """
    step = _locked(question.step)
    _check_untried(step)
    rows = list(step.questions.all())
    here = [row.pk for row in rows].index(question.pk)
    there = here - 1 if up else here + 1
    if 0 <= there < len(rows):
        one, other = rows[here], rows[there]
        for pk, place in ((one.pk, _NOWHERE), (other.pk, one.position), (one.pk, other.position)):
            Question.objects.filter(pk=pk).update(position=place)
        record("step.changed", step, by=by, question_moved=other.position)


def _locked(step: QualificationStep) -> QualificationStep:
    """The row, locked against a try that would begin meanwhile."""
    return QualificationStep.objects.select_for_update().get(pk=step.pk)


def _check_untried(step: QualificationStep) -> None:
    if step.tries.exists():
        raise ConflictError(
            f"Somebody has tried {step}, so it stays as it is. Make a new version to change it."
        )


def _columns(draft: QuestionDraft) -> dict[str, object]:
    return {
        "text": draft.text.strip(),
        "options": list(draft.options),
        "right": list(draft.right),
        "gold": draft.gold,
        "explanation": draft.explanation.strip(),
    }


def _check_draft(step: QualificationStep, draft: QuestionDraft) -> None:
    if step.kind == StepKind.RATING:
        if draft.gold is None or draft.gold.focus != step.focus:
            _refuse("gold", f"Choose a pair of the focus {step.focus}.")
    elif not draft.text.strip():
        _refuse("text", "A question needs a text.")
    if step.kind == StepKind.QUIZ and not (len(draft.options) > 1 and draft.right):
        _refuse("options", "A question needs at least two options, one of them right.")


def _refuse(field: str, reason: str) -> NoReturn:
    raise DomainError(reason, errors=[{"field": field, "reason": reason}])
