"""Passing pairs on, taking that back, and what reviewers do with flags. Ada and Ben annotate, Rosa reviews."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID, uuid4

import pytest

from annotation.core.passes import FLAGS, WITHDRAWING, PassReason
from annotation.core.recipe import Recipe
from annotation.core.states import ComparisonState
from annotation.errors import BatchSealedError, ConflictError, LeaseLostError, NotFoundError
from annotation.models import Batch, Comparison, Judgment, Pass, User
from annotation.queries import annotator_day
from annotation.services.allocation import lease_next
from annotation.services.batches import seal_batch
from annotation.services.passes import handle_flag, pass_on, retract_pass
from annotation.services.snapshot_rows import chosen
from tests.factories import make_judgment

Pairs = Callable[..., list[Comparison]]


def passes(annotator: User, reason: PassReason, *, uid: UUID | None = None) -> Pass:
    """Lease the next pair and pass it on."""
    (comparison,) = lease_next(annotator=annotator)
    return pass_on(
        annotator=annotator, comparison_key=comparison.key, uid=uid or uuid4(), reason=reason, active_ms=900
    )


def flag_again(annotator: User, comparison: Comparison, reason: PassReason) -> Pass:
    return pass_on(annotator=annotator, comparison_key=comparison.key, uid=uuid4(), reason=reason)


def state_of(comparison: Comparison) -> str:
    return Comparison.objects.get(pk=comparison.pk).state


@pytest.mark.parametrize("reason", [reason for reason in PassReason if not reason.withdraws])
def test_a_pair_that_was_passed_on_is_free_for_others_at_once(
    ada: User, ben: User, pairs: Pairs, reason: PassReason
) -> None:
    (comparison,) = pairs(1)
    passes(ada, reason)
    assert lease_next(annotator=ben) == [comparison]


@pytest.mark.parametrize("reason", list(PassReason))
def test_whoever_passed_a_pair_on_is_not_given_it_again(ada: User, pairs: Pairs, reason: PassReason) -> None:
    pairs(1)
    passes(ada, reason)
    assert lease_next(annotator=ada) == []


def test_a_pair_that_was_passed_on_is_not_counted_as_waiting_for_this_person(
    ada: User, ben: User, week: Batch, pairs: Pairs
) -> None:
    pairs(2)
    passes(ada, PassReason.LANGUAGE)
    assert annotator_day(ada, week).waiting["helpfulness"] == 1
    assert annotator_day(ben, week).waiting["helpfulness"] == 2


@pytest.mark.parametrize("reason", sorted(WITHDRAWING))
def test_a_flag_that_withdraws_keeps_the_pair_from_everybody(
    ada: User, ben: User, pairs: Pairs, reason: PassReason
) -> None:
    (comparison,) = pairs(1)
    passes(ada, reason)
    assert state_of(comparison) == ComparisonState.WITHDRAWN
    assert lease_next(annotator=ben) == []


def test_a_flag_takes_the_pair_out_of_other_hands_too(
    ada: User, ben: User, week: Batch, pairs: Pairs
) -> None:
    Batch.objects.filter(pk=week.pk).update(overlap=2)
    pairs(1)
    lease_next(annotator=ben)
    passes(ada, PassReason.UNSAFE)
    assert lease_next(annotator=ben) == []


def test_a_skip_taken_back_brings_the_pair_back(ada: User, pairs: Pairs) -> None:
    (comparison, *_) = pairs(2)
    row = passes(ada, PassReason.OTHER)
    retract_pass(annotator=ada, uid=row.uid)
    assert comparison in lease_next(annotator=ada, count=2)


def test_a_skip_taken_back_twice_is_taken_back_once(ada: User, pairs: Pairs) -> None:
    pairs(1)
    row = passes(ada, PassReason.OTHER)
    for _ in range(2):
        assert retract_pass(annotator=ada, uid=row.uid).retracted
    assert len(lease_next(annotator=ada)) == 1


def test_a_skip_cannot_be_taken_back_once_somebody_else_holds_the_pair(
    ada: User, ben: User, pairs: Pairs
) -> None:
    pairs(1)
    row = passes(ada, PassReason.OTHER)
    lease_next(annotator=ben)
    with pytest.raises(LeaseLostError):
        retract_pass(annotator=ada, uid=row.uid)
    row.refresh_from_db()
    assert not row.retracted, "what was refused changed nothing"


def test_a_pair_can_be_passed_on_taken_back_and_passed_on_again(ada: User, pairs: Pairs) -> None:
    pairs(1)
    retract_pass(annotator=ada, uid=passes(ada, PassReason.OTHER).uid)
    passes(ada, PassReason.LANGUAGE)
    assert Pass.objects.standing().get().reason == PassReason.LANGUAGE


def test_a_pair_taken_back_can_be_judged(ada: User, pairs: Pairs) -> None:
    (comparison,) = pairs(1)
    retract_pass(annotator=ada, uid=passes(ada, PassReason.BROKEN).uid)
    make_judgment(ada)
    assert state_of(comparison) == ComparisonState.COMPLETE


def test_a_flag_taken_back_puts_the_pair_back_into_the_queue(ada: User, pairs: Pairs) -> None:
    (comparison,) = pairs(1)
    row = passes(ada, PassReason.UNSAFE)
    retract_pass(annotator=ada, uid=row.uid)
    assert state_of(comparison) == ComparisonState.OPEN


def test_a_pair_that_two_people_flagged_stays_out_until_both_take_it_back(
    ada: User, ben: User, week: Batch, pairs: Pairs
) -> None:
    Batch.objects.filter(pk=week.pk).update(overlap=2)
    (comparison,) = pairs(1)
    lease_next(annotator=ben)
    of_ada = passes(ada, PassReason.UNSAFE)
    of_ben = flag_again(ben, comparison, PassReason.BROKEN)
    retract_pass(annotator=ada, uid=of_ada.uid)
    assert state_of(comparison) == ComparisonState.WITHDRAWN
    retract_pass(annotator=ben, uid=of_ben.uid)
    assert state_of(comparison) == ComparisonState.OPEN


def test_a_flag_on_a_judged_pair_keeps_the_judgment_and_leaves_the_pair_out(
    ada: User, week: Batch, pairs: Pairs
) -> None:
    (comparison,) = pairs(1)
    make_judgment(ada)
    row = flag_again(ada, comparison, PassReason.PERSONAL_DATA)
    assert Judgment.objects.effective().count() == 1
    assert not chosen(week, Recipe()).exists()
    retract_pass(annotator=ada, uid=row.uid)
    assert state_of(comparison) == ComparisonState.COMPLETE
    assert chosen(week, Recipe()).exists()


def test_a_judged_pair_cannot_be_skipped(ada: User, pairs: Pairs) -> None:
    (comparison,) = pairs(1)
    make_judgment(ada)
    with pytest.raises(ConflictError, match="judged this pair already"):
        flag_again(ada, comparison, PassReason.OTHER)


def test_the_same_pass_sent_twice_is_stored_once(ada: User, pairs: Pairs) -> None:
    (comparison,) = pairs(1)
    row = passes(ada, PassReason.OTHER)
    again = pass_on(
        annotator=ada, comparison_key=comparison.key, uid=row.uid, reason=PassReason.UNSAFE, comment="x"
    )
    assert (again.pk, again.reason, Pass.objects.count()) == (row.pk, PassReason.OTHER, 1)


def test_a_name_that_stands_for_one_pair_does_not_pass_another_on(ada: User, pairs: Pairs) -> None:
    _, second = pairs(2)
    row = passes(ada, PassReason.OTHER)
    with pytest.raises(ConflictError):
        pass_on(annotator=ada, comparison_key=second.key, uid=row.uid, reason=PassReason.OTHER)


def test_a_pair_that_is_not_in_hand_cannot_be_passed_on(ada: User, ben: User, pairs: Pairs) -> None:
    (comparison,) = pairs(1)
    lease_next(annotator=ben)
    with pytest.raises(LeaseLostError):
        flag_again(ada, comparison, PassReason.UNSAFE)
    assert state_of(comparison) == ComparisonState.OPEN


def test_a_sealed_week_takes_no_pass_and_gives_none_back(ada: User, week: Batch, pairs: Pairs) -> None:
    (_, second) = pairs(2)
    row = passes(ada, PassReason.OTHER)
    seal_batch(batch=week)
    with pytest.raises(BatchSealedError):
        flag_again(ada, second, PassReason.UNSAFE)
    with pytest.raises(BatchSealedError):
        retract_pass(annotator=ada, uid=row.uid)


def test_ben_cannot_take_back_what_ada_passed_on(ada: User, ben: User, pairs: Pairs) -> None:
    pairs(1)
    row = passes(ada, PassReason.OTHER)
    with pytest.raises(NotFoundError):
        retract_pass(annotator=ben, uid=row.uid)


def test_a_name_that_ada_used_neither_stores_for_ben_nor_shows_him_hers(
    ada: User, ben: User, pairs: Pairs
) -> None:
    pairs(2)
    row = passes(ada, PassReason.OTHER)
    with pytest.raises(ConflictError):
        passes(ben, PassReason.OTHER, uid=row.uid)
    assert Pass.objects.get().annotator == ada


@pytest.mark.parametrize(("restore", "state"), [(True, "open"), (False, "withdrawn")])
def test_a_reviewer_puts_a_flagged_pair_back_or_keeps_it_out(
    ada: User, ben: User, rosa: User, pairs: Pairs, restore: bool, state: str
) -> None:
    (comparison,) = pairs(1)
    row = handle_flag(flag=passes(ada, PassReason.UNSAFE), by=rosa, restore=restore)
    assert state_of(comparison) == state
    assert row.handled_by == rosa
    assert row.handled_at is not None
    assert len(lease_next(annotator=ben)) == int(restore)


def test_a_hard_pair_is_kept_out_only_by_a_reviewer(ada: User, rosa: User, pairs: Pairs) -> None:
    (comparison,) = pairs(1)
    row = passes(ada, PassReason.TOO_HARD)
    assert state_of(comparison) == ComparisonState.OPEN
    handle_flag(flag=row, by=rosa, restore=False)
    assert state_of(comparison) == ComparisonState.WITHDRAWN


def test_a_pair_put_back_is_not_given_again_to_whoever_flagged_it(
    ada: User, rosa: User, pairs: Pairs
) -> None:
    pairs(1)
    handle_flag(flag=passes(ada, PassReason.UNSAFE), by=rosa, restore=True)
    assert lease_next(annotator=ada) == []


def test_a_pair_that_was_judged_and_put_back_is_complete_again(ada: User, rosa: User, pairs: Pairs) -> None:
    (comparison,) = pairs(1)
    make_judgment(ada)
    handle_flag(flag=flag_again(ada, comparison, PassReason.UNSAFE), by=rosa, restore=True)
    assert state_of(comparison) == ComparisonState.COMPLETE


def test_one_decision_settles_all_flags_of_a_pair(
    ada: User, ben: User, rosa: User, week: Batch, pairs: Pairs
) -> None:
    Batch.objects.filter(pk=week.pk).update(overlap=2)
    (comparison,) = pairs(1)
    lease_next(annotator=ben)
    first = passes(ada, PassReason.UNSAFE)
    second = flag_again(ben, comparison, PassReason.BROKEN)
    handle_flag(flag=first, by=rosa, restore=True)
    assert state_of(comparison) == ComparisonState.OPEN
    with pytest.raises(ConflictError):
        handle_flag(flag=second, by=rosa, restore=False)


def test_a_flag_that_was_dealt_with_cannot_be_taken_back(ada: User, rosa: User, pairs: Pairs) -> None:
    pairs(1)
    row = handle_flag(flag=passes(ada, PassReason.UNSAFE), by=rosa, restore=False)
    with pytest.raises(LeaseLostError, match="reviewer"):
        retract_pass(annotator=ada, uid=row.uid)


def test_a_later_flag_taken_back_does_not_overrule_the_reviewer(
    ada: User, ben: User, rosa: User, week: Batch, pairs: Pairs
) -> None:
    Batch.objects.filter(pk=week.pk).update(overlap=2)
    (comparison,) = pairs(1)
    lease_next(annotator=ben)
    handle_flag(flag=passes(ada, PassReason.PERSONAL_DATA), by=rosa, restore=False)
    later = flag_again(ben, comparison, PassReason.BROKEN)
    assert later.handled_by == rosa
    with pytest.raises(LeaseLostError, match="reviewer"):
        retract_pass(annotator=ben, uid=later.uid)
    assert state_of(comparison) == ComparisonState.WITHDRAWN


def test_a_flag_that_was_taken_back_is_not_dealt_with(ada: User, rosa: User, pairs: Pairs) -> None:
    pairs(1)
    row = passes(ada, PassReason.UNSAFE)
    retract_pass(annotator=ada, uid=row.uid)
    with pytest.raises(ConflictError):
        handle_flag(flag=row, by=rosa, restore=False)


def test_a_skip_is_no_flag(ada: User, rosa: User, pairs: Pairs) -> None:
    pairs(1)
    with pytest.raises(ConflictError):
        handle_flag(flag=passes(ada, PassReason.OTHER), by=rosa, restore=False)


def test_flags_of_a_sealed_week_change_nothing(ada: User, rosa: User, week: Batch, pairs: Pairs) -> None:
    (comparison,) = pairs(1)
    row = passes(ada, PassReason.UNSAFE)
    seal_batch(batch=week)
    with pytest.raises(BatchSealedError):
        handle_flag(flag=row, by=rosa, restore=True)
    assert state_of(comparison) == ComparisonState.WITHDRAWN


def test_every_reason_is_a_skip_or_a_flag_and_only_flags_withdraw() -> None:
    skips = {reason for reason in PassReason if not reason.is_flag}
    assert skips | FLAGS == set(PassReason)
    assert {reason for reason in PassReason if reason.withdraws} < FLAGS
