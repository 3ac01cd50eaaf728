"""What tests of pairs and models share: versions without files, and scores made up."""

from __future__ import annotations

from annotation.core.grades import Focus
from annotation.models import Comparison, Snapshot
from rewardmodel.models import RewardModelVersion
from rewardmodel.services import store_pair_scores


def make_version(name: str = "helpful-1", focus: Focus = Focus.HELPFULNESS) -> RewardModelVersion:
    snapshot, _ = Snapshot.objects.get_or_create(
        name="week-1", defaults={"sha256": "0" * 64, "rows": 1, "path": "snapshots/week-1"}
    )
    return RewardModelVersion.objects.create(
        name=name,
        focus=focus,
        recipe="probe",
        snapshot=snapshot,
        backbone="V0",
        path=f"runs/{name}",
        sha256="0" * 64,
        run=f"made-{name}",
    )


def score(version: RewardModelVersion, pair: Comparison, a: float, b: float) -> None:
    store_pair_scores(version=version, batch=pair.batch, rewards={pair.pk: (a, b)})
