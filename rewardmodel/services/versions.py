"""Keeping what was trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction

from annotation.core.events import Event
from annotation.errors import ConflictError
from annotation.models import Snapshot, User
from annotation.services.audit import record
from annotation.services.webhooks import announce
from rewardmodel.models import RewardModelVersion
from rewardmodel.services.promotions import promote_unasked


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
    by: User | None = None,
) -> RewardModelVersion:
    """A new version from the manifest that training wrote; `sha256` is that of the manifest file.

    The first of its focus becomes current, and so does a later one whose figures pass the rule; else it waits.

    Raises:
        ConflictError: the name was taken while the run worked.
    """
    if RewardModelVersion.objects.filter(name=name).exists():
        raise ConflictError(
            f"A reward model {name!r} was registered meanwhile. What this run made is kept in its folder."
        )
    version = RewardModelVersion.objects.create(
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
    record("rewardmodel.registered", version, by=by, snapshot=snapshot.name, sha256=sha256)
    told = {"id": version.pk, "name": name, "focus": version.focus}
    announce(Event.REWARD_MODEL_REGISTERED, told)
    promote_unasked(version=version)
    return version
