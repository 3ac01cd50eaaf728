"""A snapshot becomes a reward model version."""

from __future__ import annotations

from typing import Any

from django.conf import settings

from annotation.errors import NotFoundError
from annotation.models import Snapshot
from annotation.snapshots import local_folder
from rewardmodel.models import RewardModelVersion
from rewardmodel.services import register_reward_model
from training.models import PolicyVersion, Run
from training.services.references import (
    hashed_reward_model_reference,
    output_path,
    policy_reference,
    read_output_manifest,
)


def prepare(run: Run) -> dict[str, Any]:
    snapshot = Snapshot.objects.get(pk=run.inputs["snapshot"])
    backbone = PolicyVersion.objects.get(pk=run.inputs["backbone"])
    return {
        "name": run.inputs["name"],
        "snapshot": str(local_folder(snapshot)),
        "backbone": policy_reference(backbone),
        "cache": str(settings.MARGIN_HOME / "cache"),
        **_current(run),
    }


def _current(run: Run) -> dict[str, Any]:
    """What was current when the run was queued; nothing where nothing was. Training goes on without it."""
    pk = run.inputs.get("current")
    if pk is None:
        return {}
    version = RewardModelVersion.objects.get(pk=pk)
    try:
        return {"current": hashed_reward_model_reference(version)}
    except (NotFoundError, PolicyVersion.DoesNotExist) as error:
        return {"current": {"name": version.name, "gone": str(error)}}


def collect(run: Run) -> tuple[dict[str, Any], str]:
    return read_output_manifest(run)


def register(run: Run, data: tuple[dict[str, Any], str]) -> None:
    manifest, sha256 = data
    register_reward_model(
        name=run.inputs["name"],
        snapshot=Snapshot.objects.get(pk=run.inputs["snapshot"]),
        backbone=PolicyVersion.objects.get(pk=run.inputs["backbone"]).name,
        manifest=manifest,
        sha256=sha256,
        path=output_path(run),
        run=str(run.uid),
        by=run.created_by,
    )
