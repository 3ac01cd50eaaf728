"""How rows are named to a run's process: by absolute path, in the shape that the cores read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.conf import settings

from annotation.errors import NotFoundError
from rewardmodel.core.files import sha256_of
from rewardmodel.models import RewardModelVersion
from training.models import PolicyVersion, Run


def place_of(path: str) -> Path:
    """The absolute place of a folder below MARGIN_HOME.

    Raises:
        NotFoundError: it is gone.
    """
    place = Path(settings.MARGIN_HOME) / path
    if not place.is_dir():
        raise NotFoundError(f"{path} is missing below {settings.MARGIN_HOME}. Restore it from a backup.")
    return place


def served_name(policy: PolicyVersion) -> str:
    """What the policy's response server calls it; `transformers serve` wants the folder's absolute path."""
    return policy.endpoint_model or str(Path(settings.MARGIN_HOME) / policy.path)


def policy_reference(policy: PolicyVersion) -> dict[str, Any]:
    base = str(place_of(policy.adapter_on.path)) if policy.adapter_on else None
    return {"name": policy.name, "path": str(place_of(policy.path)), "base": base}


def reward_model_reference(version: RewardModelVersion) -> dict[str, Any]:
    backbone = PolicyVersion.objects.select_related("adapter_on").get(name=version.backbone)
    return {
        "name": version.name,
        "path": str(place_of(version.path)),
        "backbone": policy_reference(backbone),
    }


def hashed_reward_model_reference(version: RewardModelVersion) -> dict[str, Any]:
    """As above, with the hash by which figures of it are recognised later.

    Raises:
        NotFoundError: one of the folders is gone.
        PolicyVersion.DoesNotExist: its backbone is no policy of this house.
    """
    return {**reward_model_reference(version), "sha256": version.sha256}


def output_path(run: Run) -> str:
    """Where a run's product stays, below MARGIN_HOME."""
    return str((run.folder / "output").relative_to(settings.MARGIN_HOME))


def read_output_manifest(run: Run) -> tuple[dict[str, Any], str]:
    """The manifest of what a run made, and the manifest's own hash."""
    path = run.folder / "output" / "manifest.json"
    return json.loads(path.read_text()), sha256_of(path)
