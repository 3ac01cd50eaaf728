"""Pairs of a batch become scores, and the scores its order: what the models doubt comes first."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from annotation.core.grades import Focus
from annotation.core.records import canonical_json
from annotation.core.states import BatchState
from annotation.models import Batch
from annotation.services.allocation import rank_comparisons
from rewardmodel.core.files import write_lines_atomically
from rewardmodel.models import RewardModelVersion
from rewardmodel.queries import pairs_to_score
from rewardmodel.services import store_pair_scores
from training.core.disagreement import Rewards, rank_of_pair
from training.models import Run
from training.services.references import reward_model_reference

Scores = dict[Focus, dict[str, Rewards]]  # by model and comparison key


def prepare(run: Run) -> dict[str, Any]:
    path = run.folder / "pairs.jsonl"
    write_lines_atomically(path, _lines(run))
    models = {
        str(focus): reward_model_reference(RewardModelVersion.objects.get(pk=run.inputs[focus]))
        for focus in _models(run)
    }
    return {"pairs": str(path), **models}


def _models(run: Run) -> list[Focus]:
    return [focus for focus in Focus if focus in run.inputs]


def _lines(run: Run) -> Iterator[str]:
    rows = pairs_to_score(run.inputs["batch"], _models(run))
    for pair in rows.select_related("dialogue", "response_a", "response_b").iterator(chunk_size=500):
        line = {
            "comparison": pair.key,
            "focus": pair.focus,
            "messages": pair.dialogue.messages,
            "a": pair.response_a.text,
            "b": pair.response_b.text,
        }
        yield canonical_json(line) + "\n"


def collect(run: Run) -> Scores:
    scores: Scores = {focus: {} for focus in _models(run)}
    with (run.folder / "output" / "scores.jsonl").open(encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            scores[Focus(row["model"])][row["comparison"]] = Rewards(row["a"], row["b"])
    return scores


def register(run: Run, data: Scores) -> None:
    batch = Batch.objects.get(pk=run.inputs["batch"])
    pks = dict(batch.comparisons.values_list("key", "pk"))
    by_pair: dict[int, list[Rewards]] = {}
    for focus, scores in data.items():
        version = RewardModelVersion.objects.get(pk=run.inputs[focus])
        rewards = {pks[key]: own for key, own in scores.items()}
        store_pair_scores(version=version, batch=batch, rewards=rewards)
        for pk, own in rewards.items():
            by_pair.setdefault(pk, []).append(own)
    if run.params["reorder"] and batch.state != BatchState.SEALED:
        rank_comparisons(batch=batch, ranks={pk: rank_of_pair(own) for pk, own in by_pair.items()})
