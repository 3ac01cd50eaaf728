"""What tests of promotions share: versions whose training compared them with another one, with figures made up."""

from __future__ import annotations

from typing import Any

from annotation.core.grades import Focus
from annotation.models import Snapshot
from rewardmodel.core.promotion import Compared, compare
from rewardmodel.models import RewardModelVersion
from rewardmodel.services import register_reward_model


def figures(won: int = 0, drawn: int = 0, lost: int = 0, grade: str = "better") -> dict[str, Any]:
    """Of as many prompts: the candidate alone is right, both are, the current one alone is."""
    both = [(1.0, 0.0)] * won + [(1.0, 1.0)] * drawn + [(0.0, 1.0)] * lost
    return compare(Compared(grade, str(n), *own) for n, own in enumerate(both))


def trained(
    name: str,
    *,
    focus: Focus = Focus.HELPFULNESS,
    against: RewardModelVersion | None = None,
    snapshot: Snapshot | None = None,
    won: int = 0,
    drawn: int = 0,
    lost: int = 0,
) -> RewardModelVersion:
    """Registered as its run would, with figures against another version where one is named."""
    metrics: dict[str, Any] = {"accuracy": 0.6, "pairs": 100, "split": "test"}
    if against is not None:
        metrics["against"] = {"name": against.name, "sha256": against.sha256, **figures(won, drawn, lost)}
    if snapshot is None:
        snapshot, _ = Snapshot.objects.get_or_create(
            name="week-1", defaults={"sha256": "0" * 64, "rows": 1, "path": "snapshots/week-1"}
        )
    return register_reward_model(
        name=name,
        snapshot=snapshot,
        backbone="V0",
        manifest={"focus": focus, "recipe": "probe", "metrics": metrics},
        sha256=name.encode().hex().ljust(64, "0")[:64],
        path=f"runs/{name}",
        run=f"made-{name}"[:36],
    )
