"""Iterations that were begun before they had steps get those of the recipe that there was."""

from __future__ import annotations

from typing import Any

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

STATES = ["collecting", "sealed", "snapshot", "rewarded", "selected", "tuned", "fed_back"]
MODELS = ["train_reward_model/helpfulness", "train_reward_model/safety"]
# Name, the state in which it is done, and what it reads.
STEPS: list[tuple[str, str, dict[str, Any]]] = [
    ("seal", "sealed", {"policy": "", "targets": [], "after": []}),
    ("snapshot", "snapshot", {"policy": "", "targets": [], "after": ["seal"]}),
    (MODELS[0], "rewarded", {"policy": "base", "targets": [], "after": ["snapshot"]}),
    (MODELS[1], "rewarded", {"policy": "base", "targets": [], "after": ["snapshot"]}),
    ("rejection_sample", "selected", {"policy": "policy", "targets": [], "after": ["snapshot", *MODELS]}),
    (
        "finetune",
        "tuned",
        {"policy": "base", "targets": ["rejection_sample"], "after": ["snapshot", "rejection_sample"]},
    ),
    ("sample", "fed_back", {"policy": "finetune", "targets": [], "after": ["snapshot", "finetune"]}),
]


def give_steps(apps: Apps, editor: BaseDatabaseSchemaEditor) -> None:
    iterations = apps.get_model("training", "Iteration").objects
    step_model = apps.get_model("training", "IterationStep")
    run_model = apps.get_model("training", "Run")
    policy_model = apps.get_model("training", "PolicyVersion")
    for iteration in iterations.all():
        runs = {run.key: run for run in run_model.objects.filter(iteration=iteration, key__isnull=False)}
        steps = [
            _step(step_model, iteration, position, runs.get(f"V{iteration.number}/{STEPS[position][0]}"))
            for position in range(len(STEPS))
        ]
        step_model.objects.bulk_create(steps)
        iteration.recipe = {"steps": [_named(step) for step in steps[2:]]}
        iteration.save(update_fields=["recipe"])
        policy_model.objects.filter(pk=iteration.tuned_id).update(iteration=iteration)


def _step(model: Any, iteration: Any, position: int, run: Any) -> Any:
    name, done_in, reads = STEPS[position]
    kind, _, focus = name.partition("/")
    params = dict(iteration.params.get(kind, {}))
    if focus:
        params["focus"] = focus
    done = STATES.index(iteration.state) >= STATES.index(done_in)
    if focus and getattr(iteration, f"{focus}_id"):
        done = True
    state = "done" if done else "started" if run else "waiting"
    return model(
        iteration=iteration,
        position=position,
        name=name,
        kind=kind,
        state=state,
        params=params,
        reads=reads,
        run=run,
        ended_at=run.ended_at if done and run else None,
    )


def _named(step: Any) -> dict[str, Any]:
    return {"kind": step.kind, **({"params": step.params} if step.params else {})}


class Migration(migrations.Migration):
    dependencies = [("training", "0007_iteration_steps")]

    operations = [migrations.RunPython(give_steps, migrations.RunPython.noop)]
