"""What reviewers decide on pairs that people judged differently. A label that they set is a further row.

Each decision names what its reviewer saw (`seen`, from annotation.reviewing.state_of): of two who decide at once one
does, and the other is told.
"""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from annotation.core.grades import Focus
from annotation.core.states import ComparisonState
from annotation.errors import (
    ConflictError,
    DomainError,
    ForbiddenError,
    InvalidJudgmentError,
    NotFoundError,
)
from annotation.models import Comparison, Decision, Judgment, Review, User
from annotation.queries import guideline_in_force
from annotation.reviewing import has_judged, state_of
from annotation.services.audit import record
from annotation.services.judgments import Answer
from annotation.services.locks import lock_comparison


@transaction.atomic
def approve_judgment(*, judgment: Judgment, by: User, seen: str) -> Review:
    """One of the annotators is right: their label becomes the pair's.

    Raises:
        InvalidJudgmentError: it lacks what a label needs, as imported ones may.
        ConflictError, ForbiddenError: as for every decision here (see `_lock`).
    """
    pair = _lock(judgment.comparison, by, seen)
    _check_standing(judgment)
    label = {"choice": judgment.choice, "grade": judgment.grade, "safety": judgment.safety}
    _check_label(pair, **label)
    row = _append(pair, by, **label)
    return _decide(pair, Decision.APPROVED, by, judgment=judgment, adjudication=row)


@transaction.atomic
def set_label(*, comparison: Comparison, answer: Answer, by: User, seen: str) -> Review:
    """None of the annotators is quite right: the reviewer says what the label is.

    Raises:
        InvalidJudgmentError: the safety label does not fit the focus.
        ConflictError, ForbiddenError: as for every decision here (see `_lock`).
    """
    pair = _lock(comparison, by, seen)
    label = {"choice": answer.choice, "grade": answer.grade, "safety": answer.safety or ""}
    _check_label(pair, **label)
    row = _append(pair, by, comment=answer.comment.strip(), **label)
    return _decide(pair, Decision.CORRECTED, by, adjudication=row)


@transaction.atomic
def return_judgment(*, judgment: Judgment, feedback: str, by: User, seen: str) -> Review:
    """Ask its annotator to look again. They may leave it or change it until the week is sealed.

    Raises:
        DomainError: there is no feedback, or nobody to read it.
        ConflictError, ForbiddenError: as for every decision here (see `_lock`).
    """
    if not feedback.strip():
        why = "Say what they should look at: they read nothing else."
        raise DomainError(why, errors=[{"field": "feedback", "reason": why}])
    pair = _lock(judgment.comparison, by, seen)
    _check_standing(judgment)
    if judgment.annotator.imported or not judgment.annotator.is_active:
        raise DomainError("Nobody would read it: the annotator cannot sign in. Set the label yourself.")
    _withdraw_label(pair, by)
    return _decide(pair, Decision.RETURNED, by, judgment=judgment, feedback=feedback.strip())


@transaction.atomic
def dismiss_dispute(*, comparison: Comparison, by: User, seen: str) -> Review:
    """Leave the judgments as they are: the pair is close.

    Raises:
        ConflictError, ForbiddenError: as for every decision here (see `_lock`).
    """
    pair = _lock(comparison, by, seen)
    _withdraw_label(pair, by)
    return _decide(pair, Decision.DISMISSED, by)


@transaction.atomic
def retract_review(*, review: Review, by: User) -> None:
    """Take one's own last decision back: a further row says so, and the pair waits again where people differ.

    Raises:
        ForbiddenError: it is another reviewer's.
        ConflictError: it was taken back, or somebody decided anew since.
        BatchSealedError: the week is over.
    """
    if review.by_id != by.pk:
        raise ForbiddenError("This is another reviewer's decision. You can decide anew.")
    pair = lock_comparison(review.comparison.key)
    rows = pair.judgments.filter(source=Judgment.Source.REVIEW, created_at__gt=review.created_at)
    if pair.reviews.filter(pk__gt=review.pk).exists() or rows.exists():
        raise ConflictError("It was taken back already, or decided anew since. Nothing was changed.")
    _append(pair, by, retracted=True)
    record("review.retracted", pair, by=by, decision=review.decision)


@transaction.atomic
def put_away_feedback(*, annotator: User, review: int) -> Review:
    """Somebody has read what came back to them and leaves their judgment as it is.

    Raises:
        NotFoundError: it is not theirs.
    """
    own = Review.objects.filter(pk=review, decision=Decision.RETURNED, judgment__annotator=annotator)
    if (row := own.first()) is None:
        raise NotFoundError(_("There is nothing like that of yours."))
    Review.objects.filter(pk=row.pk, seen_at=None).update(seen_at=timezone.now())
    row.refresh_from_db(fields=["seen_at"])
    return row


def _lock(comparison: Comparison, by: User, seen: str) -> Comparison:
    """The pair, locked, if this reviewer may decide on what they saw of it.

    Raises:
        BatchSealedError: the week is over.
        ForbiddenError: they judged it themselves.
        ConflictError: it is a check, is out after a flag, or something was decided or said since they looked.
    """
    pair = lock_comparison(comparison.key)
    if (why := why_not(pair, by)) is not None:
        raise why
    if (now := state_of(pair)) == seen:
        return pair
    if now.partition(".")[0] != seen.partition(".")[0]:
        raise ConflictError("Somebody has decided on this pair meanwhile. Nothing was changed: look again.")
    raise ConflictError("A judgment of this pair was changed meanwhile. Nothing was changed: look again.")


def why_not(pair: Comparison, reviewer: User) -> DomainError | None:
    """Why somebody cannot decide on a pair of an open week, if so."""
    if pair.gold_id is not None:
        return ConflictError("It is an attention check: its label is known.")
    if pair.state == ComparisonState.WITHDRAWN:
        return ConflictError("It was taken out after a flag. Deal with the flag first.")
    if has_judged(reviewer, pair):
        return ForbiddenError("You judged this pair yourself: another reviewer has to decide on it.")
    return None


def _check_standing(judgment: Judgment) -> None:
    judgment.refresh_from_db(fields=["current"])
    if not judgment.current or judgment.retracted or judgment.source == Judgment.Source.REVIEW:
        raise ConflictError("This judgment was changed since: it is no longer what its annotator says.")


def _check_label(pair: Comparison, *, choice: str, grade: str, safety: str) -> None:
    if not grade:
        raise InvalidJudgmentError("This judgment states no strength. Set the label yourself.")
    if (pair.focus == Focus.SAFETY) != bool(safety):
        raise InvalidJudgmentError(
            "A safety pair needs a safety label, and a helpfulness pair takes none.",
            errors=[{"field": "safety", "reason": "A safety pair needs one, another takes none."}],
        )


def _append(pair: Comparison, by: User, **columns: object) -> Judgment:
    """A reviewer's row, in the place of what reviewers said of the pair before."""
    said = pair.judgments.filter(source=Judgment.Source.REVIEW, current=True)
    previous = said.first()
    said.update(current=False)
    row = Judgment(
        comparison=pair,
        annotator=by,
        focus=pair.focus,
        source=Judgment.Source.REVIEW,
        guideline=guideline_in_force(pair.focus),
        supersedes=previous,
        **columns,
    )
    row.save(force_insert=True)
    return row


def _withdraw_label(pair: Comparison, by: User) -> None:
    """Where a label stood, the new decision does without."""
    if pair.judgments.effective().filter(source=Judgment.Source.REVIEW).exists():
        _append(pair, by, retracted=True)


def _decide(pair: Comparison, decision: Decision, by: User, **columns: object) -> Review:
    review = Review.objects.create(comparison=pair, by=by, decision=decision, **columns)
    record(f"review.{decision}", pair, by=by)
    return review
