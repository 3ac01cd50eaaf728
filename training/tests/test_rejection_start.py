"""The door of rejection sampling: which rounds came before, and what their figures tune."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings

from annotation.core.curriculum import Mix
from annotation.core.grades import Focus
from annotation.errors import NotFoundError
from annotation.models import Batch, Prompt
from annotation.services.batches import seal_batch
from annotation.services.snapshots import create_snapshot
from rewardmodel.models import RewardModelVersion
from tests.factories import make_policy
from training.core.spec import RunKind
from training.core.states import RunState
from training.models import Iteration, PolicyVersion, Run
from training.services import start
from training.services.kinds import rejection_sample

pytestmark = pytest.mark.django_db

Start = Callable[..., Run]


@pytest.fixture
def base() -> PolicyVersion:
    return make_policy("V0")


@pytest.fixture
def sample(week: Batch, base: PolicyVersion, pairs: Callable[..., object]) -> Start:
    """Start rejection sampling on a pool of two prompts."""
    pairs(2)
    Prompt.objects.update(in_pool=True)
    seal_batch(batch=week)
    snapshot = create_snapshot(batches=[week])
    judges: dict[str, Any] = {
        str(focus): RewardModelVersion.objects.create(
            name=focus, focus=focus, recipe="probe", snapshot=snapshot, backbone="V0", path=f"runs/{focus}",
            sha256="0" * 64, run=f"made-{focus}",
        )
        for focus in Focus
    }  # fmt: skip

    def start_one(*, params: dict[str, Any] | None = None, **options: Any) -> Run:
        return start.start_rejection_sample(policy=base, params=params or {}, **judges, **options)

    return start_one


def _iteration(base: PolicyVersion, number: int) -> Iteration:
    batch = Batch.objects.create(number=number, name=f"week {number}")
    return Iteration.objects.create(number=number, batch=batch, policy=base, base=base)


def _round(
    iteration: Iteration | None, best: float | None = None, state: RunState = RunState.SUCCEEDED
) -> Run:
    result = {"best_temperature": {"temperature": best} if best is not None else None}
    return Run.objects.create(kind=RunKind.REJECTION_SAMPLE, state=state, iteration=iteration, result=result)


def test_the_bank_is_of_the_earlier_iterations_that_succeeded_oldest_first(
    sample: Start, base: PolicyVersion
) -> None:
    first, second, third = (_iteration(base, number) for number in (11, 12, 13))
    newer, older = _round(second), _round(first)
    _round(first, state=RunState.FAILED)
    _round(third)
    assert sample(iteration=third).inputs["rounds"] == [older.pk, newer.pk]
    assert sample(iteration=first).inputs["rounds"] == []


def test_a_run_outside_of_iterations_has_the_rounds_of_all(sample: Start, base: PolicyVersion) -> None:
    first = _round(_iteration(base, 11))
    _round(None)
    assert sample().inputs["rounds"] == [first.pk]


def test_the_rounds_may_be_named_and_the_bank_left_out(sample: Start, base: PolicyVersion) -> None:
    _round(_iteration(base, 11))
    named = _round(None)
    assert sample(earlier=[named]).inputs["rounds"] == [named.pk]
    assert sample(params={"bank": False}).inputs["rounds"] == []


def test_tuning_again_tries_the_best_of_the_newest_round_and_its_neighbours(
    sample: Start, base: PolicyVersion
) -> None:
    _round(_iteration(base, 11), best=0.7)
    _round(_iteration(base, 12), best=1.2)
    _round(_iteration(base, 13))  # its run is older than the comparison of temperatures
    assert sample(params={"retune": True}).params["temperatures"] == [1.1, 1.2, 1.3]
    assert sample(params={"temperatures": [0.9]}).params["temperatures"] == [0.9]


def test_a_first_round_has_nothing_to_tune_by(sample: Start) -> None:
    params = {"retune": True, "temperatures": [0.8, 1.0]}
    assert sample(params=params).params["temperatures"] == [0.8, 1.0]


def test_prompts_may_be_drawn_by_a_mix(sample: Start) -> None:
    Prompt.objects.update(source="other")
    with pytest.raises(Exception, match="pool is empty"):
        sample(mix=Mix(sources={"other": 0.0}))


def test_the_process_is_told_where_the_winners_of_earlier_rounds_lie(
    sample: Start, base: PolicyVersion, tmp_path: Path, settings: LazySettings
) -> None:
    settings.MARGIN_HOME = tmp_path
    first = _iteration(base, 11)
    earlier = _round(first)
    run = sample(iteration=_iteration(base, 12))
    for folder in ("runs/helpfulness", "runs/safety", base.path):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    run.folder.mkdir(parents=True)
    with pytest.raises(NotFoundError, match=f"winners of run {earlier.pk} are gone"):
        rejection_sample.prepare(run)
    winners = earlier.folder / "output" / "winners.jsonl"
    winners.parent.mkdir(parents=True)
    winners.write_text("")
    inputs = json.loads(json.dumps(rejection_sample.prepare(run)))
    assert inputs["bank"] == [{"file": str(winners), "from": str(earlier.uid), "iteration": 11}]
    assert inputs["round"] == {"from": str(run.uid), "iteration": 12}
