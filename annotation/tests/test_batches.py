"""The week's life, and what sealing draws."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from annotation.core.grades import Focus
from annotation.errors import ConflictError, IllegalMoveError
from annotation.models import Batch, Comparison, Lease, Prompt, User
from annotation.services.allocation import lease_next
from annotation.services.batches import create_batch, open_batch, seal_batch
from annotation.services.ingest import NewPair, NewResponse, ingest_pairs
from tests.factories import make_batch, make_judgment

Pairs = Callable[..., list[Comparison]]


def judge_all(user: User) -> None:
    while lease_next(annotator=user):
        make_judgment(user)


def test_weeks_are_numbered_from_one(db: None) -> None:
    assert [create_batch().name for _ in range(2)] == ["Week 1", "Week 2"]


def test_two_batches_cannot_share_a_name(db: None) -> None:
    create_batch(name="Pilot")
    with pytest.raises(ConflictError):
        create_batch(name="Pilot")


def test_a_planned_batch_gives_out_nothing(ada: User) -> None:
    batch = create_batch()
    messages = ({"role": "user", "content": "Hello?"},)
    pair = NewPair(
        messages=messages,  # type: ignore[arg-type]
        focus=Focus.HELPFULNESS,
        first=NewResponse(text="One."),
        second=NewResponse(text="Two."),
    )
    ingest_pairs(batch=batch, pairs=[pair])
    assert lease_next(annotator=ada) == []


def test_a_batch_is_sealed_once(week: Batch) -> None:
    seal_batch(batch=week)
    with pytest.raises(IllegalMoveError):
        seal_batch(batch=week)


def test_a_sealed_batch_does_not_open_again(week: Batch) -> None:
    seal_batch(batch=week)
    with pytest.raises(IllegalMoveError):
        open_batch(batch=week)


def test_each_move_is_recorded_with_who_made_it(week: Batch, rosa: User) -> None:
    seal_batch(batch=week, by=rosa)
    assert [(e.state, e.by) for e in week.events.all()] == [
        ("planned", None),
        ("open", None),
        ("sealed", rosa),
    ]


def test_sealing_ends_leases_that_were_not_judged(week: Batch, ada: User, pairs: Pairs) -> None:
    pairs(1)
    lease_next(annotator=ada)
    seal_batch(batch=week)
    assert not Lease.objects.exists()


def test_sealing_holds_out_a_tenth_of_a_small_batch(week: Batch, ada: User, pairs: Pairs) -> None:
    pairs(20)
    judge_all(ada)
    seal_batch(batch=week)
    # 20 examples of one prompt each; a tenth is 2.
    assert Prompt.objects.filter(split="test").count() == 2
    assert Prompt.objects.filter(split="train").count() == 18


def test_both_focuses_are_held_out_in_proportion(week: Batch, ada: User, pairs: Pairs) -> None:
    pairs(20)
    pairs(10, focus=Focus.SAFETY)
    judge_all(ada)
    seal_batch(batch=week)
    # 30 examples, a tenth is 3; two thirds of them are about helpfulness.
    test = Prompt.objects.filter(split="test").values_list("focus", flat=True)
    assert sorted(test) == ["helpfulness", "helpfulness", "safety"]


def test_a_prompt_keeps_its_side_in_every_later_week(ada: User) -> None:
    after: set[str] = set()
    for number in (1, 2):
        batch = make_batch(seed=number)
        messages = [({"role": "user", "content": f"Question {i}"},) for i in range(12)]
        ingest_pairs(
            batch=batch,
            pairs=[
                NewPair(
                    messages=m,  # type: ignore[arg-type]
                    focus=Focus.HELPFULNESS,
                    first=NewResponse(text=f"One {number}."),
                    second=NewResponse(text=f"Two {number}."),
                )
                for m in messages
            ],
        )
        judge_all(ada)
        before = set(Prompt.objects.filter(split="test").values_list("key", flat=True))
        seal_batch(batch=batch)
        after = set(Prompt.objects.filter(split="test").values_list("key", flat=True))
        assert before <= after
    # 12 examples a week, a tenth is 1, and the second week's one is already held out by the first's.
    assert len(after) == 1
