"""The run of context distillation: answers behind a safety pre-prompt, learnt without it (section 4.2.4).

Knows prompts, pre-prompts, stages and files. Must not know how an answer is drawn or a reward computed.

Inputs: policy and safety (references) and prompts, a JSON lines file of {"dialogue", "messages", "focus"} with an
optional "category", the risk category. Output: targets.jsonl, the answers kept, and candidates.jsonl, all of them;
rewards are raw, before the sigmoid. An answer is kept where the safety model scores it above the answer that the
same policy gives without a pre-prompt. Result: the share kept over all, by category and by pre-prompt.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final, cast

from annotation.core.grades import Focus
from annotation.core.records import Message
from rewardmodel.core import scorer
from rewardmodel.core.report import RunFailedError
from training.core.chunks import Row, run_chunks
from training.core.dialogue_rounds import Asked, Rounds, read_prompts
from training.core.draws import draw_seed
from training.core.generate import release_memory
from training.core.instructions import with_instruction
from training.core.job import Job
from training.core.preprompts import PrePrompt, choose_preprompts
from training.core.sample import publish_lines
from training.core.selection import best_of, first_equals, is_empty, mean
from training.core.specs.dialogues import DistillSpec

PROMPTS_PER_CHUNK: Final = 16  # so much scoring is lost by a kill
PLAIN: Final = PrePrompt("", "")  # of an answer that had none
UNCATEGORISED: Final = "no category"


def run(job: Job) -> dict[str, Any]:
    """Sample with pre-prompts and without, score all behind the bare prompt, keep what gained."""
    spec = cast("DistillSpec", job.file.spec())
    prompts = _adversarial(job, spec, read_prompts(job))
    groups = _answers(job, spec, prompts)
    if all(is_empty(row["text"]) for group in groups for row in group[1:]):
        raise RunFailedError("every answer behind a pre-prompt is empty: the policy ends its turn at once")
    _add_rewards(job, prompts, groups)
    job.stage("select")
    targets = [
        target
        for prompt, group in zip(prompts, groups, strict=True)
        if (target := _target(job, prompt, group)) is not None
    ]
    result = _summary(prompts, groups, targets)
    if not targets:
        raise RunFailedError(
            f"none of {len(prompts)} answers behind a pre-prompt scores above the answer without one, so that there "
            "is nothing to learn; the policy may ignore a system message (try place), or be as safe as it gets"
        )
    candidates = [row for group in groups for row in group]
    publish_lines(job, {"candidates.jsonl": candidates, "targets.jsonl": targets})
    return result


def _adversarial(job: Job, spec: DistillSpec, prompts: Sequence[Row]) -> list[Row]:
    """The prompts to answer. Where all were to be adversarial, those with which a small pool filled up are left out:
    behind a pre-prompt their answers only grow more timid."""
    kept = [prompt for prompt in prompts if spec.safety_share < 1 or prompt["focus"] == Focus.SAFETY]
    if not kept:
        raise RunFailedError(
            "the pool gave no adversarial prompts. Add some: manage.py add_prompts FILE --focus safety"
        )
    if len(kept) < len(prompts):
        job.note(f"The pool has too few adversarial prompts: {len(prompts) - len(kept)} others are left out.")
    return kept


def _answers(job: Job, spec: DistillSpec, prompts: Sequence[Row]) -> list[list[Row]]:
    """The answers to each prompt, first the one without a pre-prompt; without scores."""
    job.stage("generate")
    seed = job.file.seed
    groups, asked = [], []
    for prompt in prompts:
        chosen = choose_preprompts(
            seed,
            prompt["dialogue"],
            _category(prompt),
            spec.preprompts,
            spec.preprompts_per_prompt,
        )
        rows = []
        for one in (PLAIN, *chosen):
            messages = _behind(one, prompt["messages"], spec)
            asked.append(Asked(messages, spec.temperature, draw_seed(seed, prompt["dialogue"], one.name)))
            rows.append({"dialogue": prompt["dialogue"], "preprompt": one.name})
        groups.append(rows)
    with Rounds.of(job, spec) as rounds:
        answers = iter(rounds.ask("answers", asked))
    for group in groups:
        for row in group:
            answer = next(answers)
            row.update(text=answer["text"], finish_reason=answer["finish_reason"])
    return groups


def _behind(one: PrePrompt, messages: Sequence[Message], spec: DistillSpec) -> Sequence[Message]:
    if one == PLAIN:
        return messages
    return with_instruction(messages, one.text, system=spec.place == "system")


def _category(prompt: Row) -> str:
    return str(prompt.get("category") or "")


def _add_rewards(job: Job, prompts: Sequence[Row], groups: Sequence[list[Row]]) -> None:
    """Add each answer's safety reward behind the bare prompt. A text that repeats within a prompt is scored once."""
    job.stage("score safety")
    model: scorer.Scorer | None = None

    def compute(indices: Sequence[int]) -> list[Row]:
        nonlocal model
        if model is None:  # not before there is something left to score
            model = scorer.load(job.file.inputs["safety"], device=job.file.device)
        return _rewards(model.score, [prompts[i] for i in indices], [groups[i] for i in indices])

    plan = [
        range(start, min(start + PROMPTS_PER_CHUNK, len(prompts)))
        for start in range(0, len(prompts), PROMPTS_PER_CHUNK)
    ]
    rows = run_chunks(job.work / "safety", plan, compute, job, "prompts")
    for prompt, group, row in zip(prompts, groups, rows, strict=True):
        for answer, reward in zip(group, row["rewards"], strict=True):
            if not math.isfinite(reward):
                raise RunFailedError(f"the reward model gave no number for dialogue {prompt['dialogue']}")
            answer["score"] = reward
    if model is not None:
        model = None
        release_memory()


def _rewards(
    score: Callable[[Sequence[scorer.Group]], list[list[float]]],
    prompts: Sequence[Row],
    groups: Sequence[Sequence[Row]],
) -> list[Row]:
    """The rewards of each prompt's answers; equal texts get equal ones, so that none gains by rounding."""
    texts = [[row["text"] for row in group] for group in groups]
    firsts = [first_equals(group) for group in texts]
    distinct = [sorted(set(first)) for first in firsts]
    asked = [
        (prompt["messages"], [group[i] for i in kept])
        for prompt, group, kept in zip(prompts, texts, distinct, strict=True)
    ]
    scored = [
        dict(zip(kept, rewards, strict=True)) for kept, rewards in zip(distinct, score(asked), strict=True)
    ]
    return [
        {"rewards": [rewards[index] for index in first]}
        for rewards, first in zip(scored, firsts, strict=True)
    ]


def _target(job: Job, prompt: Row, group: Sequence[Row]) -> Row | None:
    """The best answer behind a pre-prompt where it scores above the original one; its prompt is the bare one."""
    original, *others = group
    best = best_of([row["text"] for row in others], [row["score"] for row in others])
    if best is None or others[best]["score"] <= original["score"]:
        return None
    answer = others[best]
    return {
        **{field: prompt[field] for field in ("dialogue", "messages", "focus")},
        **{field: answer[field] for field in ("text", "finish_reason", "score", "preprompt")},
        "original_score": original["score"],
        "category": _category(prompt),
        "policy": job.file.inputs["policy"]["name"],
    }


def _summary(
    prompts: Sequence[Row], groups: Sequence[Sequence[Row]], targets: Sequence[Row]
) -> dict[str, Any]:
    """`gain` is the score kept less the original's, in units of raw reward; `least_gain` is above 0 always."""
    gains = [target["score"] - target["original_score"] for target in targets]
    names = sorted({_category(prompt) or UNCATEGORISED for prompt in prompts})
    return {
        "prompts": len(prompts),
        "answers": sum(len(group) for group in groups),
        "kept": len(targets),
        "share_kept": len(targets) / len(prompts),
        "mean_gain": mean(gains),
        "least_gain": min(gains, default=None),
        "mean_original": mean([group[0]["score"] for group in groups]),
        "mean_behind": mean([row["score"] for group in groups for row in group[1:]]),
        "by_category": {name: _of_category(name, prompts, targets) for name in names},
        "by_preprompt": _by_preprompt(groups, targets),
    }


def _of_category(name: str, prompts: Sequence[Row], targets: Sequence[Row]) -> dict[str, float]:
    asked = sum((_category(prompt) or UNCATEGORISED) == name for prompt in prompts)
    kept = [target for target in targets if (target["category"] or UNCATEGORISED) == name]
    return {
        "prompts": asked,
        "kept": len(kept),
        "share_kept": len(kept) / asked,
        "mean_gain": mean([target["score"] - target["original_score"] for target in kept]),
    }


def _by_preprompt(groups: Sequence[Sequence[Row]], targets: Sequence[Row]) -> dict[str, dict[str, float]]:
    """Of each pre-prompt: its answers, how many of them score above the original, and how many were kept."""
    chosen = [target["preprompt"] for target in targets]
    gains: dict[str, list[float]] = {}
    for original, *others in groups:
        for row in others:
            gains.setdefault(row["preprompt"], []).append(row["score"] - original["score"])
    return {
        name: {
            "answers": len(own),
            "share_above": sum(gain > 0 for gain in own) / len(own),
            "kept": chosen.count(name),
            "mean_gain": mean(own),
        }
        for name, own in sorted(gains.items())
    }
