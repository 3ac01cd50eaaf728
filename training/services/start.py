"""Starting runs: each kind's own door, with the checks that a queue cannot make later."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.db import transaction

from annotation.core.curriculum import Mix
from annotation.core.grades import Focus
from annotation.core.states import BatchState, SnapshotState
from annotation.errors import BatchSealedError, ConflictError, IllegalMoveError
from annotation.models import Batch, Snapshot, User
from annotation.services.idempotency import KeyReusedError
from rewardmodel.models import RewardModelVersion
from rewardmodel.queries import pairs_to_score
from rewardmodel.standing import current_version
from training.core.spec import FinetuneSpec, PromptsSpec, RunKind
from training.core.states import RUN_ACTIVE, RUN_ENDED, RunState
from training.errors import NotReadyError
from training.models import Iteration, PolicyVersion, Run, ScoreItems
from training.services.prompts import draw_prompts
from training.services.runs import check_params, queue_run

Params = Mapping[str, Any]


def start_import_policy(*, name: str, params: Params, key: str | None = None, by: User | None = None) -> Run:
    _check_policy_name(name, key)
    return queue_run(kind=RunKind.IMPORT_POLICY, params=params, inputs={"name": name}, key=key, by=by)


def start_sample(
    *,
    batch: Batch,
    policies: Sequence[PolicyVersion],
    params: Params,
    mix: Mix | None = None,
    seed: int = 0,
    key: str | None = None,
    iteration: Iteration | None = None,
    by: User | None = None,
) -> Run:
    """Sample pairs for a batch; newest policy first. One policy answers for both sides. With a `mix` the prompts are
    drawn by it."""
    if batch.state == BatchState.SEALED:
        raise BatchSealedError(f"{batch.name} is sealed and takes no new pairs. Choose another batch.")
    if not policies:
        raise NotReadyError("There is no policy to answer. Import one first.")
    inputs = {
        "batch": batch.pk,
        "policies": [policy.pk for policy in policies],
        "prompts": _draw(RunKind.SAMPLE, params, seed, mix),
    }
    return queue_run(
        kind=RunKind.SAMPLE, params=params, inputs=inputs, seed=seed, key=key, iteration=iteration, by=by
    )


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
    _check_name(RewardModelVersion, (RunKind.TRAIN_REWARD_MODEL,), name, key)
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
    _check_focuses(models)
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
    _check_focuses({Focus(version.focus): against})
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


def start_rejection_sample(
    *,
    policy: PolicyVersion,
    helpfulness: RewardModelVersion,
    safety: RewardModelVersion,
    params: Params,
    seed: int = 0,
    key: str | None = None,
    iteration: Iteration | None = None,
    by: User | None = None,
) -> Run:
    _check_focuses({Focus.HELPFULNESS: helpfulness, Focus.SAFETY: safety})
    inputs = {
        "policy": policy.pk,
        "helpfulness": helpfulness.pk,
        "safety": safety.pk,
        "prompts": _draw(RunKind.REJECTION_SAMPLE, params, seed),
    }
    return queue_run(
        kind=RunKind.REJECTION_SAMPLE,
        params=params,
        inputs=inputs,
        seed=seed,
        key=key,
        iteration=iteration,
        by=by,
    )


def start_finetune(
    *,
    name: str,
    base: PolicyVersion,
    selection: Run,
    params: Params,
    seed: int = 0,
    key: str | None = None,
    iteration: Iteration | None = None,
    by: User | None = None,
) -> Run:
    """Fine-tune `base` on the winners of `selection` and, if the parameters say so, of all earlier rounds."""
    _check_policy_name(name, key)
    if selection.kind != RunKind.REJECTION_SAMPLE or selection.state != RunState.SUCCEEDED:
        raise NotReadyError(
            f"Run {selection.pk} has no winners: choose a rejection-sampling run that succeeded."
        )
    if base.adapter_on is not None:
        raise ConflictError(
            f"{base.name} is an adapter. Fine-tuning starts from whole weights: {base.adapter_on}."
        )
    spec = FinetuneSpec.model_validate(check_params(RunKind.FINETUNE, params))
    selections = [*(_earlier(selection) if spec.every_iteration else ()), selection.pk]
    inputs = {"name": name, "base": base.pk, "selections": selections}
    return queue_run(
        kind=RunKind.FINETUNE, params=params, inputs=inputs, seed=seed, key=key, iteration=iteration, by=by
    )


@transaction.atomic
def start_instead(*, old: Run, start: Callable[[], Run]) -> Run:
    """Let a new run take the place of `old` in its iteration: the way on where other parameters are needed.

    `old` ended without success, so a retry would meet the same end. What the stage reads stays the same.
    """
    run = start()
    if _given(run) != _given(old):
        raise ConflictError(f"In the place of run {old.pk} only name, seed and parameters may differ.")
    freed = Run.objects.filter(
        pk=old.pk, key=old.key, state__in=RUN_ENDED - {RunState.SUCCEEDED}, key__isnull=False
    ).update(key=None)
    if not freed:
        raise IllegalMoveError(f"Run {old.pk} no longer waits to be replaced.")
    Run.objects.filter(pk=run.pk).update(key=old.key, iteration=old.iteration)
    run.refresh_from_db()
    return run


def _given(run: Run) -> dict[str, Any]:
    """What makes a run fit its place in an iteration; the rest are parameters, or what is current at the time."""
    given = {name: value for name, value in run.inputs.items() if name not in ("name", "prompts", "current")}
    if "selections" in given:
        given["selections"] = given["selections"][-1]
    return {**given, "kind": run.kind, "focus": run.params.get("focus")}


def _earlier(selection: Run) -> list[int]:
    """Selections of earlier iterations, oldest first: winners are never forgotten (section 3.2.3)."""
    if selection.iteration is None:
        return []
    rows = Run.objects.filter(
        kind=RunKind.REJECTION_SAMPLE,
        state=RunState.SUCCEEDED,
        iteration__number__lt=selection.iteration.number,
    )
    return list(rows.order_by("iteration__number", "pk").values_list("pk", flat=True))


def _draw(kind: RunKind, params: Params, seed: int, mix: Mix | None = None) -> list[str]:
    spec = PromptsSpec.model_validate(
        {k: v for k, v in check_params(kind, params).items() if k in PromptsSpec.model_fields}
    )
    keys = draw_prompts(count=spec.prompts, safety_share=spec.safety_share, seed=seed, mix=mix)
    if not keys:
        raise NotReadyError("The prompt pool is empty. Add prompts to it: manage.py add_prompts FILE")
    return keys


def _check_focuses(models: Mapping[Focus, RewardModelVersion]) -> None:
    for focus, version in models.items():
        if version.focus != focus:
            raise ConflictError(f"{version.name} is a {version.focus} model; choose a {focus} model there.")


def _check_policy_name(name: str, key: str | None) -> None:
    _check_name(PolicyVersion, (RunKind.IMPORT_POLICY, RunKind.FINETUNE), name, key)


def _check_name(
    model: type[PolicyVersion] | type[RewardModelVersion],
    kinds: Sequence[RunKind],
    name: str,
    key: str | None,
) -> None:
    """Refuse a name in use, also by a run at work: its hours must not end in a collision.

    A keyed run that was queued before keeps its own name.
    """
    if key is not None and Run.objects.filter(key=key).exists():
        return
    promised = Run.objects.filter(kind__in=kinds, state__in=RUN_ACTIVE, inputs__name=name).first()
    if promised is not None:
        raise ConflictError(f"Run {promised.pk} is already making {name!r}. Choose another name.")
    if model.objects.filter(name=name).exists():
        noun = "policy" if model is PolicyVersion else "reward model"
        raise ConflictError(f"There is a {noun} named {name!r} already. Choose another name.")
