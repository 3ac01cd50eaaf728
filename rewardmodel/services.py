"""Keeping what was trained, and what it says of pairs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from annotation.core.events import Event
from annotation.errors import ConflictError
from annotation.models import Batch, Snapshot, User
from annotation.services.audit import record
from annotation.services.webhooks import announce
from rewardmodel.models import PairScore, ResidentScorer, RewardModelVersion


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
    return version


@transaction.atomic
def store_pair_scores(
    *, version: RewardModelVersion, batch: Batch, rewards: Mapping[int, tuple[float, float]]
) -> int:
    """Keep the raw rewards (a, b) of pairs of a batch, by the primary key of the comparison; returns how many.

    What the same version said of a pair before is replaced.
    """
    rows = [
        PairScore(comparison_id=pk, version=version, batch=batch, reward_a=a, reward_b=b, apart=abs(a - b))
        for pk, (a, b) in rewards.items()
    ]
    PairScore.objects.bulk_create(
        rows,
        batch_size=500,
        update_conflicts=True,
        unique_fields=["comparison", "version"],
        update_fields=["reward_a", "reward_b", "apart"],
    )
    return len(rows)


def beat_scorer(*, version: RewardModelVersion, address: str, key: str) -> None:
    """Say that a process holds `version` and answers at `address` for whoever shows `key`.

    The last process to say so of an address is the one that is there. What was silent for a day is forgotten.
    """
    now = timezone.now()
    ResidentScorer.objects.update_or_create(
        address=address, defaults={"version": version, "key": key, "seen_at": now}
    )
    ResidentScorer.objects.filter(seen_at__lt=now - timedelta(days=1)).delete()


def dismiss_scorer(*, address: str, key: str) -> None:
    """The process with this key is no longer to be asked."""
    ResidentScorer.objects.filter(address=address, key=key).delete()
