"""The parts of the pairs of which accuracy is told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from annotation.core.grades import Focus, Grade
from annotation.core.records import Message
from rewardmodel.core.evaluation import slices
from rewardmodel.core.evaluation.pairs import ScoredPair, table_of
from rewardmodel.tests.scored import scored


def test_weeks_stand_in_the_order_of_their_numbers() -> None:
    pair = scored(1, 0)
    pairs = [ScoredPair(replace(pair.record, batch=f"week-{number}"), 1.0, 0.0) for number in (10, 2, 1)]
    assert list(slices.by_batch(table_of(pairs))) == ["week-1", "week-2", "week-10"]


@pytest.mark.parametrize(("turns", "name"), [(1, "1"), (2, "2"), (4, "4"), (5, "5+"), (9, "5+")])
def test_turns_are_the_users(turns: int, name: str) -> None:
    exchange: list[Message] = [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "So."}]
    messages = (exchange * turns)[:-1]
    assert list(slices.by_turns(table_of([scored(1, 0, messages=messages)]))) == [name]


@pytest.mark.parametrize(
    ("lengths", "name"),
    [
        ((1, 502), "shorter by more than 500"),
        ((1, 501), "shorter by 101 to 500"),
        ((1, 102), "shorter by 101 to 500"),
        ((1, 101), "within 100"),
        ((101, 1), "within 100"),
        ((102, 1), "longer by 101 to 500"),
        ((501, 1), "longer by 101 to 500"),
        ((502, 1), "longer by more than 500"),
    ],
)
def test_length_differences_are_cut_in_characters(lengths: tuple[int, int], name: str) -> None:
    assert list(slices.by_length_difference(table_of([scored(1, 0, lengths=lengths)]))) == [name]


def test_every_part_has_the_baselines_of_its_own_pairs_beside_it() -> None:
    # Of the better ones the longer was chosen in one of two, of the others in none.
    pairs = [
        scored(1, 0, grade=Grade.BETTER, lengths=(2, 1)),
        scored(1, 0, grade=Grade.BETTER, lengths=(1, 2)),
        scored(1, 0, grade=Grade.SLIGHTLY_BETTER, lengths=(1, 2)),
    ]
    found = slices.by_grade(table_of(pairs))
    assert found["better"]["length"] == 0.5
    assert found["slightly_better"]["length"] == 0.0
    assert found["better"]["bag_of_words"] is None
    assert found["better"]["people"] is None


def test_the_square_has_each_model_on_each_focus() -> None:
    own = {"accuracy": 0.63, "pairs": 9, "by_grade": {"better": {"accuracy": 0.7}}}
    other = {"accuracy": 0.56, "pairs": 5, "by_grade": {}}
    found = slices.square(
        {
            Focus.HELPFULNESS: {**own, "other_focus": other},
            Focus.SAFETY: {"accuracy": 0.64, "pairs": 5, "by_grade": {}, "other_focus": None},
        }
    )
    assert found == {
        "helpfulness": {"helpfulness": {"better": 0.7, "all": 0.63}, "safety": {"all": 0.56}},
        "safety": {"safety": {"all": 0.64}, "helpfulness": None},
    }
