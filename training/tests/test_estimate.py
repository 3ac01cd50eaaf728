"""Memory and time on paper against numbers derived by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.core.estimate import (
    Estimate,
    Logits,
    generation,
    in_turn,
    scoring,
    training,
    training_memory,
)
from training.core.estimate_policy import best_of, ppo
from training.core.sizes import GIB, GPUS, Machine, ModelSize, llama, machine_called, of_config

# Seven billion parameters in one layer of width 100: what is not counted by parameters is next to nothing.
ROUND = ModelSize("round", 7_000_000_000, layers=1, width=100, inner=1, kv_width=100, vocabulary=1, tied=True)
LOGITS: tuple[Logits, ...] = ("whole", "parts")
# One FLOP a nanosecond, one byte a nanosecond: seconds are billions of either.
SLOW = Machine("slow", memory_bytes=200 * 10**9, trained=1e9, read=1e9, fetched=1e9)


@pytest.mark.parametrize(
    ("billions", "parameters"), [(7, 6_738_415_616), (13, 13_015_864_320), (70, 68_976_648_192)]
)
def test_llama_2_has_the_parameters_of_its_released_weights(billions: int, parameters: int) -> None:
    assert llama(billions).parameters == parameters


def test_there_is_no_llama_2_of_another_size() -> None:
    with pytest.raises(ValueError, match="7b, 13b, 70b"):
        llama(34)


def test_adapters_of_rank_8_on_all_linear_layers_of_7b() -> None:
    # A layer: q and o 8192 each, k and v 8192 each, gate, up and down 4096 + 11008 each: 78,080. Times 8 times 32.
    assert llama(7).adapters(8) == 19_988_480


def test_grouped_queries_shrink_the_cache() -> None:
    # 2 (keys and values) x 32 layers x 4096 x 2 bytes; 70b has 8 of 64 heads' keys, 128 wide: 2 x 80 x 1024 x 2.
    assert llama(7).cache_bytes(2) == 524_288
    assert llama(70).cache_bytes(2) == 327_680


def test_full_training_holds_sixteen_bytes_a_parameter() -> None:
    # 7e9 x (4 weight + 4 gradient + 8 moments) = 112e9 bytes (ZeRO's 16 bytes a parameter), before activations.
    held = training_memory(ROUND, SLOW, "full", batch_tokens=0)
    assert held.total == pytest.approx(112e9)
    assert (held.weights, held.gradients, held.moments) == (28e9, 28e9, 56e9)


def test_spread_over_eight_devices_each_holds_an_eighth_and_two_whole_layers() -> None:
    size = ModelSize("s", 8000, layers=4, width=1, inner=1, kv_width=1, vocabulary=0)
    held = training_memory(size, SLOW.times(8), "full", batch_tokens=0, sharded=True)
    # 8000 x 16 / 8 = 16,000, and two layers of 2000 parameters in 4 bytes.
    assert held.total == 16_000 + 2 * 2000 * 4


def test_while_it_is_loaded_a_device_holds_the_whole_model_that_is_then_spread() -> None:
    thin = ModelSize("thin", 6400, layers=64, width=1, inner=1, kv_width=1, vocabulary=0)
    found = training(thin, SLOW.times(64), "full", tokens=1, length=1, batch_tokens=0, sharded=True)
    assert found.memory_bytes == 6400 * 4  # and not 16 x 100 + 2 x 100 x 4
    assert "loaded whole" in found.why


def test_adapters_leave_the_frozen_weights_in_four_bytes() -> None:
    held = training_memory(llama(7), SLOW, "lora", batch_tokens=0)
    # 6,738,415,616 x 4 + 19,988,480 x 16
    assert held.total == 26_953_662_464 + 319_815_680


def test_four_bits_leave_the_embeddings_whole() -> None:
    held = training_memory(llama(7), SLOW, "qlora", batch_tokens=0)
    # Embedding and head 262,144,000 x 4; the rest 6,476,271,616 x 4.127 / 8; adapters as above.
    assert held.total == pytest.approx(1_048_576_000 + 6_476_271_616 * 0.515875 + 319_815_680)


def test_checkpointing_keeps_a_layers_input_alone() -> None:
    size = ModelSize("s", 0, layers=10, width=100, inner=1, kv_width=1, vocabulary=7)
    kept = training_memory(size, SLOW, "full", batch_tokens=5, logits="none")
    again = training_memory(size, SLOW, "full", batch_tokens=5, logits="none", checkpointing=True)
    # 34 x 5 tokens x 100 a layer; against 2 x 5 x 100 a layer and one layer of 34.
    assert kept.activations == 10 * 34 * 500
    assert again.activations == 10 * 2 * 500 + 34 * 500


def test_logits_are_held_all_at_once_or_in_parts() -> None:
    size = ModelSize("s", 0, layers=0, width=0, inner=0, kv_width=0, vocabulary=32_000)
    whole, parts = (
        training_memory(size, SLOW, "full", batch_tokens=100_000, logits=logits).total for logits in LOGITS
    )
    # 10 bytes for each of 100,000 x 32,000; in parts half a gigabyte.
    assert whole == 32e9
    assert parts == 2**29


@pytest.mark.parametrize(
    ("learning", "checkpointing", "flops"),
    [("full", False, 6), ("full", True, 8), ("lora", False, 4), ("lora", True, 6), ("qlora", True, 6)],
)
def test_a_token_costs_six_flop_a_parameter_and_two_more_where_activations_come_again(
    learning: Any, checkpointing: bool, flops: int
) -> None:
    size = ModelSize("s", 1_000_000, layers=0, width=0, inner=0, kv_width=0, vocabulary=0)
    found = training(size, SLOW, learning, tokens=3000, length=9, batch_tokens=1, checkpointing=checkpointing)
    assert found.seconds == pytest.approx(flops * 1e6 * 3000 / 1e9)
    assert found.tokens == 3000


def test_attention_adds_four_times_the_width_for_half_of_the_row() -> None:
    size = ModelSize("s", 0, layers=3, width=10, inner=0, kv_width=0, vocabulary=0)
    assert size.forward_flops(100) == 4 * 3 * 10 * 50


def test_devices_share_a_trainings_time() -> None:
    one = training(llama(7), GPUS["h100"], "full", tokens=10**6, length=800, batch_tokens=4096)
    eight = training(llama(7), GPUS["h100"].times(8), "full", tokens=10**6, length=800, batch_tokens=4096)
    assert eight.seconds == pytest.approx(one.seconds / 8)
    # Unspread, each holds all.
    assert eight.memory_bytes == one.memory_bytes


def test_scoring_reads_once_and_a_probe_only_the_lower_layers() -> None:
    size = ModelSize("s", 1_000_000, layers=0, width=0, inner=0, kv_width=0, vocabulary=0)
    asked = {"tokens": 1000, "length": 10, "batch_tokens": 10}
    assert scoring(size, SLOW, **asked).seconds == pytest.approx(2.0)  # 2 x 1e6 x 1000 / 1e9
    assert scoring(size, SLOW, **asked, fraction=0.6).seconds == pytest.approx(1.2)
    assert scoring(size, SLOW, **asked).memory_bytes == 2_000_000


def test_decoding_waits_for_memory_where_rows_are_few() -> None:
    size = ModelSize("s", 1_000_000, layers=1, width=1, inner=1, kv_width=5, vocabulary=0)
    found = generation(size, SLOW, prompts=2, samples=2, prompt_tokens=10, new_tokens=20, batch_tokens=120)
    # Four rows of 30 tokens fit in one batch. Reading: 2 prompts x 10 tokens x (2e6 + 2 x 10) FLOP.
    # 20 steps, each slower in FLOP: 4 rows x (2e6 + 2 x 40) against 2e6 + 4 rows x 20 tokens x 20 bytes.
    reading, step = 20 * 2_000_020, 4 * 2_000_080
    assert found.seconds == pytest.approx((reading + 20 * step) / 1e9)
    fast = Machine("fast", 1, trained=1, read=1e15, fetched=1e9)
    found = generation(size, fast, prompts=2, samples=2, prompt_tokens=10, new_tokens=20, batch_tokens=120)
    assert found.seconds == pytest.approx(20 * (2_000_000 + 4 * 20 * 20) / 1e9, rel=1e-4)
    assert found.memory_bytes == 2_000_000 + 4 * 30 * 20
    assert found.tokens == 80


def test_batches_are_drawn_one_after_the_other() -> None:
    fast = Machine("fast", 1, trained=1, read=1e30, fetched=1e9)
    size = ModelSize("s", 500_000_000, layers=0, width=0, inner=0, kv_width=0, vocabulary=0)
    asked: dict[str, Any] = {"prompts": 10, "samples": 1, "prompt_tokens": 5, "new_tokens": 5}
    # A step fetches 1e9 bytes, a second. All ten rows at once: 5 steps; five at once: two times 5.
    assert generation(size, fast, **asked, batch_tokens=100).seconds == pytest.approx(5)
    assert generation(size, fast, **asked, batch_tokens=50).seconds == pytest.approx(10)
    assert generation(size, fast.times(2), **asked, batch_tokens=50).seconds == pytest.approx(5)


def test_rejection_sampling_reads_a_prompt_once_for_all_of_its_answers() -> None:
    size = ModelSize("s", 1_000_000, layers=0, width=0, inner=0, kv_width=0, vocabulary=0)
    asked: dict[str, Any] = {"prompts": 3, "samples": 4, "prompt_tokens": 10, "new_tokens": 5}
    drawn = generation(size, SLOW, **asked, batch_tokens=1000)
    found = best_of(size, [size, size], SLOW, **asked, batch_tokens=1000)
    # Each of two models reads 3 x (10 + 4 x 5) = 90 tokens at 2e6 FLOP.
    assert found.seconds == pytest.approx(drawn.seconds + 2 * 90 * 2e6 / 1e9)
    assert found.tokens == 60
    assert found.memory_bytes == max(drawn.memory_bytes, 2_000_000)


def test_ppo_holds_the_reward_models_beside_and_for_full_a_second_policy() -> None:
    size = ModelSize("s", 1_000_000, layers=0, width=0, inner=0, kv_width=0, vocabulary=0)
    asked: dict[str, Any] = {
        "iterations": 2,
        "rollouts": 4,
        "epochs": 1,
        "prompt_tokens": 10,
        "new_tokens": 5,
        "batch_tokens": 100,
        "drawn_tokens": 100,
    }
    full = ppo(size, [size, size], SLOW, "full", **asked)
    lora = ppo(size, [size, size], SLOW, "lora", **asked)
    # full: 16 + 3 x 2 bytes a parameter; lora: 4 + 2 x 2.
    assert full.memory_bytes == 22_000_000
    assert lora.memory_bytes == 8_000_000
    assert ppo(size, [size, size], SLOW, "lora", **asked, scorers_beside=False).memory_bytes == 4_000_000
    # An iteration: reading 4 x 10 tokens and 5 steps of 4 rows, or 2e6 bytes, whichever is slower, to draw;
    # four models read 60 tokens; the policy learns from 60 with 6 FLOP a parameter.
    once = 40 * 2e6 + 5 * 4 * 2e6 + 4 * 60 * 2e6 + 60 * 6e6
    assert full.seconds == pytest.approx(2 * once / 1e9)


def test_a_tenth_of_a_device_stays_free() -> None:
    machine = GPUS["rtx4090"]
    assert Estimate(1, 21 * GIB, 1, "").fits(machine)
    assert not Estimate(1, 22 * GIB, 1, "").fits(machine)  # 0.9 x 24 = 21.6


def test_parts_in_turn_add_their_time_and_share_their_memory() -> None:
    both = in_turn([Estimate(1, 5, 7, "one"), Estimate(2, 3, 9, "two")])
    assert (both.seconds, both.memory_bytes, both.tokens, both.why) == (3, 5, 7, "one; two")


def test_a_machine_nobody_knows_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="rtx4090"):
        machine_called("abacus")
    assert machine_called("cpu").bytes_a_number == 4


def config(**changes: Any) -> dict[str, Any]:
    shape = {"num_hidden_layers": 32, "hidden_size": 4096, "intermediate_size": 11008, "vocab_size": 32000}
    return {**shape, "num_attention_heads": 32, **changes}


def test_a_config_tells_the_size(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps(config()))
    assert of_config(tmp_path).parameters == llama(7).parameters
    assert of_config(file).cache_bytes(2) == 524_288


def test_a_tied_head_and_shared_keys_are_counted_once(tmp_path: Path) -> None:
    changes = {"tie_word_embeddings": True, "num_key_value_heads": 8, "head_dim": 64}
    (tmp_path / "config.json").write_text(json.dumps(config(**changes)))
    size = of_config(tmp_path)
    # q and o 4096 x 2048, k and v 4096 x 512, the block 3 x 4096 x 11008, two norms; one embedding, one norm.
    layer = 2 * 4096 * 2048 + 2 * 4096 * 512 + 3 * 4096 * 11008 + 2 * 4096
    assert size.parameters == 32 * layer + 32000 * 4096 + 4096
    assert size.embeddings == 32000 * 4096


@pytest.mark.parametrize("content", ["{", "[]", '{"hidden_size": 3}', '{"hidden_size": "x"}', ""])
def test_a_config_that_tells_nothing_is_refused_by_name(tmp_path: Path, content: str) -> None:
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(ValueError, match="does not tell the size"):
        of_config(tmp_path)


@given(
    tokens=st.integers(1, 10**9),
    more=st.integers(1, 10**9),
    learning=st.sampled_from(["full", "lora", "qlora"]),
    count=st.integers(1, 64),
)
def test_more_tokens_take_longer_and_no_more_memory(
    tokens: int, more: int, learning: Any, count: int
) -> None:
    machine = GPUS["h100"].times(count)
    few, many = (
        training(llama(7), machine, learning, tokens=n, length=100, batch_tokens=1000)
        for n in (tokens, tokens + more)
    )
    assert few.seconds < many.seconds
    assert few.memory_bytes == many.memory_bytes


@given(count=st.integers(2, 128), learning=st.sampled_from(["full", "lora"]))
def test_spreading_never_needs_more_than_holding_all_once(count: int, learning: Any) -> None:
    """But for two layers, a model that is spread needs at most what one device would."""
    machine = GPUS["h100"].times(count)
    whole = training_memory(llama(7), machine, learning, batch_tokens=1000)
    spread = training_memory(llama(7), machine, learning, batch_tokens=1000, sharded=True)
    assert spread.total <= whole.total
