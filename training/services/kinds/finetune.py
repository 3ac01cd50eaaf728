"""Winners become the next policy version."""

from __future__ import annotations

from typing import Any

from training.models import PolicyVersion, Run
from training.services.policies import register_policy
from training.services.references import policy_reference, read_output_manifest


def prepare(run: Run) -> dict[str, Any]:
    selections = {r.pk: r for r in Run.objects.filter(pk__in=run.inputs["selections"])}
    folders = [selections[pk].folder for pk in run.inputs["selections"]]
    return {
        "name": run.inputs["name"],
        "policy": policy_reference(PolicyVersion.objects.get(pk=run.inputs["base"])),
        "targets": [str(folder / "output" / "winners.jsonl") for folder in folders],
    }


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
