"""Taking, correcting and taking back judgments."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
import time_machine
from django.db import IntegrityError, transaction
from django.utils import timezone

from annotation.core.grades import Choice, Focus, Grade, SafetyLabel
from annotation.core.states import ComparisonState
from annotation.errors import (
    BatchSealedError,
    ConflictError,
    InvalidJudgmentError,
    LeaseLostError,
    NotFoundError,
)
from annotation.models import Batch, Comparison, Judgment, User
from annotation.services.allocation import lease_next
from annotation.services.batches import seal_batch
from annotation.services.judgments import Answer, retract_judgment, submit_judgment
from tests.factories import make_judgment

Pairs = Callable[..., list[Comparison]]
BETTER = Answer(choice=Choice.A, grade=Grade.BETTER)


def submit(user: User, comparison: Comparison, answer: Answer = BETTER, uid: UUID | None = None) -> Judgment:
    return submit_judgment(annotator=user, comparison_key=comparison.key, uid=uid or uuid4(), answer=answer)


def test_the_same_judgment_sent_twice_is_stored_once(ada: User, pairs: Pairs) -> None:
    (comparison,) = pairs(1)
    lease_next(annotator=ada)
    uid = uuid4()
    first, second = (submit(ada, comparison, uid=uid) for _ in range(2))
    assert first == second
    assert Judgment.objects.count() == 1


def test_one_id_cannot_stand_for_two_pairs(ada: User, pairs: Pairs) -> None:
    first, second = pairs(2)
    lease_next(annotator=ada, count=2)
    uid = uuid4()
    submit(ada, first, uid=uid)
    with pytest.raises(ConflictError):
        submit(ada, second, uid=uid)


def test_a_complete_comparison_is_given_to_nobody(ada: User, ben: User, pairs: Pairs) -> None:
    (comparison,) = pairs(1)
    make_judgment(ada)
    comparison.refresh_from_db()
    assert comparison.state == ComparisonState.COMPLETE
    assert lease_next(annotator=ben) == []


def test_an_edit_supersedes_and_keeps_the_earlier_row(ada: User, pairs: Pairs) -> None:
    (comparison,) = pairs(1)
    first = make_judgment(ada)
    second = submit(ada, comparison, Answer(choice=Choice.B, grade=Grade.SLIGHTLY_BETTER))
    first.refresh_from_db()
    assert (first.current, second.current, second.supersedes) == (False, True, first)


def test_undo_returns_the_pair_to_its_annotator(ada: User, pairs: Pairs) -> None:
    (comparison,) = pairs(1)
    retract_judgment(annotator=ada, uid=make_judgment(ada).uid)
    assert [c.key for c in lease_next(annotator=ada)] == [comparison.key]
    assert not Judgment.objects.effective().exists()
    assert Judgment.objects.count() == 2


def test_undo_sent_twice_is_one_undo(ada: User, pairs: Pairs) -> None:
    pairs(1)
    judgment = make_judgment(ada)
    uid = uuid4()
    assert retract_judgment(annotator=ada, uid=judgment.uid, retraction=uid) == retract_judgment(
        annotator=ada, uid=judgment.uid, retraction=uid
    )


def test_judging_again_after_undo_counts_once(ada: User, pairs: Pairs) -> None:
    (comparison,) = pairs(1)
    retract_judgment(annotator=ada, uid=make_judgment(ada).uid)
    make_judgment(ada)
    assert Judgment.objects.effective().filter(comparison=comparison).count() == 1


def test_nobody_can_take_back_anothers_judgment(ada: User, ben: User, pairs: Pairs) -> None:
    pairs(1)
    judgment = make_judgment(ada)
    with pytest.raises(NotFoundError):
        retract_judgment(annotator=ben, uid=judgment.uid)


def test_a_pair_that_was_never_leased_cannot_be_judged(ada: User, pairs: Pairs) -> None:
    (comparison,) = pairs(1)
    with pytest.raises(LeaseLostError):
        submit(ada, comparison)


def test_a_late_judgment_counts_while_nobody_else_has_the_pair(ada: User, pairs: Pairs) -> None:
    (comparison,) = pairs(1)
    lease_next(annotator=ada)
    with time_machine.travel(timezone.now() + timedelta(hours=2)):
        assert submit(ada, comparison).pk


def test_a_late_judgment_is_refused_once_the_pair_went_on(ada: User, ben: User, pairs: Pairs) -> None:
    (comparison,) = pairs(1)
    lease_next(annotator=ada)
    with time_machine.travel(timezone.now() + timedelta(hours=2)):
        lease_next(annotator=ben)
        with pytest.raises(LeaseLostError):
            submit(ada, comparison)


def test_a_sealed_batch_takes_no_judgment(ada: User, week: Batch, pairs: Pairs) -> None:
    (comparison,) = pairs(1)
    lease_next(annotator=ada)
    seal_batch(batch=week)
    with pytest.raises(BatchSealedError):
        submit(ada, comparison)


def test_a_safety_comparison_needs_a_label(ada: User, pairs: Pairs) -> None:
    (comparison,) = pairs(1, focus=Focus.SAFETY)
    lease_next(annotator=ada)
    with pytest.raises(InvalidJudgmentError):
        submit(ada, comparison)


def test_a_helpfulness_comparison_takes_no_label(ada: User, pairs: Pairs) -> None:
    (comparison,) = pairs(1)
    lease_next(annotator=ada)
    with pytest.raises(InvalidJudgmentError):
        submit(ada, comparison, Answer(choice=Choice.A, grade=Grade.BETTER, safety=SafetyLabel.BOTH_SAFE))


@pytest.mark.parametrize(
    "columns",
    [
        {"choice": "c"},
        {"choice": ""},
        {"grade": "excellent"},
        {"grade": ""},
        {"safety": "both_safe"},
        {"focus": "safety", "safety": ""},
        {"focus": "safety", "safety": "other_safe"},
        {"focus": "wit"},
        {"current": True},
    ],
)
def test_the_database_refuses_what_the_code_should_never_write(
    ada: User, pairs: Pairs, columns: dict[str, object]
) -> None:
    pairs(1)
    legal = make_judgment(ada)
    values = {"focus": "helpfulness", "choice": "a", "grade": "better", "current": False, **columns}
    with pytest.raises(IntegrityError), transaction.atomic():
        Judgment.objects.create(comparison=legal.comparison, annotator=ada, **values)
