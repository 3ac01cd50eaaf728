"""The early warning on overfitting: what is put aside, when it is looked at, and when it warns."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewardmodel.core.watch import Watch, looks, put_aside


def test_a_twentieth_of_the_pairs_is_put_aside_and_never_more_than_512() -> None:
    assert len(put_aside(range(1000), seed=0)) == 50
    assert len(put_aside(range(20_000), seed=0)) == 512


def test_from_few_pairs_none_is_taken() -> None:
    # A twentieth of 639 is 31, which is fewer than 32.
    assert put_aside(range(639), seed=0) == []
    assert len(put_aside(range(640), seed=0)) == 32


@given(pairs=st.integers(640, 900), distinct=st.integers(1, 300), seed=st.integers(0, 2**31 - 1))
def test_no_prompt_is_on_both_sides(pairs: int, distinct: int, seed: int) -> None:
    prompts = np.random.default_rng(seed).integers(0, distinct, pairs).tolist()
    taken = put_aside(prompts, seed)
    held = {prompts[number] for number in taken}
    assert taken == [number for number, prompt in enumerate(prompts) if prompt in held]
    assert len(taken) <= len(prompts) // 20


def test_the_draw_is_fixed_by_its_seed() -> None:
    assert put_aside(range(1000), seed=1) == put_aside(range(1000), seed=1)
    assert put_aside(range(1000), seed=1) != put_aside(range(1000), seed=2)


def test_it_is_looked_four_times_and_twice_more_for_each_further_epoch() -> None:
    assert looks(100, epochs=1) == {25, 50, 75, 100}
    assert looks(100, epochs=2) == {17, 34, 50, 67, 84, 100}
    assert looks(2, epochs=1) == {1, 2}


def seen(*curve: tuple[float, list[float]]) -> Watch:
    watch = Watch()
    for number, (train, held) in enumerate(curve, start=1):
        watch.learnt(train)
        watch.look(number, held)
    return watch


def test_a_held_loss_that_rises_while_the_training_loss_falls_is_overfitting() -> None:
    assert seen((0.7, [0.6, 0.7, 0.5]), (0.4, [0.8, 0.9, 0.71])).overfits


def test_a_rise_within_its_noise_is_none() -> None:
    # Differences 0.3, -0.2, 0.05: mean 0.05, standard error 0.144.
    assert not seen((0.7, [0.6, 0.7, 0.5]), (0.4, [0.9, 0.5, 0.55])).overfits


def test_a_rise_of_both_is_something_else() -> None:
    assert not seen((0.4, [0.6, 0.7, 0.5]), (0.7, [0.8, 0.9, 0.71])).overfits


def test_a_held_loss_that_falls_is_learning() -> None:
    assert not seen((0.7, [0.8, 0.9, 0.71]), (0.4, [0.6, 0.7, 0.5])).overfits


def test_the_lowest_look_counts_and_not_the_first() -> None:
    assert seen((0.7, [0.9, 0.9, 0.9]), (0.6, [0.5, 0.5, 0.5]), (0.4, [0.6, 0.6, 0.61])).overfits


def test_one_look_and_one_pair_warn_of_nothing() -> None:
    assert not seen((0.7, [0.6])).overfits
    assert not seen((0.7, [0.6]), (0.4, [0.9])).overfits


def test_it_survives_as_text() -> None:
    watch = seen((0.7, [0.6, 0.7]), (0.4, [0.8, 0.9]))
    watch.learnt(1 / 3)
    again = Watch.from_text(watch.to_text())
    assert again == watch
    assert Watch.from_text(None) == Watch()


def test_a_training_loss_is_the_mean_of_its_steps_since_the_last_look() -> None:
    watch = Watch()
    for loss in (1.0, 3.0):
        watch.learnt(loss)
    watch.look(2, [0.5, 1.5])
    assert watch.figures() == {
        "pairs": 2,
        "curve": [{"step": 2, "train": pytest.approx(2.0), "held": pytest.approx(1.0)}],
        "overfits": False,
    }
