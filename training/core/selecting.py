"""What rejection sampling makes of its scored candidates: winners, the bank, and the figures of K and temperature.

Knows rows and the files of the output. Must not know models, nor import torch.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from typing import Any, cast

from annotation.core.grades import Focus
from annotation.core.records import canonical_json
from rewardmodel.core.files import write_atomically
from rewardmodel.core.report import RunFailedError
from training.core import bank, sweep_plots, sweeps
from training.core.alike import crowded, first_alike
from training.core.chunks import Row, to_lines
from training.core.job import Job
from training.core.selection import best_of, combined_score, is_empty, mean
from training.core.specs.rejection import RejectionSampleSpec

Groups = Sequence[Sequence[Row]]  # one prompt's candidates each


def publish(
    job: Job, prompts: Sequence[Row], groups: Sequence[list[Row]], entries: Sequence[Row]
) -> dict[str, Any]:
    """Select, write the output whole, and return the run's result. `entries` are the bank's, with new scores.

    Raises:
        RunFailedError: every response is empty, or a reward is no number.
    """
    spec = cast("RejectionSampleSpec", job.file.spec())
    for prompt, group in zip(prompts, groups, strict=True):
        _add_scores(prompt, group)
    chosen = _winners(prompts, groups, job.file.inputs["policy"]["name"])
    winners, alike = _thinned(chosen, spec.most_alike)
    figures = figures_of(groups, spec.temperatures, seed=job.file.seed)
    files = {
        "candidates.jsonl": to_lines(_published(row) for group in groups for row in group),
        "winners.jsonl": to_lines(winners),
        "figures.json": canonical_json(figures) + "\n",
        **{f"{name}.svg": text for name, text in sweep_plots.plots_of(figures).items()},
    }
    result = _summary(groups, chosen, figures) | {"alike": alike}
    if spec.bank:
        kept, result["bank"] = _bank(job, chosen, entries, spec.most_alike)
        files["bank.jsonl"] = to_lines(kept)
    _publish(job, files)
    return result


def figures_of(groups: Groups, temperatures: Sequence[float], *, seed: int) -> dict[str, Any]:
    """The curves over K at each temperature and over all of them, and the comparison of temperatures.

    Empty samples are on no curve, as they never win. The curves of the temperatures, and their comparison, are over
    the prompts that got an answer at every one: like is compared with like.
    """
    spoken = [[row for row in group if not is_empty(row["text"])] for group in groups]
    at = {t: [_scores(group, t) for group in spoken] for t in sorted(temperatures)}
    common = [index for index in range(len(spoken)) if all(at[t][index] for t in at)]
    rewards = {t: [at[t][index] for index in common] for t in at}
    return {
        "over_all": _curve([_scores(group) for group in spoken if group], seed),
        "temperatures": [
            {"temperature": t, **_heard(groups, t), **_curve(rewards[t], seed)} for t in sorted(temperatures)
        ],
        "best_temperature": sweeps.compare_temperatures(rewards, seed=seed),
    }


def _scores(group: Sequence[Row], temperature: float | None = None) -> list[float]:
    return [row["score"] for row in group if temperature is None or row["temperature"] == temperature]


def _heard(groups: Groups, temperature: float) -> dict[str, Any]:
    """What the samples at a temperature were like: `distinct` is the mean number of answers that differ, a prompt."""
    texts = [[row["text"] for row in group if row["temperature"] == temperature] for group in groups]
    said = [[text for text in own if not is_empty(text)] for own in texts]
    return {
        "samples": sum(map(len, texts)),
        "empty": sum(map(len, texts)) - sum(map(len, said)),
        "distinct": mean([float(len(set(first_alike(own)))) for own in said]),
    }


def _curve(groups: Sequence[Sequence[float]], seed: int) -> dict[str, Any]:
    curve = sweeps.curve_of(groups, seed=seed)
    return {
        "prompts": len(groups),
        "points": curve.points,
        "best_95": curve.best_95,
        "median_95": curve.median_95,
    }


def _add_scores(prompt: Row, group: Sequence[Row]) -> None:
    focus = Focus(prompt["focus"])
    for row in group:
        row["score"] = combined_score(helpfulness=row["helpfulness"], safety=row["safety"], focus=focus)


def _winners(prompts: Sequence[Row], groups: Sequence[list[Row]], policy: str) -> list[Row]:
    found = [_winner(prompt, group, policy) for prompt, group in zip(prompts, groups, strict=True)]
    winners = [winner for winner in found if winner is not None]
    if not winners:
        raise RunFailedError("every response is empty; the policy ends its turn at once")
    return winners


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


def _thinned(rows: Sequence[Row], most: int) -> tuple[list[Row], dict[str, int]]:
    """Rows in their order, of those that read alike at most `most`, the best; how many repeat another, and went."""
    order = sorted(range(len(rows)), key=lambda index: (-rows[index]["score"], index))
    kept, repeated = crowded([rows[index]["text"] for index in order], most)
    stay = sorted(order[place] for place in kept)
    return [rows[index] for index in stay], {"repeated": repeated, "dropped": len(rows) - len(stay)}


def _bank(
    job: Job, chosen: Sequence[Row], earlier: Sequence[Row], most_alike: int
) -> tuple[list[Row], dict[str, Any]]:
    origin: Mapping[str, Any] = job.file.inputs.get("round", {"from": "this run", "iteration": None})
    own = [{**entry, "score": entry["old_score"]} for entry in bank.entries_of([(origin, chosen)])]
    entries = [*earlier, *own]
    best = bank.choose(entries)
    kept, alike = _thinned(best, most_alike)
    return kept, bank.summary(entries, best) | {"alike": alike}


def _published(candidate: Row) -> Row:
    """Without the latency, which a second attempt would not repeat."""
    return {field: value for field, value in candidate.items() if field not in {"latency_ms", "tokens"}}


def _publish(job: Job, files: Mapping[str, str]) -> None:
    staged = job.work / "staged"
    shutil.rmtree(staged, ignore_errors=True)
    staged.mkdir()
    for name, text in files.items():
        write_atomically(staged / name, text)
    job.publish(staged)


def _summary(groups: Groups, winners: Sequence[Row], figures: Mapping[str, Any]) -> dict[str, Any]:
    """`left_out` counts prompts whose samples are all empty: they have no winner and no point on a curve.

    `by_k` is [k, expected best, expected median] over the samples of all temperatures.
    """
    rows = [row for group in groups for row in group]
    return {
        "prompts": len(groups),
        "samples": len(rows),
        "left_out": len(groups) - len(winners),
        "mean_score": mean([row["score"] for row in rows]),
        "best_score": mean([winner["score"] for winner in winners]),
        "mean_helpfulness": mean([row["helpfulness"] for row in rows]),
        "mean_safety": mean([row["safety"] for row in rows]),
        "by_k": figures["over_all"]["points"],
        "by_temperature": [_brief(one) for one in figures["temperatures"]],
        "best_temperature": figures["best_temperature"],
    }


def _brief(one: Mapping[str, Any]) -> dict[str, Any]:
    last = one["points"][-1] if one["points"] else [0, None, None]
    low, high = one["best_95"][-1] if one["best_95"] else (None, None)
    return {
        **{field: one[field] for field in ("temperature", "samples", "empty", "distinct")},
        "best": last[1],
        "low": low,
        "high": high,
        "median": last[2],
        "by_k": one["points"],
    }
