"""Taking, correcting and taking back judgments. Rows are only added."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID, uuid4

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from annotation.core.disputes import dispute_of
from annotation.core.grades import Choice, Focus, Grade, SafetyLabel
from annotation.core.ordering import left_choice
from annotation.core.states import ComparisonState
from annotation.errors import (
    ConflictError,
    InvalidJudgmentError,
    LeaseLostError,
    NotFoundError,
)
from annotation.models import Comparison, Guideline, Judgment, Lease, User
from annotation.services.checks import mark_check
from annotation.services.leases import claim, expiry
from annotation.services.locks import lock_comparison
from annotation.votes import vote_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a person chose, already in data's terms (never left and right)."""

    choice: Choice
    grade: Grade
    safety: SafetyLabel | None = None
    comment: str = ""
    active_ms: int | None = None
    guideline: int | None = None


def submit_judgment(
    *,
    annotator: User,
    comparison_key: str,
    uid: UUID,
    answer: Answer,
    source: Judgment.Source = Judgment.Source.PERSON,
) -> Judgment:
    """Store one judgment; the same `uid` again returns the stored one and stores nothing.

    Raises:
        InvalidJudgmentError: the safety label does not fit the focus.
        LeaseLostError: the pair went to somebody else meanwhile.
        BatchSealedError: the week is over.
    """
    try:
        with transaction.atomic():
            return _submit(annotator, comparison_key, uid, answer, source)
    except IntegrityError:
        # Two tabs sent the same judgment at once: the other one won, and it holds the very same answer.
        return _stored(annotator, uid, comparison_key)


def _submit(
    annotator: User, comparison_key: str, uid: UUID, answer: Answer, source: Judgment.Source
) -> Judgment:
    earlier = Judgment.objects.filter(uid=uid, annotator=annotator).select_related("comparison").first()
    if earlier is not None:
        if earlier.comparison.key != comparison_key:
            raise ConflictError(
                _("This judgment's id was used for another pair already. Nothing was stored.")
            )
        return earlier
    comparison = lock_comparison(comparison_key)
    _check_label(comparison.focus, answer.safety)
    _claim_lease(comparison, annotator)
    previous = comparison.judgments.filter(annotator=annotator, current=True).first()
    if previous is not None and previous.source == Judgment.Source.REVIEW:
        raise ConflictError(
            _("You have decided on this pair as a reviewer. Skip it: somebody else will judge it.")
        )
    judgment = _append(
        previous,
        uid=uid,
        comparison=comparison,
        annotator=annotator,
        focus=comparison.focus,
        choice=answer.choice,
        grade=answer.grade,
        safety=answer.safety or "",
        comment=answer.comment,
        active_ms=answer.active_ms,
        left=left_choice(
            seed=comparison.batch.seed, comparison=comparison.key, annotator=annotator.pseudonym
        ),
        guideline=_guideline(answer.guideline, comparison.focus),
        source=source,
    )
    mark_check(judgment=judgment)
    settle_comparison(comparison)
    return judgment


@transaction.atomic
def retract_judgment(*, annotator: User, uid: UUID, retraction: UUID | None = None) -> Judgment:
    """Take a judgment back: a superseding row without a choice. The pair returns to its annotator."""
    retraction = retraction or uuid4()
    if (earlier := Judgment.objects.filter(uid=retraction, annotator=annotator).first()) is not None:
        return earlier
    judgment = _stored(annotator, uid)
    comparison = lock_comparison(judgment.comparison.key)
    judgment.refresh_from_db()
    if not judgment.current or judgment.retracted:
        raise LeaseLostError(_("That judgment was changed already. Nothing was taken back."))
    row = _append(
        judgment,
        uid=retraction,
        comparison=comparison,
        annotator=annotator,
        focus=comparison.focus,
        retracted=True,
        source=judgment.source,
    )
    held = Lease.objects.filter(comparison=comparison, annotator=annotator)
    held.update(judged=False, expires_at=expiry(timezone.now()))
    settle_comparison(comparison)
    return row


def _stored(annotator: User, uid: UUID, comparison_key: str | None = None) -> Judgment:
    wanted = Q(uid=uid)
    if comparison_key is not None:
        wanted |= Q(comparison__key=comparison_key, current=True)
    row = Judgment.objects.filter(wanted, annotator=annotator).select_related("comparison").first()
    if row is None:
        raise NotFoundError(_("There is no such judgment of yours."))
    return row


def _check_label(focus: str, label: SafetyLabel | None) -> None:
    if focus == Focus.SAFETY and label is None:
        raise InvalidJudgmentError(
            _(
                "A safety comparison needs a safety label: chosen safe and other unsafe, both safe, or both unsafe."
            )
        )
    if focus != Focus.SAFETY and label is not None:
        raise InvalidJudgmentError(_("A helpfulness comparison takes no safety label."))


def _claim_lease(comparison: Comparison, annotator: User) -> None:
    if not claim(comparison=comparison, annotator=annotator):
        if annotator.paused_at is not None:
            raise LeaseLostError(_("You are paused, and this pair went to others. It was not stored."))
        raise LeaseLostError(
            _("This pair went to somebody else because its time ran out. It was not stored.")
        )


def _guideline(pk: int | None, focus: str) -> Guideline | None:
    """The version that the person says they have read, if there is such a one for this focus."""
    return Guideline.objects.filter(focus=focus, pk=pk).first() if pk is not None else None


def _append(previous: Judgment | None, **columns: object) -> Judgment:
    if previous is not None:
        Judgment.objects.filter(pk=previous.pk, current=True).update(current=False)
    row = Judgment(supersedes=previous, **columns)
    row.save(force_insert=True)
    return row


def settle_comparison(comparison: Comparison) -> None:
    """Restate open or complete, and how far people are apart, from the judgments that count. A check stays open."""
    if comparison.gold_id is not None:
        return
    votes = [vote_of(judgment) for judgment in comparison.judgments.effective().of_annotators()]
    complete = len(votes) >= comparison.batch.overlap
    Comparison.objects.filter(pk=comparison.pk).update(dispute=dispute_of(votes))
    state = ComparisonState.COMPLETE if complete else ComparisonState.OPEN
    Comparison.objects.filter(pk=comparison.pk).exclude(state=ComparisonState.WITHDRAWN).update(state=state)
