"""All figures of a reward model together: what stands where, by hand, and the laws that hold for any rewards."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotation.core.grades import Focus, Grade, MarginTable, SafetyLabel
from rewardmodel.core.evaluate import ScoredPair, evaluate, summary
from rewardmodel.core.report import RunFailedError
from rewardmodel.tests.examples import make_record
from rewardmodel.tests.scored import scored


def figures_of(own: Sequence[ScoredPair], other: Sequence[ScoredPair] = ()) -> dict[str, Any]:
    return evaluate(own, other, train=(), split="test", margin_table=MarginTable.NONE)


def test_accuracy_counts_a_tie_as_half() -> None:
    # Right, wrong, tie: (1 + 0 + 1/2) / 3 = 1/2.
    figures = figures_of([scored(2, 1), scored(1, 2), scored(1, 1)])
    assert figures["accuracy"] == 0.5
    assert figures["pairs"] == 3
    assert figures["ties"] == 1
    assert figures["split"] == "test"
    assert figures["other_focus"] is None


def test_accuracy_is_told_by_grade_and_an_unstated_grade_is_none() -> None:
    pairs = [
        scored(2, 1, grade=Grade.SIGNIFICANTLY_BETTER),
        scored(1, 2, grade=Grade.NEGLIGIBLY_BETTER),
        scored(3, 2, grade=Grade.NEGLIGIBLY_BETTER),
        scored(1, 2),
    ]
    found = {grade: (one["accuracy"], one["pairs"]) for grade, one in figures_of(pairs)["by_grade"].items()}
    assert found == {"significantly_better": (1.0, 1), "negligibly_better": (0.5, 2), "none": (0.0, 1)}


def test_the_length_baseline_chooses_the_longer_response() -> None:
    # Chosen longer, shorter, equal, longer: (1 + 0 + 1/2 + 1) / 4 = 5/8, whatever the rewards.
    pairs = [scored(0, 1, lengths=pair) for pair in ((9, 1), (1, 9), (3, 3), (2, 1))]
    assert figures_of(pairs)["length_baseline"] == 0.625


def test_the_loss_is_that_of_equation_2_with_the_table_that_was_trained_with() -> None:
    # Difference 1, margin of "better" in the small table 2/3: log(1 + exp(-1/3)). Large table: margin 2, e^1.
    pair = [scored(1, 0, grade=Grade.BETTER)]
    small, large = (
        evaluate(pair, [], train=(), split="test", margin_table=table)["loss"]
        for table in (MarginTable.SMALL, MarginTable.LARGE)
    )
    assert small == pytest.approx(math.log1p(math.exp(-1 / 3)))
    assert large == pytest.approx(math.log1p(math.exp(1)))


def test_a_hopeless_pair_gives_a_large_loss_and_no_overflow() -> None:
    assert figures_of([scored(-1e6, 1e6)])["loss"] == pytest.approx(2e6)


def test_the_other_focus_is_apart_and_has_its_grades() -> None:
    other = [ScoredPair(make_record(focus=Focus.SAFETY, grade=Grade.BETTER), 0.0, 1.0)]
    figures = figures_of([scored(1, 0)], other)
    assert figures["accuracy"] == 1.0
    assert figures["other_focus"]["accuracy"] == 0.0
    assert figures["other_focus"]["by_grade"]["better"]["pairs"] == 1
    assert list(figures["by_focus"]) == ["helpfulness"]


def test_no_pairs_give_none_and_not_a_division_by_zero() -> None:
    figures = figures_of([])
    assert figures["pairs"] == 0
    assert figures["by_grade"] == {}
    for name in ("accuracy", "low", "high", "length_baseline", "loss", "calibration", "spread", "unsafe"):
        assert figures[name] is None, name


def test_one_pair_is_enough_for_every_figure() -> None:
    pair = ScoredPair(make_record(safety=SafetyLabel.CHOSEN_SAFE), 1.0, -1.0)
    figures = evaluate([pair], [pair], train=[pair.record], split="test", margin_table=MarginTable.SMALL)
    assert figures["accuracy"] == 1.0
    assert figures["calibration"]["bins"][0]["pairs"] == 1
    assert figures["unsafe"]["unsafe"] == 2
    assert figures["bag_of_words"] is None
    json.dumps(figures, allow_nan=False)


def test_a_reward_that_is_no_number_is_refused_with_the_pair_that_has_it() -> None:
    pair = scored(math.nan, 0)
    with pytest.raises(RunFailedError, match=pair.record.id):
        figures_of([pair])


def test_the_summary_has_the_names_that_lists_and_the_api_read() -> None:
    short = summary(figures_of([scored(1, 0, grade=Grade.BETTER)]))
    assert short["by_grade"] == {
        "better": {name: short[name] for name in ("accuracy", "low", "high", "pairs")}
    }
    assert {"accuracy", "pairs", "length_baseline", "other_focus", "split", "loss"} <= short.keys()
    assert "against" not in short


@pytest.mark.parametrize("name", ["against", "held_back"])
def test_the_summary_keeps_what_others_measured(name: str) -> None:
    assert summary({**figures_of([scored(1, 0)]), name: {"pairs": 3}})[name] == {"pairs": 3}


# Sixteenths are added and taken away without rounding.
rewards = st.integers(-160, 160).map(lambda number: number / 16)
drawn = st.lists(st.tuples(rewards, rewards, st.integers(0, 4)), min_size=1, max_size=40)


def pairs_of(rows: list[tuple[float, float, int]]) -> list[ScoredPair]:
    """Pairs of five prompts at most, with grades, labels and judgments of several people."""
    labels = [*SafetyLabel, None]
    return [
        ScoredPair(
            replace(
                make_record(number, messages=[{"role": "user", "content": f"Question {kind}?"}]),
                grade=[*Grade, None][kind],
                safety=labels[kind % 4],
                batch=f"week-{kind}",
                judgments=3,
                weight=1.0 if kind % 2 else 2 / 3,
            ),
            chosen,
            rejected,
        )
        for number, (chosen, rejected, kind) in enumerate(rows)
    ]


@given(drawn)
@settings(max_examples=30, deadline=None)
def test_swapping_chosen_and_rejected_turns_an_accuracy_into_its_complement(
    rows: list[tuple[float, float, int]],
) -> None:
    pairs = pairs_of(rows)
    swapped = [ScoredPair(pair.record, pair.rejected, pair.chosen) for pair in pairs]
    here, there = figures_of(pairs), figures_of(swapped)
    for cut in ("by_grade", "by_batch", "by_turns"):
        for name, one in here[cut].items():
            assert there[cut][name]["accuracy"] == pytest.approx(1 - one["accuracy"])
            assert there[cut][name]["low"] == pytest.approx(1 - one["high"])
    assert there["accuracy"] == pytest.approx(1 - here["accuracy"])


@given(drawn, st.randoms(use_true_random=False))
@settings(max_examples=30, deadline=None)
def test_the_order_of_the_pairs_changes_nothing(
    rows: list[tuple[float, float, int]], order: random.Random
) -> None:
    pairs = pairs_of(rows)
    shuffled = list(pairs)
    order.shuffle(shuffled)
    train = [pair.record for pair in pairs]
    one = evaluate(pairs, pairs, train=train, split="test", margin_table=MarginTable.SMALL)
    other = evaluate(shuffled, shuffled, train=train[::-1], split="test", margin_table=MarginTable.SMALL)
    assert one == other


@given(drawn, st.sampled_from([-64.0, 0.5, 1024.0]))
@settings(max_examples=30, deadline=None)
def test_a_constant_added_to_all_rewards_changes_no_figure_of_pairs(
    rows: list[tuple[float, float, int]], constant: float
) -> None:
    pairs = pairs_of(rows)
    moved = [ScoredPair(p.record, p.chosen + constant, p.rejected + constant) for p in pairs]
    one, other = figures_of(pairs), figures_of(moved)
    # Where a response alone is looked at, a constant does change something.
    for figures in (one, other):
        del figures["unsafe"]
        if figures["spread"]:
            del figures["spread"]["rewards"]
    assert one == other


@given(drawn)
@settings(max_examples=30, deadline=None)
def test_every_interval_holds_its_share_and_lies_between_0_and_1(
    rows: list[tuple[float, float, int]],
) -> None:
    figures = figures_of(pairs_of(rows))
    for cut in ("by_grade", "by_batch", "by_focus", "by_turns", "by_length_difference"):
        for one in figures[cut].values():
            assert 0 <= one["low"] <= one["accuracy"] <= one["high"] <= 1
    json.dumps(figures, allow_nan=False)
