"""Keeping what a run found of two versions on the same test pairs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction

from annotation.models import Snapshot
from rewardmodel.models import RewardModelComparison, RewardModelVersion


@transaction.atomic
def store_comparison(
    *,
    version: RewardModelVersion,
    against: RewardModelVersion,
    snapshot: Snapshot,
    run: str,
    figures: Mapping[str, Any],
) -> RewardModelComparison:
    """Figures of rewardmodel.core.promotion on the test pairs of `snapshot`. They decide nothing by themselves."""
    return RewardModelComparison.objects.create(
        version=version, against=against, snapshot=snapshot, run=run, figures=dict(figures)
    )
