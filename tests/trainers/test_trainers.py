"""Each format is loaded by the very library it is for, and one step is trained on it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import pytest

from annotation.core.records import Message
from tests.trainers.conftest import RECORDS, Seen

pytestmark = pytest.mark.trainers

Step = Callable[..., Seen]


def conversation(messages: Sequence[Message], answer: str) -> str:
    """What the tiny policy's template makes of a dialogue and an answer."""
    turns: list[Message] = [*messages, {"role": "assistant", "content": answer}]
    return "".join(f"<|im_start|>{turn['role']}\n{turn['content']}<|im_end|>\n" for turn in turns)


def trained(seen: Seen) -> bool:
    """Every row was kept, and one step with a loss that is a number changed the weights."""
    said = seen.said
    assert said["kept"] == len(seen.rows) > 0
    return said["steps"] == 1 and math.isfinite(said["loss"]) and said["changed"]


def chosen_texts(seen: Seen) -> list[str]:
    return sorted(conversation(record.messages, record.chosen) for record in seen.records)


def test_trl_trains_a_reward_model_with_the_margin_of_every_row(step: Step) -> None:
    seen = step("trl", "trl-preference", "reward")
    assert trained(seen)
    # The trainer's float32 of what was written; 0.0 for the row without a grade among them.
    margins = sorted(record.margin for record in RECORDS)
    assert sorted(seen.said["margins"]) == pytest.approx(margins)


def test_trl_trains_directly_on_preferences(step: Step) -> None:
    seen = step("trl", "trl-preference", "dpo")
    assert trained(seen)
    # Policy and reference are the same before the first step: log 2.
    assert seen.said["loss"] == pytest.approx(math.log(2), rel=1e-4)


def test_trl_fine_tunes_on_the_chosen_answers(step: Step) -> None:
    seen = step("trl", "trl-sft", "sft")
    assert trained(seen)
    assert len(seen.rows) == 4


def test_trl_samples_answers_to_the_prompts(step: Step) -> None:
    seen = step("trl", "trl-prompt", "grpo")
    assert len(seen.rows) == 3
    assert trained(seen)


def test_openrlhf_trains_a_reward_model_with_the_margin_of_every_row(step: Step) -> None:
    seen = step("openrlhf", "openrlhf")
    assert trained(seen)
    assert seen.said["margins"] == [record.margin for record in RECORDS]
    assert sorted(seen.said["chosen"]) == chosen_texts(seen)


def test_llama_factory_trains_a_reward_model(step: Step) -> None:
    seen = step("llama-factory", "llama-factory")
    assert trained(seen)
    assert sorted(seen.said["chosen"]) == chosen_texts(seen)


def test_axolotl_trains_on_preferences_of_any_turns(step: Step) -> None:
    seen = step("axolotl", "axolotl", "dpo")
    # One answer is empty, and is left out.
    assert len(seen.rows) == 4
    assert trained(seen)
    # It cuts the end of the last line.
    assert sorted(seen.said["chosen"]) == [text.rstrip() for text in chosen_texts(seen)]


def test_axolotl_trains_a_reward_model_on_single_turns(step: Step) -> None:
    seen = step("axolotl", "axolotl-rm", "rm")
    assert len(seen.rows) == 2
    assert trained(seen)
    assert sorted(seen.said["chosen"]) == chosen_texts(seen)


def test_rewardbench_scores_every_row(step: Step) -> None:
    seen = step("rewardbench", "rewardbench")
    assert seen.said["kept"] == len(seen.rows) == 4
    assert sorted(seen.said["chosen"]) == chosen_texts(seen)
    scored = [[record.id, "helpfulness", "V1"] for record in seen.records]
    assert seen.said["scored"] == scored


def test_trl_trains_on_transcripts_as_plain_text(step: Step) -> None:
    """Its form with an implicit prompt: HH-RLHF's own."""
    seen = step("trl", "hh-rlhf", "reward")
    assert len(seen.rows) == 3
    assert trained(seen)
    assert seen.said["margins"] is None


@pytest.mark.parametrize("form", ["native", "judgments"])
def test_datasets_reads_the_rows_as_they_were_written(step: Step, form: str) -> None:
    seen = step("trl", form, "read")
    assert seen.said == seen.rows
