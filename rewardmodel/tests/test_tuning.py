"""Training by gradient: what it does when memory or sense runs out, and that nothing is counted twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from rewardmodel.core import tuning
from rewardmodel.core.backbone import PolicyRef
from rewardmodel.core.layout import Batch
from rewardmodel.core.network import RewardNetwork
from rewardmodel.core.report import RunFailedError, Silent
from rewardmodel.core.tuning import accumulate, held_losses, tune
from rewardmodel.tests.examples import Notes
from rewardmodel.tests.pairs import plan_of, tiny_network, training_pairs, weights_of

CPU_ERROR = (
    "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to "
    "allocate 99 bytes. Error code 12 (Cannot allocate memory)"
)


def short_of_memory(
    network: RewardNetwork, monkeypatch: pytest.MonkeyPatch, error: Exception, *, above: int
) -> list[int]:
    """Let every pass over more than `above` tokens fail behind its backward's first half; tokens of each pass."""
    forward = network.forward
    seen: list[int] = []

    def limited(batch: Batch, starts: Any) -> torch.Tensor:
        seen.append(batch.tokens)
        if batch.tokens > above:
            forward(batch, starts).sum().backward()  # type: ignore[no-untyped-call]
            raise error
        return forward(batch, starts)

    monkeypatch.setattr(network, "forward", limited)
    return seen


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError(CPU_ERROR), MemoryError()], ids=type
)
def test_out_of_memory_halves_the_batch_and_the_step_is_done_once(
    tiny: PolicyRef, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    pairs, notes = training_pairs(tiny, 4), Notes()
    expected, network = tiny_network(tiny), tiny_network(tiny)
    tune(expected, pairs, plan_of(tokens_per_batch=150), work=tmp_path / "a", report=Silent())
    seen = short_of_memory(network, monkeypatch, error, above=160)
    tune(network, pairs, plan_of(tokens_per_batch=300), work=tmp_path / "b", report=notes)
    assert notes.notes == ["The memory does not suffice; training goes on in batches of at most 150 tokens."]
    assert seen[0] > 160
    # The half-done attempt left nothing in the gradient: the step is that of a run with small batches.
    assert torch.equal(weights_of(network), weights_of(expected))
    assert [step for name, _, step in notes.metrics if name == "loss"] == [1]


def test_the_smaller_batch_is_kept_by_a_resumed_run(
    tiny: PolicyRef, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs, plan = training_pairs(tiny, 4), plan_of(tokens_per_batch=300)
    network = tiny_network(tiny)
    short_of_memory(network, monkeypatch, MemoryError(), above=160)
    tune(network, pairs, plan, work=tmp_path, report=Silent())
    again, notes = tiny_network(tiny), Notes()
    seen = short_of_memory(again, monkeypatch, MemoryError(), above=160)
    tune(again, pairs, replace(plan, epochs=2), work=tmp_path, report=notes)
    assert max(seen) <= 160
    assert notes.notes == []


def test_memory_that_does_not_suffice_for_one_pair_is_said_with_what_helps(
    tiny: PolicyRef, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = tiny_network(tiny)
    short_of_memory(network, monkeypatch, MemoryError(), above=0)
    with pytest.raises(RunFailedError, match=r"one pair at a time\. Set gradient_checkpointing to on"):
        tune(network, training_pairs(tiny, 4), plan_of(), work=tmp_path, report=Silent())


def test_another_error_is_not_taken_for_want_of_memory(
    tiny: PolicyRef, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = tiny_network(tiny)
    short_of_memory(network, monkeypatch, RuntimeError("shapes differ"), above=0)
    with pytest.raises(RuntimeError, match="shapes differ"):
        tune(network, training_pairs(tiny, 4), plan_of(), work=tmp_path, report=Silent())


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_a_loss_that_is_no_number_stops_before_it_spoils_the_weights(
    tiny: PolicyRef, tmp_path: Path, value: str
) -> None:
    network = tiny_network(tiny)
    with torch.no_grad():
        network.head.bias.fill_(float(value))
    before = weights_of(network)[:-1]  # the bias comes last
    with pytest.raises(
        RunFailedError, match=r"In step 1 of 1 the loss was nan .* lower learning_rate than 0\.003"
    ):
        tune(network, training_pairs(tiny, 4), plan_of(), work=tmp_path, report=Silent())
    assert torch.equal(weights_of(network)[:-1], before)
    assert not (tmp_path / tuning.CHECKPOINT).exists()


def counted(network: RewardNetwork) -> list[int]:
    """One entry for each time that the first layer computes."""
    untyped: Any = network.backbone
    calls: list[int] = []
    layer = untyped.layers[0].mlp
    forward: Callable[..., torch.Tensor] = layer.forward

    def counting(*arguments: Any) -> torch.Tensor:
        calls.append(1)
        return forward(*arguments)

    layer.forward = counting
    return calls


def test_recomputed_activations_give_the_same_bits_for_twice_the_passes(
    tiny: PolicyRef, tmp_path: Path
) -> None:
    pairs = training_pairs(tiny, 4)
    found = []
    for on in (False, True):
        network = tiny_network(tiny)
        calls = counted(network)
        tune(network, pairs, plan_of(recompute=on), work=tmp_path / str(on), report=Silent())
        found.append((len(calls), weights_of(network)))
    (once, plain), (twice, recomputed) = found
    assert twice == 2 * once
    assert torch.equal(plain, recomputed)


def test_recomputing_ends_with_the_training(tiny: PolicyRef, tmp_path: Path) -> None:
    network = tiny_network(tiny)
    tune(network, training_pairs(tiny, 4), plan_of(recompute=True), work=tmp_path, report=Silent())
    assert not any(module.training for module in network.modules())
    assert not any(getattr(module, "gradient_checkpointing", False) for module in network.modules())


def test_adapters_learn_with_recomputed_activations_too(tiny: PolicyRef, tmp_path: Path) -> None:
    pairs = training_pairs(tiny, 4)
    found = []
    for on in (False, True):
        network = tiny_network(tiny, "lora")
        tune(network, pairs, plan_of(recompute=on), work=tmp_path / str(on), report=Silent())
        found.append(weights_of(network))
    assert torch.equal(*found)


def test_centring_pulls_the_rewards_of_a_pair_towards_0(tiny: PolicyRef) -> None:
    # With a head of 0 and a bias of 2 every reward is 2: the loss is ln 2 + 0.1 (2 + 2)^2 = ln 2 + 1.6, and its slope
    # in the bias is 0.1 * 2 (2 + 2) * 2 = 1.6 (Eq. 2 has none: both rewards move).
    network = tiny_network(tiny)
    with torch.no_grad():
        network.head.weight.zero_()
        network.head.bias.fill_(2.0)
    loss = accumulate(network, training_pairs(tiny, 4, grade=None), plan_of(centring_weight=0.1))
    assert loss == pytest.approx(0.693147 + 1.6, rel=1e-5)
    assert network.head.bias.grad is not None
    assert network.head.bias.grad.item() == pytest.approx(1.6, rel=1e-5)


def test_the_learning_rate_falls_to_a_tenth_at_the_end_of_the_last_epoch_and_not_of_the_first(
    tiny: PolicyRef, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates = []
    step = torch.optim.AdamW.step

    def recorded(self: torch.optim.AdamW) -> None:
        rates.append(self.param_groups[0]["lr"])
        step(self)

    monkeypatch.setattr(torch.optim.AdamW, "step", recorded)
    plan = plan_of(epochs=3, pairs_per_step=2, learning_rate=1e-3)
    tune(tiny_network(tiny), training_pairs(tiny, 8), plan, work=tmp_path, report=Silent())
    # 3 epochs of 4 steps: 5 of warm-up, then 7 down the cosine; half of it is not yet over after step 8.
    assert len(rates) == 12
    assert rates[4] == max(rates) == pytest.approx(1e-3)
    assert rates[7] > 0.5e-3
    assert rates[-1] == pytest.approx(1e-4)


def test_held_pairs_are_looked_at_and_not_learnt_from(tiny: PolicyRef, tmp_path: Path) -> None:
    pairs, held = training_pairs(tiny, 8), training_pairs(tiny, 12)[8:]
    plain, watched, notes = tiny_network(tiny), tiny_network(tiny), Notes()
    tune(plain, pairs, plan_of(), work=tmp_path / "a", report=Silent())
    figures = tune(watched, pairs, plan_of(), work=tmp_path / "b", report=notes, held=held)
    assert torch.equal(weights_of(watched), weights_of(plain))
    assert figures["pairs"] == 4
    assert [point["step"] for point in figures["curve"]] == [1, 2]
    last = sum(held_losses(watched, held, plan_of())) / 4
    assert figures["curve"][-1]["held"] == pytest.approx(last, rel=1e-6)
    assert [step for name, _, step in notes.metrics if name == "held_loss"] == [1, 2]


def test_a_model_that_learns_by_heart_is_said_once(
    tiny: PolicyRef, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rising = iter([[0.5, 0.6], [0.7, 0.8], [0.9, 1.01], [1.1, 1.2]])
    falling = iter([0.9, 0.8, 0.7, 0.6])
    monkeypatch.setattr(tuning, "held_losses", lambda *_: next(rising))
    monkeypatch.setattr(tuning, "accumulate", lambda *_: next(falling))
    notes, pairs = Notes(), training_pairs(tiny, 8)
    plan = plan_of(pairs_per_step=2)
    figures = tune(tiny_network(tiny), pairs, plan, work=tmp_path, report=notes, held=pairs[:2])
    assert figures["overfits"] is True
    assert len([note for note in notes.notes if "learns its pairs by heart" in note]) == len(notes.notes) == 1


class KilledError(BaseException):
    """Stands for kill -9: nothing catches it."""


class Dies(Notes):
    """Dies behind the n-th step."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.at = at

    def check(self) -> None:
        if len([name for name, _, _ in self.metrics if name == "loss"]) == self.at:
            raise KilledError


def test_what_held_pairs_showed_survives_a_kill(
    tiny: PolicyRef, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning, "CHECKPOINT_SECONDS", 0.0)
    pairs, held = training_pairs(tiny, 16), training_pairs(tiny, 20)[16:]
    plan = plan_of(pairs_per_step=2)
    whole = tune(tiny_network(tiny), pairs, plan, work=tmp_path / "a", report=Silent(), held=held)
    assert len(whole["curve"]) == 4
    for at in (1, 2, 5):
        work = tmp_path / str(at)
        with pytest.raises(KilledError):
            tune(tiny_network(tiny), pairs, plan, work=work, report=Dies(at), held=held)
        assert tune(tiny_network(tiny), pairs, plan, work=work, report=Silent(), held=held) == whole
