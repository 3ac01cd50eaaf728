"""What runs, models and iterations tell of themselves: exactly the fields that the manual shows."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from annotation.core.events import EXAMPLES, Event
from annotation.core.grades import Focus
from annotation.models import Batch, Comparison, User, Webhook, WebhookDelivery
from annotation.services.snapshots import create_snapshot
from rewardmodel.services import register_reward_model
from tests.factories import make_judgment, make_policy
from training.core.spec import RunKind
from training.core.states import RunState
from training.models import Run
from training.services.iterations import create_iteration, start_next
from training.services.policies import register_policy
from training.services.runs import cancel_run, claim_run, end_run, queue_run

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def webhook(db: None) -> Webhook:
    return Webhook.objects.create(name="Trainer", url="https://hooks.example.org/", secret="whsec_")


def told(*events: Event) -> list[dict[str, Any]]:
    """The data of all that was told, which is of these events and has the fields of their examples."""
    rows = WebhookDelivery.objects.order_by("pk")
    bodies = [json.loads(body) for body in rows.values_list("body", flat=True)]
    assert [body["type"] for body in bodies] == list(events)
    for body in bodies:
        assert list(body["data"]) == list(EXAMPLES[body["type"]])
    WebhookDelivery.objects.all().delete()
    return [body["data"] for body in bodies]


def queued() -> Run:
    return queue_run(kind=RunKind.IMPORT_POLICY, params={"source": "/x"}, inputs={"name": "V0"})


@pytest.mark.parametrize(
    ("state", "event"),
    [
        (RunState.SUCCEEDED, Event.RUN_FINISHED),
        (RunState.FAILED, Event.RUN_FAILED),
        (RunState.ERRORED, Event.RUN_FAILED),
    ],
)
def test_a_run_tells_how_it_ended(state: RunState, event: Event) -> None:
    run = claim_run(pk=queued().pk)
    assert run is not None
    end_run(run=run, state=state)
    assert told(event) == [{"uid": str(run.uid), "kind": run.kind, "state": state}]


def test_a_run_that_is_cancelled_in_the_queue_tells_it_too() -> None:
    cancel_run(run=queued())
    assert told(Event.RUN_FAILED)[0]["state"] == "cancelled"


def test_new_models_and_the_stages_of_an_iteration_are_told(
    week: Batch, pairs: Callable[..., list[Comparison]], ada: User, rosa: User
) -> None:
    pairs(1)
    make_judgment(ada)
    base = make_policy("V0")
    iteration = create_iteration(batch=week, policy=base, base=base)
    WebhookDelivery.objects.all().delete()
    start_next(iteration=iteration, by=rosa)
    sealed, moved = told(Event.BATCH_SEALED, Event.ITERATION_MOVED)
    assert sealed == {"number": week.number, "name": week.name}
    assert moved == {"id": iteration.pk, "number": 1, "from": "collecting", "to": "sealed"}

    week.refresh_from_db()
    snapshot = create_snapshot(batches=[week])
    WebhookDelivery.objects.all().delete()
    manifest = {"focus": Focus.HELPFULNESS, "recipe": "probe", "metrics": {}}
    version = register_reward_model(
        name="helpfulness-V1",
        snapshot=snapshot,
        backbone="tiny",
        manifest=manifest,
        sha256="0" * 64,
        path="runs/x",
        run="x",
    )
    policy = register_policy(name="policy-V1", sha256="0" * 64, run=queued())
    assert told(Event.REWARD_MODEL_REGISTERED, Event.REWARD_MODEL_PROMOTED, Event.POLICY_REGISTERED) == [
        {"id": version.pk, "name": "helpfulness-V1", "focus": "helpfulness"},
        {
            "id": version.pk,
            "name": "helpfulness-V1",
            "focus": "helpfulness",
            "how": "first",
            "previous": None,
        },
        {"id": policy.pk, "name": "policy-V1"},
    ]
