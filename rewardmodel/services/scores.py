"""What reward models say of pairs, and the processes that answer at once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from annotation.models import Batch
from rewardmodel.models import PairScore, ResidentScorer, RewardModelVersion


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
