"""Registering what was trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction

from annotation.errors import ConflictError
from annotation.models import Snapshot
from rewardmodel.models import RewardModelVersion


@transaction.atomic
def register_reward_model(
    *,
    name: str,
    snapshot: Snapshot,
    backbone: str,
    manifest: Mapping[str, Any],
    sha256: str,
    path: str,
    run: str,
) -> RewardModelVersion:
    """A new version from the manifest that training wrote; `sha256` is that of the manifest file.

    Raises:
        ConflictError: the name was taken while the run worked.
    """
    if RewardModelVersion.objects.filter(name=name).exists():
        raise ConflictError(
            f"A reward model {name!r} was registered meanwhile. What this run made is kept in its folder."
        )
    return RewardModelVersion.objects.create(
        name=name,
        focus=manifest["focus"],
        recipe=manifest["recipe"],
        snapshot=snapshot,
        backbone=backbone,
        metrics=manifest["metrics"],
        sha256=sha256,
        path=path,
        run=run,
    )
