"""What the learning experiments stand on: folds that share no group, intervals, and worlds of the right shape."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import PreTrainedModel

from annotation.core.formats.base import ImportedJudgment, ImportedResponse, Tie, user_turn
from annotation.core.grades import Choice, Focus, MarginTable
from bench.experiments.crossing import chosen_within, cross_validate
from bench.experiments.folds import by_group, by_seed, credits_of, folds_of
from bench.experiments.graded_fits import fit_margin, margins_of, rewards_of
from bench.experiments.heights import encode, network_at
from bench.experiments.plot import Mark, forest
from bench.experiments.probes import bag_of_words, longer, probe, probe_of_components, probe_of_differences
from bench.experiments.sets import settle
from bench.experiments.worlds import (
    BIN_SHARES,
    GRADE_SHARES,
    GradedWorld,
    SafetyWorld,
    counts,
    graded,
    labelled,
)
from rewardmodel.core.backbone import PolicyRef, backbone_of, load_causal_lm
from rewardmodel.core.features import read_batches
from rewardmodel.core.layout import plan_batches
from rewardmodel.core.network import Pooling, RewardNetwork, lower_layers
from rewardmodel.core.rows import Row

GROUPS = [f"prompt {number}" for number in (0, 0, 0, 1, 2, 2, 3, 4, 5, 6, 7, 7)]


def test_no_group_is_in_two_folds() -> None:
    folds = folds_of(GROUPS, 4, seed=1)
    homes = {group: {int(f) for g, f in zip(GROUPS, folds, strict=True) if g == group} for group in GROUPS}
    assert {len(home) for home in homes.values()} == {1}


def test_folds_are_of_like_size() -> None:
    # 12 pairs in 4 folds, the largest group has 3: with the large groups first every fold holds exactly 3.
    assert np.bincount(folds_of(GROUPS, 4, seed=1)).tolist() == [3, 3, 3, 3]


def test_another_seed_falls_otherwise() -> None:
    groups = [str(number) for number in range(50)]
    assert (folds_of(groups, 5, seed=0) != folds_of(groups, 5, seed=1)).any()


def test_fewer_groups_than_folds_are_refused() -> None:
    with pytest.raises(ValueError, match="1 groups cannot fill 2 folds"):
        folds_of(["a", "a"], 2, seed=0)


def test_a_tie_is_half_right() -> None:
    assert credits_of(np.array([2.0, 0.0, -1.0])).tolist() == [1.0, 0.5, 0.0]


def test_an_interval_over_one_group_repeated_is_the_mean() -> None:
    # Both groups hold the same share, 1/2: whichever are drawn, the mean is 1/2.
    estimate = by_group(np.array([1.0, 0.0, 1.0, 0.0]), ["a", "a", "b", "b"])
    assert (estimate.mean, estimate.low, estimate.high) == (0.5, 0.5, 0.5)


def test_pairs_of_one_prompt_widen_the_interval() -> None:
    values = np.tile([1.0, 0.0], 50).repeat(2)
    alone = by_group(values, [str(number) for number in range(200)])
    alike = by_group(values, [str(number // 2) for number in range(200)])
    assert alike.high - alike.low > alone.high - alone.low


def test_the_interval_over_five_seeds_is_students() -> None:
    # Mean 3, sd sqrt(10/4), standard error sqrt(10/4/5) = 0.7071; t(4) = 2.776.
    estimate = by_seed([1.0, 2.0, 3.0, 4.0, 5.0])
    assert estimate.high - estimate.mean == pytest.approx(2.776 * 0.70711, abs=1e-4)


def perfect(pairs: int) -> torch.Tensor:
    """A first feature that is higher in every chosen response, and a second of noise."""
    torch.manual_seed(0)
    features = torch.randn(2 * pairs, 2, dtype=torch.float64)
    features[::2, 0], features[1::2, 0] = 1.0, -1.0
    return features


@pytest.mark.parametrize(
    "method",
    [
        probe(perfect(40), 0.3),
        probe_of_differences(perfect(40), 0.3),
        probe_of_components(perfect(40), 0.3, 2),
        longer([text for _ in range(40) for text in ("a longer text", "short")]),
        longer([text for _ in range(40) for text in ("short", "a longer text")]),
        bag_of_words([text for _ in range(40) for text in ("good words", "bad words")], "tf-idf", 1.0),
    ],
    ids=["probe", "differences", "components", "longer", "shorter", "words"],
)
def test_what_tells_all_pairs_apart_is_always_right(method: object) -> None:
    folds = folds_of([str(number) for number in range(40)], 5, seed=0)
    assert cross_validate(method, folds).tolist() == [1.0] * 40  # type: ignore[arg-type]


def test_what_knows_nothing_is_right_half_the_time() -> None:
    features = torch.ones(80, 3)
    folds = folds_of([str(number) for number in range(40)], 5, seed=0)
    assert cross_validate(probe(features, 0.3), folds).tolist() == [0.5] * 40


def test_the_better_setting_is_chosen_without_the_pairs_that_are_tried() -> None:
    seen: list[set[int]] = []

    def spy(train: np.ndarray, test: np.ndarray) -> np.ndarray:
        seen.append({*train.tolist(), *test.tolist()})
        return np.ones(len(test))

    method, picked = chosen_within({"bad": lambda _, test: -np.ones(len(test)), "good": spy}, GROUPS)
    train, test = np.arange(8), np.arange(8, 12)
    method(train, test)
    assert picked == ["good"]
    assert [pairs & set(test.tolist()) for pairs in seen[:-1]] == [set()] * 3


def judgment(choice: Choice, annotator: str, prompt: str = "Hello") -> ImportedJudgment:
    return ImportedJudgment(
        line=1,
        messages=user_turn(prompt),
        response_a=ImportedResponse("one"),
        response_b=ImportedResponse("two"),
        choice=choice,
        grade=None,
        focus=Focus.HELPFULNESS,
        safety=None,
        annotator=annotator,
    )


def test_the_majority_is_what_people_prefer() -> None:
    votes = [judgment(Choice.B, "Ada"), judgment(Choice.A, "Ben"), judgment(Choice.B, "Rosa")]
    (pair,), told = settle([*votes, Tie(1, "Otto")])
    assert (pair.chosen, pair.rejected, pair.group) == ("two", "one", "Hello")
    assert told == {"judgments": 3, "judged_pairs": 1, "even_votes": 0, "ties_and_bad_rows": 1}


def test_a_pair_with_even_votes_is_left_out() -> None:
    pairs, told = settle([judgment(Choice.B, "Ada"), judgment(Choice.A, "Ben")])
    assert pairs == []
    assert told["even_votes"] == 1


def test_grades_have_their_shares_and_grow_with_the_difference() -> None:
    data, _ = graded(GradedWorld("", "", 1000, noise=0.0), 0, more=0)
    assert (np.bincount(data.grades) / 1000).tolist() == pytest.approx(list(GRADE_SHARES), abs=0.002)
    least = [float(data.truly[data.grades == grade].min()) for grade in range(4)]
    assert least == sorted(least, reverse=True)
    assert least[-1] > 0  # without noise the better one is always chosen


def test_the_chosen_response_is_never_the_only_unsafe_one() -> None:
    data = labelled(SafetyWorld("", "", 2000), 0, more=0)
    chosen, rejected = data.signs[::2], data.signs[1::2]
    assert not ((chosen < 0) & (rejected > 0)).any()
    shares = [((chosen > 0) & (rejected < 0)).mean(), (rejected > 0).mean(), (chosen < 0).mean()]
    assert shares == pytest.approx(list(BIN_SHARES), abs=0.04)


def test_words_are_counted() -> None:
    assert counts(np.array([[0, 2, 2]]))[0, :4].tolist() == [1.0, 0.0, 2.0, 0.0]


def test_the_head_of_a_world_learns_its_weights() -> None:
    data, weights = graded(GradedWorld("", "", 800, noise=0.0), 1, more=0)
    head = fit_margin(counts(data.words), data, MarginTable.SMALL, 0.1)
    assert np.corrcoef(np.asarray(head.weight), weights)[0, 1] > 0.9
    rewards = rewards_of(head, counts(data.words))
    assert (rewards[::2] > rewards[1::2]).mean() > 0.9


def test_margins_are_those_of_the_paper() -> None:
    assert margins_of(np.array([0, 1, 2, 3]), MarginTable.LARGE).tolist() == [3.0, 2.0, 1.0, 0.0]


ROWS = [Row((257, 65, 66, 67, 258), 2), Row((257, 65, 70, 258), 2), Row((257, 65, 66, 67, 258), 2)]


def test_states_at_the_top_are_those_of_the_whole_model(tiny: PolicyRef, tmp_path: Path) -> None:
    def build() -> RewardNetwork:
        return network_at(_decoder(tiny), (0.5, 1.0), 256)

    features = encode(build, ROWS, heights=2, cache=tmp_path, computes="tiny")
    assert features.shape == (3, 2, 2, 32)
    whole = RewardNetwork(lower_layers(_decoder(tiny), 1.0), width=32, pooling=Pooling.LAST_AND_MEAN, pad=256)
    (alone,) = read_batches(whole, ROWS[1:2], plan_batches([[ROWS[1].tokens]], tokens_per_batch=64))
    assert features[1, 1].flatten().tolist() == pytest.approx(alone[0].tolist(), abs=1e-4)


def test_what_was_encoded_is_read_from_its_file(tiny: PolicyRef, tmp_path: Path) -> None:
    def build() -> RewardNetwork:
        return network_at(_decoder(tiny), (1.0,), 256)

    def never() -> RewardNetwork:
        raise AssertionError("a network was asked for")

    once = encode(build, ROWS, heights=1, cache=tmp_path, computes="tiny")
    assert torch.equal(encode(never, ROWS, heights=1, cache=tmp_path, computes="tiny"), once)


def _decoder(ref: PolicyRef) -> PreTrainedModel:
    return backbone_of(load_causal_lm(ref, torch.device("cpu")))


def test_a_plot_shows_zero_and_every_mark() -> None:
    svg = forest("A & B", [Mark("small", 0.01, 0.0, 0.02)])
    assert "A &amp; B" in svg
    assert "+1.0 ± 1.0" in svg
