"""How rows are named to a run's process: by absolute path, in the shape that the cores read."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Final

from django.conf import settings

from rewardmodel.core.files import sha256_of
from rewardmodel.models import RewardModelVersion
from training.models import PolicyVersion, Run
from training.services.storage import ensure_here

SERVER_KEYS: Final = "server-keys.json"  # as training.core.server_generator reads it


def served_name(policy: PolicyVersion) -> str:
    """What the policy's response server calls it; `transformers serve` wants the folder's absolute path."""
    return policy.endpoint_model or str(Path(settings.MARGIN_HOME) / policy.path)


def policy_reference(policy: PolicyVersion) -> dict[str, Any]:
    """Weights, and the response server where there is one. No key: that is a file of its own (write_server_keys)."""
    base = str(ensure_here(policy.adapter_on.path)) if policy.adapter_on else None
    reference = {"name": policy.name, "path": str(ensure_here(policy.path)), "base": base}
    if policy.endpoint:
        reference |= {"endpoint": policy.endpoint, "endpoint_model": served_name(policy)}
    return reference


def write_server_keys(folder: Path) -> None:
    """The API keys of response servers, for a run that asks them; a run's process sees no environment of ours.

    The file is the owner's alone from its first byte on, and is not written where there are no keys.
    """
    path = folder / SERVER_KEYS
    path.unlink(missing_ok=True)
    if settings.RESPONSE_SERVER_KEYS:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(settings.RESPONSE_SERVER_KEYS, file)


def reward_model_reference(version: RewardModelVersion) -> dict[str, Any]:
    backbone = PolicyVersion.objects.select_related("adapter_on").get(name=version.backbone)
    return {
        "name": version.name,
        "path": str(ensure_here(version.path)),
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
