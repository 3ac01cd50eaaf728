"""Passing a pair on unjudged: skipping and flagging, and what reviewers do with flags."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from annotation.core.passes import WITHDRAWING, PassReason
from annotation.core.states import BatchState, ComparisonState
from annotation.errors import BatchSealedError, ConflictError, LeaseLostError, NotFoundError
from annotation.models import Comparison, Lease, Pass, User
from annotation.models.comparisons import PassQuerySet
from annotation.services.audit import record
from annotation.services.judgments import settle_comparison
from annotation.services.leases import lease_again, let_go
from annotation.services.locks import lock_comparison, share_batch


def pass_on(
    *,
    annotator: User,
    comparison_key: str,
    uid: UUID,
    reason: PassReason,
    comment: str = "",
    active_ms: int | None = None,
) -> Pass:
    """Store why somebody does not judge a pair and free it for others; the same `uid` again changes nothing.

    A pair that they judged already can be flagged, and their judgment stays; it cannot be skipped.

    Raises:
        LeaseLostError: the pair went to somebody else meanwhile.
        ConflictError: it was judged, and so cannot be skipped.
        BatchSealedError: the week is over.
    """
    columns = {"reason": reason, "comment": comment, "active_ms": active_ms}
    try:
        with transaction.atomic():
            return _pass_on(annotator, comparison_key, uid, columns)
    except IntegrityError:
        # Two tabs passed the pair on at once: one of the two rows says it.
        same = Pass.objects.standing().filter(annotator=annotator, comparison__key=comparison_key).first()
        if same is None:
            raise ConflictError(_("This id was used already. Nothing was stored.")) from None
        return same


def _pass_on(annotator: User, comparison_key: str, uid: UUID, columns: Mapping[str, object]) -> Pass:
    earlier = Pass.objects.filter(uid=uid, annotator=annotator).select_related("comparison").first()
    if earlier is not None:
        if earlier.comparison.key != comparison_key:
            raise ConflictError(_("This id was used for another pair already. Nothing was stored."))
        return earlier
    comparison = lock_comparison(comparison_key)
    reason = PassReason(str(columns["reason"]))
    if not _let_go(comparison, annotator, reason):
        return _said_before(comparison, annotator, uid, reason)
    row = Pass(uid=uid, comparison=comparison, annotator=annotator, **columns)
    if reason.is_flag and (verdict := _verdict(comparison)) is not None:
        row.handled_by, row.handled_at = verdict.handled_by, verdict.handled_at
    row.save(force_insert=True)
    if reason.withdraws:
        Comparison.objects.filter(pk=comparison.pk).update(state=ComparisonState.WITHDRAWN)
    return row


def _verdict(comparison: Comparison) -> Pass | None:
    """The flag for which a reviewer keeps the pair out. It speaks for later flags of the pair too, so that taking
    one of those back does not overrule the reviewer."""
    if comparison.state != ComparisonState.WITHDRAWN or _keeping_out(comparison).exists():
        return None
    handled = Pass.objects.standing().flags().filter(comparison=comparison, handled_at__isnull=False)
    return handled.select_related("handled_by").order_by("-handled_at").first()


def _keeping_out(comparison: Comparison) -> PassQuerySet:
    """Flags that keep the pair from others until a reviewer has looked."""
    return Pass.objects.standing().filter(
        comparison=comparison, reason__in=list(WITHDRAWING), handled_at=None
    )


def _let_go(comparison: Comparison, annotator: User, reason: PassReason) -> bool:
    """Free this person's slot; False: they have none."""
    own = Lease.objects.filter(comparison=comparison, annotator=annotator)
    lease = own.select_related("comparison").first()
    if lease is None:
        return False
    if not lease.judged:
        let_go(lease=lease)
    elif not reason.is_flag:
        raise ConflictError(
            _("You judged this pair already. Take the judgment back first, or flag the pair.")
        )
    return True


def _said_before(comparison: Comparison, annotator: User, uid: UUID, reason: PassReason) -> Pass:
    """What a request that waited for the lock finds: the same was said meanwhile, or the pair is gone."""
    same = Pass.objects.standing().filter(comparison=comparison, annotator=annotator)
    row = same.filter(Q(uid=uid) | Q(reason=reason)).first()
    if row is None:
        raise LeaseLostError(
            _("This pair went to somebody else because its time ran out. It was not stored.")
        )
    return row


@transaction.atomic
def retract_pass(*, annotator: User, uid: UUID) -> Pass:
    """Take a skip or a flag back: the pair is this person's again. Once more changes nothing.

    Raises:
        NotFoundError: no such pass of theirs.
        LeaseLostError: the pair is in other hands now, or a reviewer took it out.
    """
    row = Pass.objects.filter(uid=uid, annotator=annotator).select_related("comparison").first()
    if row is None:
        raise NotFoundError(_("There is nothing like that of yours to take back."))
    if row.retracted:
        return row
    comparison = lock_comparison(row.comparison.key)
    row.refresh_from_db()
    if row.handled_at is not None:
        raise LeaseLostError(_("A reviewer has dealt with your flag already. It cannot be taken back."))
    Pass.objects.filter(pk=row.pk).update(retracted=True)
    row.retracted = True
    if row.reason in WITHDRAWING:
        _restore(comparison)
    lease_again(comparison=comparison, annotator=annotator)
    return row


def _restore(comparison: Comparison) -> None:
    """Back into the queue, unless another standing flag keeps it out."""
    if _keeping_out(comparison).exists():
        return
    Comparison.objects.filter(pk=comparison.pk).update(state=ComparisonState.OPEN)
    settle_comparison(comparison)


@transaction.atomic
def handle_flag(*, flag: Pass, by: User, restore: bool) -> Pass:
    """A reviewer has looked: the pair goes back into the queue, or stays out. All its open flags are dealt with.

    Raises:
        ConflictError: somebody dealt with it meanwhile.
        BatchSealedError: the week is sealed, and nothing in it changes any more.
    """
    comparison = Comparison.objects.select_related("batch").get(pk=flag.comparison_id)
    if share_batch(comparison.batch_id).state == BatchState.SEALED:
        raise BatchSealedError(f"{comparison.batch.name} is sealed: its pairs do not change any more.")
    comparison = (
        Comparison.objects.select_for_update(of=("self",)).select_related("batch").get(pk=comparison.pk)
    )
    open_flags = Pass.objects.standing().flags().filter(comparison=comparison, handled_at=None)
    if not open_flags.update(handled_by=by, handled_at=timezone.now()):
        raise ConflictError("Somebody has dealt with this flag already. Nothing was changed.")
    if restore:
        _restore(comparison)
    else:
        Comparison.objects.filter(pk=comparison.pk).update(state=ComparisonState.WITHDRAWN)
    flag.refresh_from_db()
    record("flag.handled", comparison, by=by, reason=flag.reason, kept_out=not restore)
    return flag
