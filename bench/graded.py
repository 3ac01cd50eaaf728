"""`make bench-graded`: what the margin and the safety loss do where the truth is known.

People in made-up worlds choose, grade and label (bench/experiments/worlds.py); the product's own losses learn from them
(`rewardmodel.core.probe.fit`, and `rewardmodel.core.tuning.tune` of a tiny network). Every seed is a world of its own:
other words, pairs and people. Contestants of a seed learn from the same pairs and are tried on the same new ones;
what is reported is their difference, its mean over seeds and Student's 95 % interval.

Worlds, penalties, sizes and what is expected of each world stand in this file and in worlds.py, and were written down
before the first result. Every world that was tried is reported.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
import torch

from annotation.core.grades import Grade, MarginTable
from bench.experiments.folds import FloatArray, by_seed, credits_of
from bench.experiments.graded_fits import (
    fit_margin,
    fit_safety,
    margins_of,
    rewards_of,
    tuned_rewards,
)
from bench.experiments.plot import Mark, forest
from bench.experiments.worlds import (
    GRADES,
    Graded,
    GradedWorld,
    Labelled,
    SafetyWorld,
    counts,
    graded,
    labelled,
    projected,
)
from bench.models import ROOT
from bench.record import RESULTS, machine, versions
from rewardmodel.core.spec import TrainRewardModelSpec
from rewardmodel.core.tuning import TuningPlan

PLOTS: Final = ROOT / "docs" / "experiments"
L2: Final[float] = TrainRewardModelSpec.model_fields["l2"].default
PENALTIES: Final = (0.03, 0.1, 0.3, 1.0, 3.0)
TABLES: Final = (MarginTable.NONE, MarginTable.SMALL, MarginTable.LARGE)
SAFETY_WEIGHTS: Final = (0.0, 0.3, 1.0)
CHECK: Final = 500  # pairs by which a penalty is chosen; never learnt from, never tried
TEST: Final = 4000  # pairs that are tried
RECALL_AT: Final = 0.0  # the reward at which sigmoid(r) is 0.5
SAME_ALARMS: Final = 0.2  # share of safe responses that a threshold of its own lets each model flag

GRADED_WORLDS: Final = (
    GradedWorld("few pairs", "helps: the grade says which choices can be trusted, and few pairs cannot", 300),
    GradedWorld(
        "few pairs, no noise", "helps: the grade says how far apart two responses are", 300, noise=0.0
    ),
    GradedWorld(
        "few pairs, much noise", "helps: the grade says which choices can be trusted", 300, noise=2.0
    ),
    GradedWorld("many pairs", "hardly helps: the choices alone tell the weights", 3000),
    GradedWorld(
        "head too small",
        "open: the head cannot hold all weights, the grade says which matter",
        1000,
        projected=40,
    ),
    GradedWorld(
        "grades without meaning", "does not help, may harm: the grade knows nothing", 300, meaningless=True
    ),
)
SAFETY_WORLDS: Final = (
    SafetyWorld(
        "bins of the paper",
        "helps: most pairs have two responses of one label, of which choices say nothing",
        600,
    ),
    SafetyWorld(
        "plain hazards", "helps more: what makes a response unsafe is easy to see", 600, hazard_unsafe=0.35
    ),
    SafetyWorld(
        "one safe, one unsafe",
        "helps little: every choice says already which one is unsafe",
        600,
        shares=(1, 0, 0),
    ),
    SafetyWorld("labels without meaning", "does not help: the label knows nothing", 600, meaningless=True),
)
TUNED_GRADED: Final = GradedWorld("tiny network, trained whole", "as few pairs", 400)
TUNED_SAFETY: Final = SafetyWorld("tiny network, trained whole", "as bins of the paper", 400)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=30, help="of the convex head")
    parser.add_argument("--tuned-seeds", type=int, default=20, help="of the tiny network; 0 leaves it out")
    options = parser.parse_args()
    torch.set_num_threads(min(2, torch.get_num_threads()))
    margin = {world.name: _margin_world(world, options.seeds) for world in GRADED_WORLDS}
    safety = {world.name: _safety_world(world, options.seeds) for world in SAFETY_WORLDS}
    if options.tuned_seeds:
        margin[TUNED_GRADED.name] = _tuned_margin(TUNED_GRADED, options.tuned_seeds)
        safety[TUNED_SAFETY.name] = _tuned_safety(TUNED_SAFETY, options.tuned_seeds)
    _plot(margin, safety)
    print(_write(margin, safety, options))


def _over_seeds(name: str, seeds: int, one: Callable[[int], dict[str, float]]) -> dict[str, list[float]]:
    """The figures of each seed, by name."""
    started = time.perf_counter()
    runs = [one(seed) for seed in range(seeds)]
    print(f"{name}: {seeds} seeds in {time.perf_counter() - started:.0f} s", flush=True)
    return {key: [run[key] for run in runs] for key in runs[0]}


def _margin_world(world: GradedWorld, seeds: int) -> dict[str, Any]:
    runs = _over_seeds(world.name, seeds, lambda seed: _margin_seed(world, seed))
    return {"expected": world.expected, "pairs": world.pairs, **_margin_summary(runs, ("default", "best"))}


def _margin_seed(world: GradedWorld, seed: int) -> dict[str, float]:
    data, _ = graded(world, seed, more=CHECK + TEST)
    features = counts(data.words)
    if world.projected:
        features = projected(features, world.projected, seed)
    learnt, check, test = _parts(data, world.pairs)
    found: dict[str, float] = _by_grade("truth", credits_of(test.truly), test)
    for table in TABLES:
        differences = {l2: _differences(features, learnt, table, l2) for l2 in PENALTIES}
        accuracy = {l2: float(credits_of(one[: check.pairs]).mean()) for l2, one in differences.items()}
        best = max(PENALTIES, key=lambda l2: accuracy[l2])
        found |= _by_grade(f"{table}/default", credits_of(differences[L2][check.pairs :]), test)
        found |= _by_grade(f"{table}/best", credits_of(differences[best][check.pairs :]), test)
        found[f"{table}/penalty"] = best
    return found


def _parts(data: Graded, pairs: int) -> tuple[Graded, Graded, Graded]:
    return data.part(0, pairs), data.part(pairs, pairs + CHECK), data.part(pairs + CHECK, data.pairs)


def _differences(features: FloatArray, learnt: Graded, table: MarginTable, l2: float) -> FloatArray:
    """Reward of chosen less that of rejected, of all pairs that were not learnt from."""
    rewards = rewards_of(fit_margin(features, learnt, table, l2), features[2 * learnt.pairs :])
    return rewards[::2] - rewards[1::2]


def _by_grade(who: str, right: FloatArray, test: Graded) -> dict[str, float]:
    found = {f"{who}/all": float(right.mean())}
    for number, grade in enumerate(GRADES):
        found[f"{who}/{grade}"] = float(right[test.grades == number].mean())
    return found


def _margin_summary(runs: Mapping[str, Sequence[float]], ways: Sequence[str]) -> dict[str, Any]:
    """Accuracies and paired differences from the marginless model, by way of choosing the penalty."""
    groups = [*GRADES, "all"]
    return {
        "seeds": len(runs["none/" + ways[0] + "/all"]),
        "truth": {group: _mean(runs[f"truth/{group}"]) for group in groups},
        "accuracy": {
            way: {str(t): {str(g): _mean(runs[f"{t}/{way}/{g}"]) for g in groups} for t in TABLES}
            for way in ways
        },
        "less_none": {
            way: {
                str(t): {str(g): _difference(runs[f"{t}/{way}/{g}"], runs[f"none/{way}/{g}"]) for g in groups}
                for t in TABLES[1:]
            }
            for way in ways
        },
        "runs": {
            key: [round(value, 4) for value in values]
            for key, values in runs.items()
            if key.endswith((Grade.SIGNIFICANTLY_BETTER, "all"))
        },
    }


def _mean(values: Sequence[float]) -> float:
    return round(float(np.mean(values)), 5)


def _difference(one: Sequence[float], other: Sequence[float]) -> dict[str, float]:
    return by_seed(list(np.subtract(one, other))).to_json()


def _safety_world(world: SafetyWorld, seeds: int) -> dict[str, Any]:
    runs = _over_seeds(world.name, seeds, lambda seed: _safety_seed(world, seed))
    return {"expected": world.expected, "pairs": world.pairs, **_safety_summary(runs)}


def _safety_seed(world: SafetyWorld, seed: int) -> dict[str, float]:
    data = labelled(world, seed, more=TEST)
    features = counts(data.words)
    learnt, test = data.part(0, world.pairs), data.part(world.pairs, data.pairs)
    found: dict[str, float] = {}
    for weight in SAFETY_WEIGHTS:
        head = fit_safety(features, learnt, weight, L2)
        found |= _safety_figures(f"{weight:g}", rewards_of(head, features[2 * world.pairs :]), test)
    return found


def _safety_figures(who: str, rewards: FloatArray, test: Labelled) -> dict[str, float]:
    """Against what the responses truly are. AUC needs no threshold: a mere shift of all rewards leaves it alone."""
    unsafe = test.truly < 0
    flagged = rewards < RECALL_AT
    recall, alarms = float(flagged[unsafe].mean()), float(flagged[~unsafe].mean())
    lowest = np.quantile(rewards[~unsafe], SAME_ALARMS)
    return {
        f"{who}/recall": recall,
        f"{who}/recall at equal alarms": float((rewards[unsafe] < lowest).mean()),
        f"{who}/false alarms": alarms,
        f"{who}/balanced accuracy": (recall + 1 - alarms) / 2,
        f"{who}/AUC": _auc(rewards[~unsafe], rewards[unsafe]),
        f"{who}/pairs": float(credits_of(rewards[::2] - rewards[1::2]).mean()),
    }


def _auc(higher: FloatArray, lower: FloatArray) -> float:
    """The share of (safe, unsafe) couples in which the safe one has the higher reward; ties count half."""
    ordered = np.sort(lower)
    below = np.searchsorted(ordered, higher, side="left")
    upto = np.searchsorted(ordered, higher, side="right")
    return float((below + upto).mean() / 2 / len(lower))


SAFETY_FIGURES: Final = (
    "recall",
    "recall at equal alarms",
    "false alarms",
    "balanced accuracy",
    "AUC",
    "pairs",
)


def _safety_summary(runs: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    weights = [f"{weight:g}" for weight in SAFETY_WEIGHTS if f"{weight:g}/recall" in runs]
    return {
        "seeds": len(runs["0/recall"]),
        "figures": {w: {figure: _mean(runs[f"{w}/{figure}"]) for figure in SAFETY_FIGURES} for w in weights},
        "less_0": {
            w: {f: _difference(runs[f"{w}/{f}"], runs[f"0/{f}"]) for f in SAFETY_FIGURES} for w in weights[1:]
        },
        "runs": {key: [round(value, 4) for value in values] for key, values in runs.items()},
    }


def _plan(seed: int, safety: float) -> TuningPlan:
    return TuningPlan(
        epochs=6,
        learning_rate=1e-2,
        pairs_per_step=32,
        tokens_per_batch=4096,
        safety_loss_weight=safety,
        seed=seed,
    )


def _tuned_margin(world: GradedWorld, seeds: int) -> dict[str, Any]:
    def one(seed: int) -> dict[str, float]:
        data, _ = graded(world, seed, more=TEST // 4)
        learnt, test = data.part(0, world.pairs), data.part(world.pairs, data.pairs)
        unlabelled = np.zeros(2 * world.pairs, dtype=np.int64)
        found = _by_grade("truth", credits_of(test.truly), test)
        for table in TABLES:
            margins = margins_of(learnt.grades, table)
            rewards = tuned_rewards(learnt.words, test.words, margins, unlabelled, _plan(seed, 0.0))
            found |= _by_grade(f"{table}/default", credits_of(rewards[::2] - rewards[1::2]), test)
        return found

    runs = _over_seeds(world.name, seeds, one)
    return {"expected": world.expected, "pairs": world.pairs, **_margin_summary(runs, ("default",))}


def _tuned_safety(world: SafetyWorld, seeds: int) -> dict[str, Any]:
    def one(seed: int) -> dict[str, float]:
        data = labelled(world, seed, more=TEST // 4)
        learnt, test = data.part(0, world.pairs), data.part(world.pairs, data.pairs)
        found: dict[str, float] = {}
        for weight in (0.0, 1.0):
            rewards = tuned_rewards(
                learnt.words, test.words, np.zeros(world.pairs), learnt.signs, _plan(seed, weight)
            )
            found |= _safety_figures(f"{weight:g}", rewards, test)
        return found

    runs = _over_seeds(world.name, seeds, one)
    return {"expected": world.expected, "pairs": world.pairs, **_safety_summary(runs)}


def _plot(margin: Mapping[str, Any], safety: Mapping[str, Any]) -> None:
    for way, words in (("default", "the product's penalty"), ("best", "each model's best penalty")):
        marks = [
            Mark(f"{name}, {table}", *world["less_none"][way][table]["significantly_better"].values())
            for name, world in margin.items()
            for table in ("small", "large")
            if way in world["less_none"]
        ]
        title = f"Accuracy on “significantly better”, less the marginless model's: {words}"
        (PLOTS / f"margin-{way}.svg").write_text(forest(title, marks))
    marks = [
        Mark(f"{name}, {figure}", *world["less_0"]["1"][figure].values())
        for name, world in safety.items()
        for figure in ("recall", "recall at equal alarms", "AUC", "pairs")
    ]
    (PLOTS / "safety-loss.svg").write_text(forest("With the safety loss (weight 1), less without", marks))


def _write(margin: dict[str, Any], safety: dict[str, Any], options: argparse.Namespace) -> str:
    few = margin["few pairs"]["less_none"]["best"]
    paper = safety["bins of the paper"]["less_0"]["1"]
    says = (
        f"“significantly better” with few pairs: small margin {few['small']['significantly_better']['mean']:+.3f}, "
        f"large {few['large']['significantly_better']['mean']:+.3f}; "
        f"safety loss: recall of unsafe responses at equal alarms {paper['recall at equal alarms']['mean']:+.3f}, "
        f"at threshold 0.5 {paper['recall']['mean']:+.3f} with false alarms {paper['false alarms']['mean']:+.3f}"
    )
    result = {
        "name": "graded",
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "versions": versions(),
        "says": says,
        "seeds": {"head": options.seeds, "tuned": options.tuned_seeds},
        "l2": L2,
        "penalties": PENALTIES,
        "margin": margin,
        "safety": safety,
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "graded.json").write_text(json.dumps(result, indent=1) + "\n")
    return f"graded: {says}"


if __name__ == "__main__":
    main()
