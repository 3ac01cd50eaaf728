"""What a run would cost in this house: sizes from rows and folders, speed from runs that succeeded."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from rewardmodel.core.tiny import build_tiny
from tests.factories import make_policy
from training.core.spec import RunKind
from training.core.states import RunState
from training.models import PolicyVersion, Run
from training.services.estimates import STARTING, estimate_run, house_place, warnings_for

pytestmark = pytest.mark.django_db

QUERIES = 5  # past runs, reward models, policies, snapshots and batches or runs that are learnt from


@pytest.fixture
def policy(home: Path) -> PolicyVersion:
    build_tiny(home / "runs/made/output")
    return make_policy("V0", path="runs/made/output")


def tuned(policy: PolicyVersion, seconds: float, examples: int = 100, **columns: Any) -> Run:
    """A fine-tuning that took so long."""
    now = timezone.now()
    values = {
        "kind": RunKind.FINETUNE,
        "state": RunState.SUCCEEDED,
        "inputs": {"base": policy.pk, "examples": examples},
        "attempt": 1,
        "started_at": now - timedelta(seconds=seconds),
        "ended_at": now,
        **columns,
    }
    return Run.objects.create(**values)


def seconds_of(policy: PolicyVersion, examples: int = 100, **params: Any) -> float:
    found = estimate_run(
        kind=RunKind.FINETUNE, params=params, inputs={"base": policy.pk, "examples": examples}
    )
    assert found is not None
    return found.seconds


def test_without_a_past_the_formula_speaks(policy: PolicyVersion) -> None:
    once, twice = seconds_of(policy), seconds_of(policy, 200)
    assert twice - STARTING == pytest.approx(2 * (once - STARTING))


def test_a_run_that_was_measured_here_sets_the_speed(policy: PolicyVersion) -> None:
    tuned(policy, seconds=STARTING + 60)
    # As many examples take as long, twice as many twice as long.
    assert seconds_of(policy) == pytest.approx(STARTING + 60, rel=1e-3)
    assert seconds_of(policy, 200) == pytest.approx(STARTING + 120, rel=1e-3)


def test_of_several_runs_all_their_time_over_all_their_work_counts(policy: PolicyVersion) -> None:
    tuned(policy, seconds=STARTING + 100, examples=100)
    tuned(policy, seconds=STARTING + 500, examples=300)
    # 600 seconds for 400.
    assert seconds_of(policy) == pytest.approx(STARTING + 150, rel=1e-3)


@pytest.mark.parametrize(
    "columns",
    [
        {"state": RunState.FAILED},
        {"attempt": 2},
        {"started_at": None},
        {"kind": RunKind.PPO},
    ],
)
def test_runs_that_were_disturbed_or_are_of_another_kind_tell_nothing(
    policy: PolicyVersion, columns: dict[str, Any]
) -> None:
    before = seconds_of(policy)
    tuned(policy, seconds=1000, **columns)
    assert seconds_of(policy) == before


def test_a_run_with_a_model_of_another_size_tells_nothing(policy: PolicyVersion, home: Path) -> None:
    large = make_policy("large")
    folder = home / "runs/large"
    folder.mkdir(parents=True)
    config = (home / "runs/made/output/config.json").read_text()
    (folder / "config.json").write_text(config.replace('"num_hidden_layers": 2', '"num_hidden_layers": 200'))
    before = seconds_of(policy)
    tuned(large, seconds=100_000)
    assert seconds_of(policy) == before


def test_the_words_say_where_the_speed_comes_from(policy: PolicyVersion) -> None:
    tuned(policy, seconds=60)
    found = estimate_run(kind=RunKind.FINETUNE, params={}, inputs={"base": policy.pk, "examples": 7})
    assert found is not None
    assert found.why.startswith("as fast as 1 such run here; lora training of V0 on")


def test_an_adapter_has_the_size_of_its_base(policy: PolicyVersion) -> None:
    adapter = make_policy("V1", adapter_on=policy)
    assert seconds_of(adapter) == seconds_of(policy)


def test_prompts_that_are_not_drawn_yet_are_counted_by_the_parameters(policy: PolicyVersion) -> None:
    def ask(params: dict[str, Any], inputs: dict[str, Any]) -> Any:
        return estimate_run(kind=RunKind.SAMPLE, params=params, inputs={"policies": [policy.pk], **inputs})

    assert ask({"prompts": 3}, {}) == ask({}, {"prompts": ["a", "b", "c"]})


def test_winners_of_earlier_runs_are_counted_by_their_prompts(policy: PolicyVersion) -> None:
    selection = Run.objects.create(
        kind=RunKind.REJECTION_SAMPLE, inputs={"prompts": ["p"] * 30, "policy": policy.pk}
    )
    found = estimate_run(
        kind=RunKind.FINETUNE, params={}, inputs={"base": policy.pk, "selections": [selection.pk]}
    )
    assert found is not None
    assert found.seconds == seconds_of(policy, 30)


@pytest.mark.parametrize(
    ("kind", "params", "inputs"),
    [
        (RunKind.FINETUNE, {}, {"base": 999, "examples": 5}),  # nobody knows it
        (RunKind.FINETUNE, {"epochs": 0}, {"examples": 5}),  # cannot be run
        (RunKind.FINETUNE, {}, {}),  # of nothing
        (RunKind.IMPORT_POLICY, {"source": "tiny"}, {"name": "V1"}),
    ],
)
def test_where_nothing_can_be_said_nothing_is(
    policy: PolicyVersion, kind: RunKind, params: dict[str, Any], inputs: dict[str, Any]
) -> None:
    assert estimate_run(kind=kind, params=params, inputs=inputs) is None
    assert warnings_for(kind=kind, params=params, inputs=inputs) == []


def test_a_policy_whose_folder_is_elsewhere_has_no_known_cost(home: Path) -> None:
    away = make_policy("away", path="runs/away")
    inputs = {"base": away.pk, "examples": 5}
    assert estimate_run(kind=RunKind.FINETUNE, params={}, inputs=inputs) is None


def test_many_past_runs_cost_no_more_queries(
    policy: PolicyVersion, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    selection = Run.objects.create(kind=RunKind.REJECTION_SAMPLE, inputs={"prompts": ["p"]})
    for number in range(12):
        tuned(policy, 60, inputs={"base": policy.pk, "examples": number + 1, "selections": [selection.pk]})
    with django_assert_max_num_queries(QUERIES + 1):
        seconds_of(policy)


def test_a_house_without_settings_is_one_process(settings: Settings) -> None:
    place = house_place()
    assert (place.processes, place.machines, place.sharded) == (1, 1, False)


def test_what_does_not_fit_here_is_warned_of(policy: PolicyVersion, settings: Settings) -> None:
    settings.MARGIN_GPU = "rtx4090"
    inputs = {"base": policy.pk, "examples": 5}
    assert warnings_for(kind=RunKind.FINETUNE, params={}, inputs=inputs) == []
    said = warnings_for(kind=RunKind.FINETUNE, params={"tokens_per_batch": 30_000_000}, inputs=inputs)
    assert said[0].startswith("It does not fit: about ")
    assert said[1].startswith("With tokens_per_batch 4096 it does")
