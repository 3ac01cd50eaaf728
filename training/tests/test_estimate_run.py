"""What a run of each kind costs, and what is said where it does not fit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from training.core.advice import warnings_of
from training.core.estimate import generation, scoring, training
from training.core.estimate_run import FORMULAS, Work, estimate_kind
from training.core.sizes import GPUS, Machine, llama
from training.core.spec import SPECS, RunKind

H100, RTX = GPUS["h100"], GPUS["rtx4090"]
SEVEN = llama(7)
WORK = Work((SEVEN,), (SEVEN, SEVEN), prompts=10, prompt_tokens=30, examples=100, example_tokens=50)
CPU = Machine("cpu", 10**12, 1e9, 1e9, 1e9, bytes_a_number=4)


def params(kind: RunKind, **given: Any) -> dict[str, Any]:
    needed = {RunKind.TRAIN_REWARD_MODEL: {"focus": "safety"}, RunKind.IMPORT_POLICY: {"source": "tiny"}}
    return SPECS[kind].model_validate({**needed.get(kind, {}), **given}).model_dump(mode="json")


@pytest.mark.parametrize("kind", sorted(FORMULAS))
def test_every_kind_that_computes_has_a_cost(kind: RunKind) -> None:
    found = estimate_kind(kind, params(kind), WORK, H100)
    assert found is not None
    assert found.seconds > 0
    assert found.tokens > 0
    assert found.why


def test_of_an_import_nothing_can_be_said_beforehand() -> None:
    assert estimate_kind(RunKind.IMPORT_POLICY, params(RunKind.IMPORT_POLICY), WORK, H100) is None


def test_of_models_of_no_known_size_nothing_can_be_said() -> None:
    assert estimate_kind(RunKind.SAMPLE, params(RunKind.SAMPLE), Work((), prompts=3), H100) is None


def test_a_probe_reads_each_pair_once_with_its_lower_layers() -> None:
    kind = RunKind.TRAIN_REWARD_MODEL
    found = estimate_kind(kind, params(kind, layer_fraction=0.5, epochs=3), WORK, H100.times(8))
    expected = scoring(SEVEN, H100, tokens=5000, length=50, batch_tokens=16_384, fraction=0.5)
    assert found == expected  # one process finds the optimum, whatever there is


def test_a_reward_models_epochs_are_shared_out_among_devices() -> None:
    kind = RunKind.TRAIN_REWARD_MODEL
    given = params(kind, recipe="full", epochs=2, tokens_per_batch=4096, max_length=40)
    found = estimate_kind(kind, given, WORK, H100.times(4))
    assert found == training(
        SEVEN,
        H100.times(4),
        "full",
        tokens=2 * 100 * 40,
        length=40,
        batch_tokens=4096,
        checkpointing=True,  # auto: on a GPU
        logits="none",
    )


def test_on_a_cpu_auto_keeps_the_activations() -> None:
    kind = RunKind.TRAIN_REWARD_MODEL
    found = estimate_kind(kind, params(kind, recipe="lora"), WORK, CPU)
    assert found == training(
        SEVEN, CPU, "lora", tokens=5000, length=50, batch_tokens=1024, checkpointing=False, logits="none"
    )


def test_ppo_uses_one_device_of_many() -> None:
    one = estimate_kind(RunKind.PPO, params(RunKind.PPO), WORK, H100)
    assert one == estimate_kind(RunKind.PPO, params(RunKind.PPO), WORK, H100.times(8))


def test_rejection_sampling_uses_as_many_devices_as_it_has_workers() -> None:
    kind = RunKind.REJECTION_SAMPLE
    one, three, many = (
        estimate_kind(kind, params(kind, workers=workers), WORK, H100.times(4)) for workers in (1, 3, 8)
    )
    assert one is not None
    assert three is not None
    assert many is not None
    assert three.seconds == pytest.approx(one.seconds / 3)
    assert many.seconds == pytest.approx(one.seconds / 4)
    assert one.memory_bytes == many.memory_bytes


@pytest.mark.parametrize(
    ("given", "samples"),
    [
        ({"temperatures": [1.0]}, 4),
        ({"temperatures": [1.0, 1.2]}, 8),
        ({"temperatures": [0.0, 1.0]}, 5),  # greedy draws one
        ({"temperatures": [1.0], "retune": True}, 12),  # the best and its two neighbours
    ],
)
def test_every_temperature_takes_k_samples(given: dict[str, Any], samples: int) -> None:
    kind = RunKind.REJECTION_SAMPLE
    found = estimate_kind(kind, params(kind, samples_per_prompt=4, **given), WORK, H100)
    assert found is not None
    assert found.tokens == 10 * samples * 128


def test_two_policies_draw_one_answer_each_and_one_draws_both() -> None:
    given = params(RunKind.SAMPLE, max_new_tokens=20, tokens_per_batch=100)
    asked: dict[str, Any] = {"prompts": 10, "prompt_tokens": 30, "new_tokens": 20, "batch_tokens": 100}
    one = estimate_kind(RunKind.SAMPLE, given, WORK, H100)
    assert one == generation(SEVEN, H100, samples=2, **asked)
    two = estimate_kind(RunKind.SAMPLE, given, replace(WORK, policies=(SEVEN, SEVEN)), H100)
    assert two is not None
    assert two.tokens == 2 * 10 * 20
    assert two.seconds == pytest.approx(2 * generation(SEVEN, H100, samples=1, **asked).seconds)


def test_dialogues_of_more_turns_draw_more() -> None:
    kind = RunKind.GATT
    two, four = (estimate_kind(kind, params(kind, turns=turns), WORK, H100) for turns in (2, 4))
    assert two is not None
    assert four is not None
    # Its own questions come from the pool: an answer a turn.
    assert (two.tokens, four.tokens) == (2 * 10 * 128, 4 * 10 * 128)


def test_in_self_chat_the_policy_asks_too() -> None:
    given = params(RunKind.SELF_CHAT, turns=3, max_new_tokens=100, user_tokens=10)
    found = estimate_kind(RunKind.SELF_CHAT, given, WORK, H100)
    assert found is not None
    assert found.tokens == 10 * (3 * 100 + 2 * 10)


def test_what_fits_is_not_warned_of() -> None:
    kind = RunKind.TRAIN_REWARD_MODEL
    assert warnings_of(kind, params(kind), WORK, H100) == []


def test_a_full_training_that_does_not_fit_is_told_of_adapters_and_of_more_devices() -> None:
    kind = RunKind.TRAIN_REWARD_MODEL
    said = warnings_of(kind, params(kind, recipe="full"), WORK, H100)
    # 16 bytes for 6.7e9 parameters are 100 GiB; activations are below 8.
    assert said[0] == "It does not fit: about 107 GiB are wanted, a h100 has 80 GiB."
    assert said[1].startswith("With recipe lora it does")
    assert said[2].startswith("So it does spread over 2 h100 (FSDP)")


def test_where_24_gib_hold_no_frozen_weights_four_bits_are_the_way() -> None:
    kind = RunKind.TRAIN_REWARD_MODEL
    said = warnings_of(kind, params(kind, recipe="full"), WORK, RTX)
    assert said[0] == "It does not fit: about 107 GiB are wanted, a rtx4090 has 24 GiB."
    assert said[1] == "With recipe lora, quantization 4bit it does: about 11 GiB."
    assert len(said) == 2  # on no number of them: each has to hold it whole while it is loaded


def test_a_way_out_names_only_what_the_kind_has() -> None:
    for kind in FORMULAS:
        for line in warnings_of(kind, params(kind), replace(WORK, policies=(llama(70),)), RTX)[1:]:
            words = line.removeprefix("With ").split(" it does")[0].split(", ") if "With" in line else []
            assert {word.split()[0] for word in words} <= set(SPECS[kind].model_fields)
