"""The run that scores the pairs of a batch with reward models (the priority by disagreement, the review of people
against the model).

Knows pairs, stages and files. Must not know how a reward is computed, nor what is done with the scores.

Inputs: pairs, a JSON lines file of {"comparison", "focus", "messages", "a", "b"}, and helpfulness, safety or both
(references). Output: scores.jsonl of {"comparison", "model", "a", "b"}, one model after the other, each in the order
of the pairs; rewards are raw, before the sigmoid. Result: pairs, at_odds (pairs on which the two prefer different
responses) and mean_doubt, by model over the pairs of its focus.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, cast

from annotation.core.allocation import doubt
from annotation.core.grades import Focus
from rewardmodel.core import scorer
from rewardmodel.core.report import RunFailedError
from training.core.chunks import LineFile, Row, run_chunks
from training.core.disagreement import Rewards, at_odds
from training.core.generate import release_memory
from training.core.job import Job
from training.core.sample import publish_lines
from training.core.selection import mean
from training.core.spec import ScorePairsSpec

PAIRS_PER_CHUNK: Final = 64  # so much scoring is lost by a kill
FIELDS: Final = frozenset({"comparison", "focus", "messages", "a", "b"})


def run(job: Job) -> dict[str, Any]:
    """Score every pair, one model in memory at a time."""
    spec = cast("ScorePairsSpec", job.file.spec())
    pairs = LineFile(Path(job.file.inputs["pairs"]))
    if not len(pairs):
        raise RunFailedError("there is nothing to score: the batch has no pairs")
    models = [focus for focus in Focus if focus in job.file.inputs]
    if not models:
        raise RunFailedError("there is no reward model to score with")
    scores = {focus: _scores(job, focus, pairs, spec) for focus in models}
    publish_lines(job, {"scores.jsonl": [_published(row) for focus in models for row in scores[focus]]})
    return _summary(scores)


def _scores(job: Job, focus: Focus, pairs: LineFile, spec: ScorePairsSpec) -> list[Row]:
    """One row a pair, as it is published and with the pair's focus."""
    job.stage(f"score {focus}")
    model: scorer.Scorer | None = None
    scored = 0

    def compute(indices: Sequence[int]) -> list[Row]:
        nonlocal model, scored
        if model is None:  # not before there is something left to score
            model = scorer.load(
                job.file.inputs[focus], device=job.file.device, tokens_per_batch=spec.tokens_per_batch
            )
        rows = [_checked(row, index) for row, index in zip(pairs.read(indices), indices, strict=True)]
        started = time.perf_counter()
        rewards = model.score([(row["messages"], (row["a"], row["b"])) for row in rows])
        scored += len(rows)
        job.metric("pairs_per_second", len(rows) / (time.perf_counter() - started), scored)
        return [_row(row, focus, *own) for row, own in zip(rows, rewards, strict=True)]

    plan = [
        range(start, min(start + PAIRS_PER_CHUNK, len(pairs)))
        for start in range(0, len(pairs), PAIRS_PER_CHUNK)
    ]
    rows = run_chunks(job.work / focus, plan, compute, job, "pairs")
    if model is not None:
        model = None
        release_memory()
    return rows


def _checked(pair: Row, index: int) -> Row:
    if missing := FIELDS - pair.keys():
        raise RunFailedError(f"pair {index + 1} lacks {', '.join(sorted(missing))}")
    return pair


def _row(pair: Row, focus: Focus, a: float, b: float) -> Row:
    if not (math.isfinite(a) and math.isfinite(b)):
        raise RunFailedError(f"the {focus} model gave no number for comparison {pair['comparison']}")
    return {"comparison": pair["comparison"], "focus": pair["focus"], "model": focus, "a": a, "b": b}


def _published(row: Row) -> Row:
    return {field: value for field, value in row.items() if field != "focus"}


def _summary(scores: Mapping[Focus, Sequence[Row]]) -> dict[str, Any]:
    by_pair = list(zip(*scores.values(), strict=True))
    own = {
        focus: [doubt(row["a"] - row["b"]) for row in rows if row["focus"] == focus]
        for focus, rows in scores.items()
    }
    return {
        "pairs": len(by_pair),
        "at_odds": sum(at_odds([Rewards(row["a"], row["b"]) for row in pair]) for pair in by_pair),
        "mean_doubt": {focus: mean(doubts) for focus, doubts in own.items() if doubts},
    }
