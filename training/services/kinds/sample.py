"""Prompts become pairs of responses that wait for annotators."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from annotation.core.records import canonical_json
from annotation.models import Batch
from annotation.services.ingest import NewPair, NewResponse, ingest_pairs
from rewardmodel.core.files import write_atomically
from training.core.draws import draw_seed, two_temperatures
from training.models import PolicyVersion, Run
from training.services.prompts import dialogues_of
from training.services.references import policy_reference


def prepare(run: Run) -> dict[str, Any]:
    policies = [PolicyVersion.objects.get(pk=pk) for pk in run.inputs["policies"]]
    path = run.folder / "requests.jsonl"
    lines = _requests(run, [policy.name for policy in policies])
    write_atomically(path, "".join(canonical_json(line) + "\n" for line in lines))
    references = {policy.name: policy_reference(policy) for policy in policies}
    return {"policies": list(references.values()), "requests": str(path)}


def _requests(run: Run, names: list[str]) -> Iterator[dict[str, Any]]:
    """Two requests a dialogue: the first and the last named policy, at two temperatures (section 3.2.1)."""
    for dialogue in dialogues_of(run.inputs["prompts"]):
        first, second = two_temperatures(run.params["temperatures"], seed=run.seed, key=dialogue.key)
        for side, name, temperature in ((0, names[0], first), (1, names[-1], second)):
            yield {
                "dialogue": dialogue.key,
                "messages": dialogue.messages,
                "policy": name,
                "temperature": temperature,
                "seed": draw_seed(run.seed, dialogue.key, side),
            }


def collect(run: Run) -> list[NewPair]:
    focus_of = {d.key: d.focus for d in dialogues_of(run.inputs["prompts"])}
    requests = _read_lines(run.folder / "requests.jsonl")
    responses = [_response(run, row) for row in _read_lines(run.folder / "output" / "responses.jsonl")]
    return [
        NewPair(
            messages=tuple(requests[i]["messages"]),
            focus=focus_of[requests[i]["dialogue"]],
            first=responses[i],
            second=responses[i + 1],
        )
        for i in range(0, len(requests), 2)
    ]


def _read_lines(path: Path) -> list[dict[str, Any]]:
    """JSON lines end at line feeds alone: answers may hold the other characters that Python calls line ends."""
    return [json.loads(line) for line in path.read_text().split("\n") if line]


def _response(run: Run, row: dict[str, Any]) -> NewResponse:
    return NewResponse(
        text=row["text"],
        policy=row["policy"],
        temperature=row["temperature"],
        top_p=row["top_p"],
        seed=row["seed"],
        tokens=row["tokens"],
        latency_ms=row["latency_ms"],
        finish_reason=row["finish_reason"],
        run=str(run.uid),
    )


def register(run: Run, pairs: list[NewPair]) -> None:
    ingest_pairs(batch=Batch.objects.get(pk=run.inputs["batch"]), pairs=pairs)
