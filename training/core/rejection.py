"""The run of rejection sampling: K samples a prompt, scored by both reward models, the best kept (section 3.2.3).

Knows prompts, seeds, stages and files. Must not know how a sample is drawn or a reward computed, nor what is
learnt from the winners.

Inputs: policy, helpfulness and safety (references) and prompts, a JSON lines file of {"dialogue", "messages",
"focus"}. Output: candidates.jsonl, in the order of prompts and samples, and winners.jsonl. Rewards are raw,
before the sigmoid. Result: means over all samples, and best_score over the winners.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, cast

from annotation.core.grades import Focus
from rewardmodel.core import scorer
from rewardmodel.core.backbone import PolicyRef
from rewardmodel.core.report import RunFailedError
from training.core.chunks import Plan, Row, read_lines, run_chunks
from training.core.generate import Request, release_memory
from training.core.job import Job
from training.core.sample import draw, local_generators, publish_lines
from training.core.selection import best_of, combined_score, curve, first_equals, is_empty, mean
from training.core.specs.rejection import RejectionSampleSpec

RESPONSES_PER_CHUNK: Final = 64  # so much scoring is lost by a kill
FIELDS: Final = frozenset({"dialogue", "messages", "focus"})


def run(job: Job) -> dict[str, Any]:
    """Generate, score twice, select. One model is in memory at a time."""
    spec = cast("RejectionSampleSpec", job.file.spec())
    prompts = _read_prompts(job)
    groups = _candidates(job, spec, prompts)
    for name in ("helpfulness", "safety"):
        _add_rewards(job, name, prompts, groups)
    job.stage("select")
    for prompt, group in zip(prompts, groups, strict=True):
        _add_scores(prompt, group)
    policy = job.file.inputs["policy"]["name"]
    winners = [_winner(prompt, group, policy) for prompt, group in zip(prompts, groups, strict=True)]
    kept = [winner for winner in winners if winner is not None]
    if not kept:
        raise RunFailedError("every response is empty; the policy ends its turn at once")
    candidates = [candidate for group in groups for candidate in group]
    publish_lines(job, {"candidates.jsonl": [_published(c) for c in candidates], "winners.jsonl": kept})
    return _summary(groups, kept)


def sample_seed(seed: int, dialogue: str, index: int) -> int:
    """The seed of one sample, by hash: it depends neither on the other prompts nor on their order."""
    digest = hashlib.sha256(f"{seed}:{dialogue}:{index}".encode()).digest()
    return int.from_bytes(digest[:8]) % 2**31


def _read_prompts(job: Job) -> list[Row]:
    """Every dialogue once, the first line of a repeated one."""
    lines = read_lines(Path(job.file.inputs["prompts"]))
    for number, line in enumerate(lines, start=1):
        if missing := FIELDS - line.keys():
            raise RunFailedError(f"prompt {number} lacks {', '.join(sorted(missing))}")
    prompts = list({line["dialogue"]: line for line in reversed(lines)}.values())[::-1]
    if not prompts:
        raise RunFailedError("there is nothing to answer: the prompts are empty")
    if len(prompts) < len(lines):
        job.note(f"{len(lines) - len(prompts)} prompts occur more than once and are used once.")
    return prompts


def _candidates(job: Job, spec: RejectionSampleSpec, prompts: Sequence[Row]) -> list[list[Row]]:
    """K rows a prompt, without rewards."""
    job.stage("generate")
    groups = [
        [
            {
                "dialogue": prompt["dialogue"],
                "index": index,
                "temperature": spec.temperatures[index % len(spec.temperatures)],
                "seed": sample_seed(job.file.seed, prompt["dialogue"], index),
            }
            for index in range(spec.samples_per_prompt)
        ]
        for prompt in prompts
    ]
    requests = [
        Request(
            messages=tuple(prompt["messages"]),
            temperature=row["temperature"],
            top_p=spec.top_p,
            seed=row["seed"],
            max_new_tokens=spec.max_new_tokens,
        )
        for prompt, group in zip(prompts, groups, strict=True)
        for row in group
    ]
    generator = local_generators(job, spec)(PolicyRef.from_json(job.file.inputs["policy"]))
    samples = iter(draw(requests, generator, job.work / "samples", job))
    for group in groups:
        for row in group:
            row.update(next(samples))
    return groups


def _add_rewards(job: Job, name: str, prompts: Sequence[Row], groups: Sequence[list[Row]]) -> None:
    """Add raw rewards under `name`. A text that repeats within a prompt is scored once."""
    job.stage(f"score {name}")
    model: scorer.Scorer | None = None

    def compute(indices: Sequence[int]) -> list[Row]:
        nonlocal model
        if model is None:  # not before there is something left to score
            model = scorer.load(job.file.inputs[name], device=job.file.device)
        texts = [[row["text"] for row in groups[index]] for index in indices]
        firsts = [first_equals(group) for group in texts]
        asked = [
            (prompts[index]["messages"], [group[i] for i in sorted(set(first))])
            for index, group, first in zip(indices, texts, firsts, strict=True)
        ]
        rewards = model.score(asked)
        return [{"rewards": _spread(own, first)} for own, first in zip(rewards, firsts, strict=True)]

    plan = _scoring_plan(len(prompts), len(groups[0]))
    rows = run_chunks(job.work / name, plan, compute, job, "prompts")
    for group, row in zip(groups, rows, strict=True):
        for candidate, reward in zip(group, row["rewards"], strict=True):
            candidate[name] = reward
    if model is not None:
        model = None
        release_memory()


def _spread(rewards: Sequence[float], firsts: Sequence[int]) -> list[float]:
    """The reward of each text, from those of the distinct ones in order of first appearance."""
    of = dict(zip(sorted(set(firsts)), rewards, strict=True))
    return [of[first] for first in firsts]


def _scoring_plan(prompts: int, samples: int) -> Plan:
    size = max(1, RESPONSES_PER_CHUNK // samples)
    return [range(start, min(start + size, prompts)) for start in range(0, prompts, size)]


def _add_scores(prompt: Row, group: Sequence[Row]) -> None:
    focus = Focus(prompt["focus"])
    for row in group:
        row["score"] = combined_score(helpfulness=row["helpfulness"], safety=row["safety"], focus=focus)


def _winner(prompt: Row, group: Sequence[Row], policy: str) -> Row | None:
    try:
        best = best_of([row["text"] for row in group], [row["score"] for row in group])
    except ValueError as error:
        raise RunFailedError(f"a reward model gave no number for dialogue {prompt['dialogue']}") from error
    if best is None:
        return None
    asked = {field: prompt[field] for field in ("dialogue", "messages", "focus")}
    return (
        asked
        | {field: group[best][field] for field in ("text", "score", "finish_reason")}
        | {"policy": policy}
    )


def _published(candidate: Row) -> Row:
    """Without the latency, which a second attempt would not repeat."""
    return {field: value for field, value in candidate.items() if field not in {"latency_ms", "tokens"}}


def _summary(groups: Sequence[Sequence[Row]], winners: Sequence[Row]) -> dict[str, Any]:
    """`left_out` counts prompts whose samples are all empty: they have no winner and no point on the curve."""
    rows = [row for group in groups for row in group]
    spoken = [[row["score"] for row in group if not is_empty(row["text"])] for group in groups]
    return {
        "prompts": len(groups),
        "samples": len(rows),
        "left_out": len(groups) - len(winners),
        "mean_score": mean([row["score"] for row in rows]),
        "best_score": mean([winner["score"] for winner in winners]),
        "mean_helpfulness": mean([row["helpfulness"] for row in rows]),
        "mean_safety": mean([row["safety"] for row in rows]),
        "by_k": [list(point) for point in curve([scores for scores in spoken if scores])],
    }
