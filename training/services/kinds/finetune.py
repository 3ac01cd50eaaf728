"""What there is to learn becomes the next policy version."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from annotation.models import Comparison, Snapshot
from annotation.snapshots import local_folder
from rewardmodel.core.files import write_atomically
from training.core.spec import RunKind
from training.core.targets import BANK, TARGETS, response_key
from training.models import PolicyVersion, Run
from training.services.conversations import conversations_at
from training.services.policies import register_policy
from training.services.references import policy_reference, read_output_manifest


def prepare(run: Run) -> dict[str, Any]:
    return {
        "name": run.inputs["name"],
        "policy": policy_reference(PolicyVersion.objects.get(pk=run.inputs["base"])),
        **_runs(run),
        **_snapshot(run),
        **_conversations(run),
    }


def _runs(run: Run) -> dict[str, list[str]]:
    """Winners as `targets`, newest last; what other kinds of run made as `lines`."""
    selections = _in_order(run.inputs.get("selections", ()))
    others = _in_order(run.inputs.get("targets", ()))
    found = {
        "targets": _winners(selections, every_iteration=bool(run.params.get("every_iteration", True))),
        "lines": [str(_output(other) / TARGETS[RunKind(other.kind)]) for other in others],
    }
    return {name: files for name, files in found.items() if files}


def _winners(selections: list[Run], *, every_iteration: bool) -> list[str]:
    """The bank of the newest selection, which holds the earlier ones' winners too; without one their own files."""
    if every_iteration and selections and (bank := _output(selections[-1]) / BANK).is_file():
        return [str(bank)]
    return [str(_output(selection) / TARGETS[RunKind.REJECTION_SAMPLE]) for selection in selections]


def _snapshot(run: Run) -> dict[str, str]:
    """The snapshot's folder, and beside it which responses of its batches were cut: its own lines do not say so."""
    if "snapshot" not in run.inputs:
        return {}
    snapshot = Snapshot.objects.get(pk=run.inputs["snapshot"])
    cut = run.folder / "cut.json"
    write_atomically(cut, json.dumps(sorted(set(_cut_responses(snapshot)))))
    return {"snapshot": str(local_folder(snapshot)), "cut": str(cut)}


def _cut_responses(snapshot: Snapshot) -> Iterable[str]:
    rows = Comparison.objects.filter(batch__in=snapshot.batches.all())
    for side in ("response_a", "response_b"):
        found = rows.filter(**{f"{side}__finish_reason": "length"})
        for dialogue, text in found.values_list("dialogue__key", f"{side}__text").iterator():
            yield response_key(dialogue, text)


def _conversations(run: Run) -> dict[str, str]:
    sha256 = run.inputs.get("conversations")
    return {"conversations": str(conversations_at(sha256))} if sha256 else {}


def _in_order(keys: Iterable[int]) -> list[Run]:
    runs = Run.objects.in_bulk(list(keys))
    return [runs[key] for key in keys]


def _output(run: Run) -> Path:
    return run.folder / "output"


def collect(run: Run) -> tuple[dict[str, Any], str]:
    return read_output_manifest(run)


def register(run: Run, data: tuple[dict[str, Any], str]) -> None:
    manifest, sha256 = data
    base = PolicyVersion.objects.get(pk=run.inputs["base"])
    register_policy(
        name=run.inputs["name"],
        sha256=sha256,
        run=run,
        parent=base,
        adapter_on=base if manifest.get("adapter") else None,
    )
