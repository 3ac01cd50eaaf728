"""Where a run of PPO stands: what counts as a gain, when it stops, and what a kill leaves."""

from __future__ import annotations

from pathlib import Path

import torch

from rewardmodel.core.backbone import PolicyRef
from training.core.ppo_state import History, Store, is_gain
from training.core.ppo_update import make_optimizer
from training.core.specs.ppo import PpoSpec
from training.tests.jobs import files_of
from training.tests.ppo_examples import actor_of

SPEC = PpoSpec(recipe="full")


# When to stop


def test_a_gain_is_one_beyond_its_interval() -> None:
    # Differences 1, 1, 0, 2: mean 1, deviation 0.8165, over 2 = 0.408; 1 > 1.96 · 0.408 = 0.80.
    assert is_gain([2.0, 3.0, 3.0, 6.0], [1.0, 2.0, 3.0, 4.0])
    # Differences 1, -1, 0, 2: mean 0.5, deviation 1.29, over 2 = 0.645; 0.5 < 1.26.
    assert not is_gain([2.0, 1.0, 3.0, 6.0], [1.0, 2.0, 3.0, 4.0])
    assert not is_gain([1.0, 2.0], [1.0, 2.0])


def test_small_gains_add_up_and_the_best_is_kept() -> None:
    history = History()
    assert history.measured([0.0, 1.0, 2.0, 3.0])
    for iteration, rewards in enumerate(
        [[0.5, 0.5, 2.5, 3.5], [1.5, 2.0, 3.5, 4.5], [1.0, 2.0, 3.0, 4.0]], start=1
    ):
        history.iteration = iteration
        history.measured(rewards)
    # The first differs from the start by ½, -½, ½, ½: no gain, but the best so far. The second is a gain on the
    # start. The third is less than the second.
    assert (history.best_iteration, history.best, history.misses) == (2, 2.875, 1)
    assert history.gain == [1.5, 2.0, 3.5, 4.5]
    assert history.start == 1.5


def test_patience_comes_before_the_last_iteration() -> None:
    spec = PpoSpec(patience=2, iterations=5)
    assert not History(misses=1, iteration=4).is_over(spec)
    for history, reason in [
        (History(misses=2, iteration=5), "no gain"),
        (History(iteration=5), "iterations"),
        (History(stopped="kl", iteration=5), "kl"),
    ]:
        assert history.is_over(spec)
        assert history.stopped == reason


# What is kept


def test_the_state_comes_back_as_it_was(tmp_path: Path, tiny: PolicyRef) -> None:
    first, second = actor_of(tiny), actor_of(tiny)
    optimizer, again = make_optimizer(first, SPEC), make_optimizer(second, SPEC)
    for parameter in first.parameters():
        if parameter.requires_grad:
            parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    history = History(iteration=1, steps=1, first={"reward": 1.5}, start=0.5, best=0.5, gain=[0.1, 0.9])
    Store(tmp_path, first, optimizer).save(history)
    store = Store(tmp_path, second, again)
    assert store.load() == history
    (tmp_path / "again").mkdir()
    Store(tmp_path / "again", second, again).save(history)
    assert files_of(tmp_path / "again") == {"ppo.safetensors": (tmp_path / "ppo.safetensors").read_bytes()}


def test_the_best_policy_outlives_later_ones(tmp_path: Path, tiny: PolicyRef) -> None:
    actor = actor_of(tiny)
    store = Store(tmp_path, actor, make_optimizer(actor, SPEC))
    history = History(iteration=3, start=0.0, best=1.0, best_iteration=3)
    wanted = {name: parameter.clone() for name, parameter in actor.named_parameters()}
    store.keep_best(history)
    with torch.no_grad():
        for parameter in actor.policy.parameters():
            parameter.add_(1.0)
    store.restore_best(history)
    assert all(torch.equal(wanted[name], parameter) for name, parameter in actor.named_parameters())


def test_only_the_best_policys_file_stays(tmp_path: Path, tiny: PolicyRef) -> None:
    actor = actor_of(tiny)
    store = Store(tmp_path, actor, make_optimizer(actor, SPEC))
    for iteration in (2, 4):
        history = History(iteration=iteration, start=0.0, best=1.0, best_iteration=iteration)
        store.keep_best(history)
        store.save(history)
    assert sorted(files_of(tmp_path)) == ["best-000004.safetensors", "ppo.safetensors"]
