"""Prompts and answers of PPO: which, how long, and that an answer is a draw from the policy as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from rewardmodel.core.backbone import PolicyRef, load_causal_lm, load_tokenizer
from rewardmodel.core.report import RunFailedError
from training.core.ppo_rollout import (
    answer_all,
    prompts_of,
    read_prompts,
    sample_ids,
    sampled_batches,
    split_prompts,
)
from training.tests import ppo_examples
from training.tests.jobs import write_lines
from training.tests.ppo_examples import END, PAD


def _sampled(tiny: PolicyRef, prompts: list[tuple[int, ...]], seeds: list[int], **changes: Any) -> Any:
    model = load_causal_lm(tiny, torch.device("cpu"))
    settings: dict[str, Any] = {"stops": [END], "pad": PAD, "longest": 6, "check": lambda: None}
    return sample_ids(model, prompts, seeds, **(settings | changes))


def test_a_dialogue_that_comes_twice_is_used_once(tmp_path: Path) -> None:
    file = write_lines(tmp_path / "prompts.jsonl", [*ppo_examples.lines(2), *ppo_examples.lines(3)])
    found = read_prompts(file, lambda messages: (1, len(messages)))
    assert [prompt.dialogue for prompt in found] == ["d0", "d1", "d2"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [([], "nothing to answer"), ([{"dialogue": "d", "messages": []}], "prompt 1 lacks focus")],
)
def test_prompts_that_cannot_be_answered_are_named(
    tmp_path: Path, rows: list[dict[str, Any]], message: str
) -> None:
    file = write_lines(tmp_path / "prompts.jsonl", rows)
    with pytest.raises(RunFailedError, match=message):
        read_prompts(file, lambda messages: (1, len(messages)))


def test_a_quarter_of_the_prompts_is_held_out_at_most_and_learnt_from_by_nobody(
    tmp_path: Path, tiny: PolicyRef
) -> None:
    prompts = ppo_examples.prompts(tmp_path, tiny)
    learnt, held = split_prompts(prompts, 64, seed=0)
    assert (len(learnt), len(held)) == (9, 3)
    assert {prompt.dialogue for prompt in [*learnt, *held]} == {f"d{number}" for number in range(12)}


def test_one_held_out_prompt_would_say_nothing(tmp_path: Path, tiny: PolicyRef) -> None:
    prompts = ppo_examples.prompts(tmp_path, tiny, 7)
    assert [len(part) for part in split_prompts(prompts, 64, seed=0)] == [7, 0]


def test_every_prompt_is_used_before_one_is_used_again(tmp_path: Path, tiny: PolicyRef) -> None:
    # 5 prompts, 4 an iteration: iterations 0 to 4 make four decks.
    prompts = ppo_examples.prompts(tmp_path, tiny, 5)
    row = [prompt.dialogue for iteration in range(5) for prompt in prompts_of(iteration, prompts, 4, seed=0)]
    decks = [row[start : start + 5] for start in range(0, 20, 5)]
    assert all(sorted(deck) == ["d0", "d1", "d2", "d3", "d4"] for deck in decks)
    assert len({tuple(deck) for deck in decks}) > 1


def test_an_iteration_may_use_a_prompt_several_times(tmp_path: Path, tiny: PolicyRef) -> None:
    prompts = ppo_examples.prompts(tmp_path, tiny, 3)
    assert len(prompts_of(0, prompts, 8, seed=0)) == 8


def test_batches_hold_every_prompt_once_within_the_budget() -> None:
    # Lengths with 4 tokens to come: 9, 6, 7, 30. 2 · 7 = 14 fit into 20, 3 · 9 do not; 30 has no room anywhere.
    assert list(sampled_batches([5, 2, 3, 26], 4, 20)) == [[1, 2], [0], [3]]


def test_an_answer_does_not_depend_on_the_answers_beside_it(tiny: PolicyRef) -> None:
    prompts: list[tuple[int, ...]] = [(60, 61, 62), (70,), (80, 81, 82, 83, 84)]
    together = _sampled(tiny, prompts, [1, 2, 3])
    alone = [_sampled(tiny, [prompt], [seed])[0] for prompt, seed in zip(prompts, [1, 2, 3], strict=True)]
    assert together == alone


def test_an_answer_ends_with_its_end_of_turn_or_at_its_longest(tiny: PolicyRef) -> None:
    answers = _sampled(tiny, [(60, 61, 62)] * 40, list(range(40)), longest=20)
    assert any(len(ids) < 20 for ids in answers)
    for ids in answers:
        assert END not in ids[:-1]
        assert (ids[-1] == END) or len(ids) == 20


def test_answers_are_drawn_as_often_as_the_policy_gives_them_probability(tiny: PolicyRef) -> None:
    model: Any = load_causal_lm(tiny, torch.device("cpu"))
    prompt, draws = (60, 61, 62), 2000
    with torch.inference_mode():
        expected = model(torch.tensor([prompt])).logits[0, -1].softmax(dim=-1)
    drawn = _sampled(tiny, [prompt] * draws, list(range(draws)), longest=1)
    counts = torch.bincount(torch.tensor(drawn).flatten(), minlength=len(expected))
    likely = expected.topk(3)
    for token, p in zip(likely.indices.tolist(), likely.values.tolist(), strict=True):
        error = (p * (1 - p) / draws) ** 0.5
        assert abs(counts[token].item() / draws - p) < 4 * error


def test_what_was_said_is_text_without_the_end_of_turn(tmp_path: Path, tiny: PolicyRef) -> None:
    prompts = ppo_examples.prompts(tmp_path, tiny) * 3
    answers = answer_all(
        ppo_examples.actor_of(tiny),
        load_tokenizer(tiny),
        prompts,
        list(range(36)),
        longest=6,
        budget=200,
        check=lambda: None,
    )
    assert [answer.prompt for answer in answers] == prompts
    complete = [answer for answer in answers if answer.complete]
    assert complete
    for answer in complete:
        assert answer.ids[-1] == END
        assert len(answer.text) == len(answer.ids) - 1  # bytes of printable ASCII
        assert answer.row.tokens[answer.row.start :] == answer.ids
