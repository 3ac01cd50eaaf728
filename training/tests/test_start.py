"""Starting runs: each kind's door checks what a queue cannot check later."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from annotation.errors import BatchSealedError, ConflictError
from annotation.models import Batch, Prompt
from annotation.services.batches import seal_batch
from annotation.services.snapshots import create_snapshot
from rewardmodel.models import RewardModelVersion
from tests.factories import make_policy
from training.core.spec import RunKind
from training.core.states import RunState
from training.errors import NotReadyError
from training.models import Run
from training.services import runs, start

pytestmark = pytest.mark.django_db


def succeeded(kind: RunKind) -> Run:
    return Run.objects.create(kind=kind, state=RunState.SUCCEEDED)


@pytest.fixture
def pool(pairs: Callable[..., object]) -> None:
    """Two prompts of the pool."""
    pairs(2)
    Prompt.objects.update(in_pool=True)


def test_a_name_that_a_run_at_work_will_take_is_refused() -> None:
    start.start_import_policy(name="V0", params={"source": "tiny"})
    with pytest.raises(ConflictError, match="already making 'V0'"):
        start.start_import_policy(name="V0", params={"source": "tiny"})


def test_the_name_of_a_run_that_failed_is_free_again() -> None:
    run = start.start_import_policy(name="V0", params={"source": "tiny"})
    runs.cancel_run(run=run)
    assert start.start_import_policy(name="V0", params={"source": "tiny"}) != run


def test_a_name_that_a_policy_has_is_refused_unless_the_keyed_run_is_the_same() -> None:
    run = start.start_import_policy(name="V0", params={"source": "tiny"}, key="k")
    make_policy("V0")
    assert start.start_import_policy(name="V0", params={"source": "tiny"}, key="k") == run
    runs.cancel_run(run=run)
    with pytest.raises(ConflictError, match="policy named 'V0'"):
        start.start_import_policy(name="V0", params={"source": "tiny"})


def test_a_sealed_batch_takes_no_new_pairs(week: Batch, pool: None) -> None:
    seal_batch(batch=week)
    with pytest.raises(BatchSealedError):
        start.start_sample(batch=week, policies=[make_policy()], params={})


def test_without_a_policy_nothing_can_answer(week: Batch, pool: None) -> None:
    with pytest.raises(NotReadyError, match="no policy"):
        start.start_sample(batch=week, policies=[], params={})


def test_an_empty_pool_has_nothing_to_sample(week: Batch) -> None:
    with pytest.raises(NotReadyError, match="pool is empty"):
        start.start_sample(batch=week, policies=[make_policy()], params={})


def test_sampling_names_its_prompts_policies_and_batch(week: Batch, pool: None) -> None:
    policy = make_policy()
    run = start.start_sample(
        batch=week, policies=[policy], params={"prompts": 1, "safety_share": 0.0}, seed=3
    )
    assert (run.inputs["batch"], run.inputs["policies"], run.seed) == (week.pk, [policy.pk], 3)
    assert len(run.inputs["prompts"]) == 1


def test_fine_tuning_needs_winners_and_whole_weights() -> None:
    base = make_policy()
    with pytest.raises(NotReadyError, match="no winners"):
        start.start_finetune(name="V1", base=base, selection=succeeded(RunKind.SAMPLE), params={})
    selection = succeeded(RunKind.REJECTION_SAMPLE)
    adapter = make_policy("A", adapter_on=base)
    with pytest.raises(ConflictError, match="is an adapter"):
        start.start_finetune(name="V1", base=adapter, selection=selection, params={})
    run = start.start_finetune(name="V1", base=base, selection=selection, params={})
    assert run.inputs == {"name": "V1", "base": base.pk, "selections": [selection.pk]}


def test_two_reward_models_of_one_focus_do_not_judge_together(week: Batch, pool: None) -> None:
    seal_batch(batch=week)
    version = RewardModelVersion.objects.create(
        name="h",
        focus="helpfulness",
        recipe="probe",
        snapshot=create_snapshot(batches=[week]),
        backbone="V0",
        path="runs/h",
        sha256="0" * 64,
        run="made-h",
    )
    with pytest.raises(ConflictError, match="choose a safety model"):
        start.start_rejection_sample(policy=make_policy(), helpfulness=version, safety=version, params={})
