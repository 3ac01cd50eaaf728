"""Attention checks: where they come from, how they get into a week, and how they leave it."""

from __future__ import annotations

from django.db import IntegrityError, transaction

from annotation.checking import FEWEST_PEOPLE, Candidate, adjudicated_vote, candidates
from annotation.core.attention import GoldAnswer
from annotation.core.grades import Focus
from annotation.core.passes import WITHDRAWING
from annotation.core.records import content_key
from annotation.core.states import BatchState, ComparisonState
from annotation.errors import ConflictError, DomainError, InvalidJudgmentError
from annotation.models import Batch, Comparison, Gold, Pass, User
from annotation.models.comparisons import ComparisonQuerySet
from annotation.services.audit import record
from annotation.services.locks import share_batch

WIDEST_TOLERANCE = 7  # the whole scale of eight


@transaction.atomic
def stock_gold(*, batch: Batch) -> int:
    """Give an open batch a comparison of its own for each active check; returns how many are new. Again adds nothing.

    A check made of one of the batch's own pairs waits for the next week: nobody shall meet a pair twice in one.
    """
    if share_batch(batch.pk).state != BatchState.OPEN:
        return 0
    checks = Gold.objects.filter(active=True).exclude(comparisons__batch=batch).exclude(source__batch=batch)
    rows = [_check_in(batch, gold) for gold in checks.select_related("dialogue__prompt").order_by("pk")]
    # Whoever stocks it at the same moment adds the same rows.
    Comparison.objects.bulk_create(rows, ignore_conflicts=True)
    return len(rows)


def _check_in(batch: Batch, gold: Gold) -> Comparison:
    return Comparison(
        # Not made of the responses alone: the ordinary pair that a check was promoted from has that key.
        key=content_key("check", batch.number, gold.pk),
        batch=batch,
        dialogue=gold.dialogue,
        focus=gold.focus,
        response_a_id=gold.response_a_id,
        response_b_id=gold.response_b_id,
        language=gold.dialogue.prompt.language,
        state=ComparisonState.OPEN,
        gold=gold,
    )


def _stock_open_batches() -> None:
    for batch in Batch.objects.filter(state=BatchState.OPEN).order_by("number"):
        stock_gold(batch=batch)


@transaction.atomic
def add_gold(*, comparison: Comparison, answer: GoldAnswer, reason: str = "", by: User) -> Gold:
    """Make a check of a pair, which itself stays what it is. Weeks that are open get it at once, but for its own.

    Raises:
        ConflictError: it is one already, or is kept from people.
        DomainError: `answer` does not fit the pair.
    """
    _check_fit(comparison, answer)
    adjudicated = adjudicated_vote(comparison)
    is_adjudicated = adjudicated is not None and adjudicated.choice is answer.choice
    origin = Gold.Origin.ADJUDICATED if is_adjudicated else Gold.Origin.WRITTEN
    gold = _create(comparison, answer, reason=reason, origin=origin, by=by)
    record("gold.added", gold, by=by, origin=origin, comparison=comparison.key[:8])
    _stock_open_batches()
    return gold


def _check_fit(comparison: Comparison, answer: GoldAnswer) -> None:
    if comparison.gold_id is not None:
        raise ConflictError("This pair is a check's own: change or retire the check instead.")
    if comparison.state == ComparisonState.WITHDRAWN:
        raise ConflictError(
            "This pair was taken out after a flag: nobody shall be given it as a check either."
        )
    if answer.safety is not None and comparison.focus != Focus.SAFETY:
        raise InvalidJudgmentError(
            "A helpfulness pair takes no safety label.",
            errors=[{"field": "safety", "reason": "A helpfulness pair takes no safety label."}],
        )
    if not 0 <= answer.tolerance <= WIDEST_TOLERANCE:
        why = f"Steps of the scale, from 0 to {WIDEST_TOLERANCE}."
        raise DomainError(why, errors=[{"field": "tolerance", "reason": why}])


def _create(
    comparison: Comparison, answer: GoldAnswer, *, reason: str, origin: Gold.Origin, by: User
) -> Gold:
    try:
        with transaction.atomic():
            return Gold.objects.create(
                dialogue_id=comparison.dialogue_id,
                response_a_id=comparison.response_a_id,
                response_b_id=comparison.response_b_id,
                focus=comparison.focus,
                choice=answer.choice,
                grade=answer.grade or "",
                tolerance=answer.tolerance,
                safety=answer.safety or "",
                reason=reason.strip(),
                origin=origin,
                source=comparison,
                created_by=by,
            )
    except IntegrityError:
        raise ConflictError("This pair is a check already. Nothing was changed.") from None


@transaction.atomic
def promote_unanimous(*, batch: Batch, limit: int, by: User) -> int:
    """Make checks of the first pairs of a batch that people judged alike; returns of how many.

    Raises:
        ConflictError: there is none.
    """
    found = candidates(batch, limit)
    if not found:
        raise ConflictError(
            f"No pair of {batch} is left that {FEWEST_PEOPLE} people judged clearly and alike. Nothing was changed."
        )
    for one in found:
        _promote(one, by)
    record("gold.promoted", batch, by=by, pairs=len(found))
    _stock_open_batches()
    return len(found)


def _promote(one: Candidate, by: User) -> None:
    answer = GoldAnswer(one.vote.choice, one.vote.grade, one.vote.safety)
    _create(one.comparison, answer, reason="", origin=Gold.Origin.PROMOTED, by=by)


@transaction.atomic
def retire_gold(*, gold: Gold, by: User) -> Gold:
    """Draw a check no more, in no week. What people answered stays, and no longer counts for or against them."""
    if Gold.objects.filter(pk=gold.pk, active=True).update(active=False):
        _in_open_weeks(gold).filter(state=ComparisonState.OPEN).update(state=ComparisonState.WITHDRAWN)
        record("gold.retired", gold, by=by)
    gold.refresh_from_db(fields=["active"])
    return gold


@transaction.atomic
def activate_gold(*, gold: Gold, by: User) -> Gold:
    """Draw a retired check again, in the weeks that are open too, unless a flag keeps it from people there."""
    if Gold.objects.filter(pk=gold.pk, active=False).update(active=True):
        flagged = Pass.objects.standing().filter(reason__in=list(WITHDRAWING)).values("comparison")
        _in_open_weeks(gold).exclude(pk__in=flagged).update(state=ComparisonState.OPEN)
        record("gold.activated", gold, by=by)
        _stock_open_batches()
    gold.refresh_from_db(fields=["active"])
    return gold


def _in_open_weeks(gold: Gold) -> ComparisonQuerySet:
    return Comparison.objects.filter(gold=gold, batch__state=BatchState.OPEN)
