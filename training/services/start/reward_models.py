"""Doors of the runs that train and use reward models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import transaction

from annotation.core.grades import Focus
from annotation.core.states import SnapshotState
from annotation.errors import ConflictError
from annotation.models import Batch, Snapshot, User
from annotation.services.idempotency import KeyReusedError
from rewardmodel.models import RewardModelVersion
from rewardmodel.queries import pairs_to_score
from rewardmodel.standing import current_version
from training.core.spec import RunKind
from training.errors import NotReadyError
from training.models import Iteration, PolicyVersion, Run, ScoreItems
from training.services.runs import check_params, queue_run
from training.services.start.checks import Params, check_focuses, check_name


def start_train_reward_model(
    *,
    name: str,
    snapshot: Snapshot,
    backbone: PolicyVersion,
    params: Params,
    seed: int = 0,
    key: str | None = None,
    iteration: Iteration | None = None,
    by: User | None = None,
) -> Run:
    """Train a reward model. It is compared with the one that is current now."""
    check_name(RewardModelVersion, (RunKind.TRAIN_REWARD_MODEL,), name, key)
    if snapshot.state != SnapshotState.READY:
        raise NotReadyError(f"The snapshot {snapshot} is {snapshot.state}: train on one that is ready.")
    inputs = {"name": name, "snapshot": snapshot.pk, "backbone": backbone.pk}
    current = current_version(check_params(RunKind.TRAIN_REWARD_MODEL, params)["focus"])
    if current is not None:
        inputs["current"] = current.pk
    return queue_run(
        kind=RunKind.TRAIN_REWARD_MODEL,
        params=params,
        inputs=inputs,
        seed=seed,
        key=key,
        iteration=iteration,
        by=by,
    )


def start_score_pairs(
    *,
    batch: Batch,
    helpfulness: RewardModelVersion | None = None,
    safety: RewardModelVersion | None = None,
    params: Params,
    by: User | None = None,
) -> Run:
    """Score a batch's pairs with one reward model or two; one alone scores the pairs of its own focus."""
    given = {Focus.HELPFULNESS: helpfulness, Focus.SAFETY: safety}
    models = {focus: version for focus, version in given.items() if version is not None}
    if not models:
        raise NotReadyError(
            "Choose a reward model to score with: one of helpfulness, one of safety, or both."
        )
    check_focuses(models)
    if not pairs_to_score(batch.pk, models).exists():
        of = f" of {next(iter(models))}" if len(models) == 1 else ""
        raise NotReadyError(f"{batch.name} has no pairs{of} to score.")
    inputs = {"batch": batch.pk, **{str(focus): version.pk for focus, version in models.items()}}
    return queue_run(kind=RunKind.SCORE_PAIRS, params=params, inputs=inputs, by=by)


def start_compare_reward_models(
    *,
    version: RewardModelVersion,
    against: RewardModelVersion | None = None,
    snapshot: Snapshot,
    params: Params,
    by: User | None = None,
) -> Run:
    """Score the test pairs of a snapshot with a version and another one of its focus; None: the current one."""
    against = against or current_version(version.focus)
    if against is None:
        raise NotReadyError(
            f"No {version.focus} model is current. Promote one, or choose what to compare with."
        )
    if against.pk == version.pk:
        raise ConflictError(
            f"{version.name} cannot be compared with itself. Choose another {version.focus} model."
        )
    check_focuses({Focus(version.focus): against})
    if snapshot.state != SnapshotState.READY:
        raise NotReadyError(f"The snapshot {snapshot} is {snapshot.state}: compare on one that is ready.")
    inputs = {"reward_model": version.pk, "against": against.pk, "snapshot": snapshot.pk}
    return queue_run(kind=RunKind.COMPARE_REWARD_MODELS, params=params, inputs=inputs, by=by)


@transaction.atomic
def start_score(
    *,
    version: RewardModelVersion,
    items: Sequence[Mapping[str, Any]],
    key: str | None = None,
    by: User | None = None,
) -> Run:
    """Rate given responses: `items` are {"messages", "responses"} each. The rewards become the run's result.

    Raises:
        KeyReusedError: another request had the key.
    """
    inputs = {"reward_model": version.pk, "items": len(items)}
    run = queue_run(kind=RunKind.SCORE, params={}, inputs=inputs, key=key, by=by)
    asked, _ = ScoreItems.objects.get_or_create(run=run, defaults={"data": list(items)})
    if asked.data != list(items) or run.inputs != inputs:
        raise KeyReusedError(str(key).rpartition(":")[2])
    return run
