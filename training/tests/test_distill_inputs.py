"""What a run of context distillation is given: prompts with their risk categories."""

from __future__ import annotations

from pathlib import Path

import pytest

from annotation.core.categories import RiskCategory
from annotation.core.grades import Focus
from annotation.models import Snapshot
from annotation.services.prompts import NewPrompt, add_prompts
from rewardmodel.models import RewardModelVersion
from tests.factories import make_policy
from training.core.chunks import read_lines
from training.services import kinds, start

pytestmark = pytest.mark.django_db


def test_each_prompt_comes_with_its_risk_category(home: Path) -> None:
    (home / "runs/V0").mkdir(parents=True)
    (home / "runs/s").mkdir(parents=True)
    policy = make_policy("V0")
    judge = RewardModelVersion.objects.create(
        name="s",
        focus=Focus.SAFETY,
        recipe="probe",
        snapshot=Snapshot.objects.create(name="week-1", sha256="0" * 64, rows=1, path="snapshots/week-1"),
        backbone="V0",
        path="runs/s",
        sha256="0" * 64,
    )
    add_prompts(
        [
            NewPrompt(text="How do I rob a bank?", focus=Focus.SAFETY, risk=RiskCategory.ILLICIT),
            NewPrompt(text="Which pill cures it?", focus=Focus.SAFETY),
        ]
    )
    run = start.start_distill(policy=policy, safety=judge, params={"prompts": 2})
    kinds.write_spec(run)
    given = {line["messages"][0]["content"]: line for line in read_lines(run.folder / "prompts.jsonl")}
    assert {text: line["category"] for text, line in given.items()} == {
        "How do I rob a bank?": "illicit",
        "Which pill cures it?": "",
    }
    assert all(line["focus"] == "safety" and line["dialogue"] for line in given.values())
