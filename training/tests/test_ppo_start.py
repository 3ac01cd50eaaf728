"""PPO among the house's rows: what its process is given, and what becomes of what it made."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from annotation.core.grades import Focus
from annotation.errors import ConflictError
from annotation.models import Prompt
from rewardmodel.models import RewardModelVersion
from rewardmodel.tests.scores import make_version
from tests.factories import make_policy
from training.models import PolicyVersion, Run
from training.services import kinds, start

pytestmark = pytest.mark.django_db


@pytest.fixture
def models(pairs: Callable[..., object]) -> dict[str, RewardModelVersion]:
    """Both reward models, and two prompts of the pool."""
    pairs(2)
    Prompt.objects.update(in_pool=True)
    return {str(focus): make_version(f"{focus}-1", focus) for focus in Focus}


def _started(models: dict[str, RewardModelVersion], policy: PolicyVersion) -> Run:
    return start.start_ppo(
        name="V5",
        policy=policy,
        helpfulness=models["helpfulness"],
        safety=models["safety"],
        params={"prompts": 2},
        seed=3,
    )


def test_a_run_remembers_its_policy_models_and_prompts(models: dict[str, RewardModelVersion]) -> None:
    policy = make_policy()
    run = _started(models, policy)
    assert (run.inputs["policy"], run.inputs["name"], run.seed) == (policy.pk, "V5", 3)
    assert [run.inputs[name] for name in ("helpfulness", "safety")] == [
        models["helpfulness"].pk, models["safety"].pk
    ]  # fmt: skip
    assert len(run.inputs["prompts"]) == 2


def test_models_of_the_wrong_focus_are_refused(models: dict[str, RewardModelVersion]) -> None:
    turned = {"helpfulness": models["safety"], "safety": models["helpfulness"]}
    with pytest.raises(ConflictError, match="safety-1 is a safety model"):
        _started(turned, make_policy())


def test_the_process_is_given_folders_and_prompts_with_their_focus(
    models: dict[str, RewardModelVersion], settings: Any
) -> None:
    home = Path(settings.MARGIN_HOME)
    policy = make_policy(models["safety"].backbone)
    for path in (policy.path, *(model.path for model in models.values())):
        (home / path).mkdir(parents=True, exist_ok=True)
    inputs = json.loads(kinds.write_spec(_started(models, policy)).read_text())["inputs"]
    assert inputs["policy"]["path"] == str(home / policy.path)
    assert inputs["safety"]["name"] == "safety-1"
    lines = [json.loads(line) for line in Path(inputs["prompts"]).read_text().splitlines()]
    assert [set(line) for line in lines] == [{"dialogue", "messages", "focus"}] * 2


@pytest.mark.parametrize(("manifest", "stands_on"), [({"adapter": True}, "V0"), ({}, None)])
def test_what_it_made_follows_its_start_and_stands_on_it_where_it_is_an_adapter(
    models: dict[str, RewardModelVersion], manifest: dict[str, Any], stands_on: str | None
) -> None:
    run = _started(models, make_policy())
    kinds.register(run, kinds.Outcome({}, (manifest, "1" * 64)))
    made = PolicyVersion.objects.get(name="V5")
    assert made.parent is not None
    assert (made.parent.name, made.sha256) == ("V0", "1" * 64)
    assert (made.adapter_on.name if made.adapter_on else None) == stands_on
