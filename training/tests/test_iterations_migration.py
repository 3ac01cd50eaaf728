"""Iterations of a database from before they had steps."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

pytestmark = pytest.mark.django_db(transaction=True)

OLD = [("training", "0006_policies")]
NEW = [("training", "0008_steps_of_iterations")]


def migrate(to: list[tuple[str, str]]) -> Any:
    """The models as they are at this point, with all other apps as they are today."""
    executor = MigrationExecutor(connection)
    executor.migrate(to)
    others = [node for node in executor.loader.graph.leaf_nodes() if node[0] != "training"]
    return executor.loader.project_state([*others, *to]).apps


@pytest.fixture
def old() -> Any:
    """The models as they were; whatever happens, the database is brought back to today."""
    yield migrate(OLD)
    executor = MigrationExecutor(connection)
    executor.migrate(executor.loader.graph.leaf_nodes())


def test_an_iteration_in_the_middle_gets_its_steps_and_its_policy_its_name(old: Any) -> None:
    week = old.get_model("annotation", "Batch").objects.create(name="Week 1", number=1)
    policies = old.get_model("training", "PolicyVersion").objects
    base = policies.create(name="V0", path="a", sha256="0" * 64, run="a")
    tuned = policies.create(name="policy-V1", path="b", sha256="1" * 64, run="b")
    given = {"params": {"finetune": {"epochs": 3}}, "state": "tuned", "tuned": tuned}
    iteration = old.get_model("training", "Iteration").objects.create(
        number=1, batch=week, policy=base, base=base, **given
    )
    runs = old.get_model("training", "Run").objects
    done = runs.create(kind="finetune", state="succeeded", key="V1/finetune", iteration=iteration)
    failed = runs.create(kind="sample", state="failed", key="V1/sample", iteration=iteration)
    new = migrate(NEW)
    steps = {step.name: step for step in new.get_model("training", "IterationStep").objects.all()}
    assert [step.state for step in steps.values()] == ["done"] * 6 + ["started"]
    assert (steps["finetune"].run_id, steps["finetune"].params) == (done.pk, {"epochs": 3})
    assert steps["sample"].run_id == failed.pk
    assert steps["train_reward_model/safety"].params == {"focus": "safety"}
    now = new.get_model("training", "Iteration").objects.get()
    assert [step["kind"] for step in now.recipe["steps"]][:2] == ["train_reward_model"] * 2
    assert new.get_model("training", "PolicyVersion").objects.get(name="policy-V1").iteration_id == now.pk
