"""The figures of a reward model, by hand."""

from __future__ import annotations

import math

import pytest

from annotation.core.grades import Focus, Grade, MarginTable
from rewardmodel.core.evaluate import ScoredPair, metrics
from rewardmodel.tests.examples import make_record


def scored(
    chosen: float, rejected: float, *, grade: Grade | None = None, lengths: tuple[int, int] = (1, 1)
) -> ScoredPair:
    record = make_record(grade=grade, chosen="a" * lengths[0], rejected="b" * lengths[1])
    return ScoredPair(record, chosen, rejected)


def test_accuracy_counts_a_tie_as_half() -> None:
    # Right, wrong, tie: (1 + 0 + 1/2) / 3 = 1/2.
    figures = metrics(
        [scored(2, 1), scored(1, 2), scored(1, 1)], [], split="test", margin_table=MarginTable.NONE
    )
    assert figures["accuracy"] == 0.5
    assert figures["pairs"] == 3
    assert figures["split"] == "test"
    assert figures["other_focus"] is None


def test_accuracy_is_told_by_grade_and_an_unstated_grade_is_none() -> None:
    pairs = [
        scored(2, 1, grade=Grade.SIGNIFICANTLY_BETTER),
        scored(1, 2, grade=Grade.NEGLIGIBLY_BETTER),
        scored(3, 2, grade=Grade.NEGLIGIBLY_BETTER),
        scored(1, 2),
    ]
    figures = metrics(pairs, [], split="test", margin_table=MarginTable.NONE)
    assert figures["by_grade"] == {
        "significantly_better": {"accuracy": 1.0, "pairs": 1},
        "negligibly_better": {"accuracy": 0.5, "pairs": 2},
        "none": {"accuracy": 0.0, "pairs": 1},
    }


def test_the_length_baseline_chooses_the_longer_response() -> None:
    # Chosen longer, shorter, equal, longer: (1 + 0 + 1/2 + 1) / 4 = 5/8, whatever the rewards.
    pairs = [scored(0, 1, lengths=pair) for pair in ((9, 1), (1, 9), (3, 3), (2, 1))]
    assert metrics(pairs, [], split="train", margin_table=MarginTable.NONE)["length_baseline"] == 0.625


def test_the_loss_is_that_of_equation_2_with_the_table_that_was_trained_with() -> None:
    # Difference 1, margin of "better" in the small table 2/3: log(1 + exp(-1/3)). Large table: margin 2, e^1.
    pair = [scored(1, 0, grade=Grade.BETTER)]
    small = metrics(pair, [], split="test", margin_table=MarginTable.SMALL)["loss"]
    large = metrics(pair, [], split="test", margin_table=MarginTable.LARGE)["loss"]
    assert small == pytest.approx(math.log1p(math.exp(-1 / 3)))
    assert large == pytest.approx(math.log1p(math.exp(1)))


def test_a_hopeless_pair_gives_a_large_loss_and_no_overflow() -> None:
    figures = metrics([scored(-1e6, 1e6)], [], split="test", margin_table=MarginTable.NONE)
    assert figures["loss"] == pytest.approx(2e6)


def test_the_other_focus_is_apart() -> None:
    other = [ScoredPair(make_record(focus=Focus.SAFETY), 0.0, 1.0)]
    figures = metrics([scored(1, 0)], other, split="test", margin_table=MarginTable.NONE)
    assert figures["accuracy"] == 1.0
    assert figures["other_focus"] == {"accuracy": 0.0, "pairs": 1}


def test_no_pairs_give_none_and_not_a_division_by_zero() -> None:
    figures = metrics([], [], split="train", margin_table=MarginTable.SMALL)
    assert figures["accuracy"] is None
    assert figures["pairs"] == 0
    assert figures["by_grade"] == {}
    assert figures["length_baseline"] is None
    assert figures["loss"] is None
