"""What POST runs takes: a closed body a kind of run, with the parameters of its spec beside what it works on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Final

from pydantic import Field, RootModel, ValidationError
from rest_framework.request import Request

from annotation.api.kit.bodies import as_shape, read
from annotation.api.kit.schema import BodyExtension
from annotation.api.lean import field_errors
from annotation.api.problems import InvalidRequestError
from training.api.starting.dialogues import DistillBody, GattBody, SelfChatBody
from training.api.starting.finetune import FinetuneBody
from training.api.starting.policies import ImportPolicyBody, SampleBody
from training.api.starting.ppo import PpoBody
from training.api.starting.rejection import RejectionSampleBody
from training.api.starting.reward_models import ScorePairsBody, TrainRewardModelBody
from training.core.spec import RunKind

Start = (
    ImportPolicyBody
    | SampleBody
    | TrainRewardModelBody
    | ScorePairsBody
    | RejectionSampleBody
    | FinetuneBody
    | PpoBody
    | GattBody
    | DistillBody
    | SelfChatBody
)
BODIES: Final[Mapping[str, type[Start]]] = MappingProxyType(
    {
        RunKind.IMPORT_POLICY: ImportPolicyBody,
        RunKind.SAMPLE: SampleBody,
        RunKind.TRAIN_REWARD_MODEL: TrainRewardModelBody,
        RunKind.SCORE_PAIRS: ScorePairsBody,
        RunKind.REJECTION_SAMPLE: RejectionSampleBody,
        RunKind.FINETUNE: FinetuneBody,
        RunKind.PPO: PpoBody,
        RunKind.GATT: GattBody,
        RunKind.DISTILL: DistillBody,
        RunKind.SELF_CHAT: SelfChatBody,
    }
)


class StartBody(RootModel[Annotated[Start, Field(discriminator="kind")]]):
    """One body a kind of run. For the schema; `read_start` says more plainly what is wrong."""


class StartExtension(BodyExtension):  # type: ignore[no-untyped-call]
    target_class = StartBody  # type: ignore[assignment]  # as drf-spectacular's own do
    match_subclasses = False


class _Anything(RootModel[dict[str, Any]]):
    """An object; its kind says what else is in it."""


def read_start(request: Request) -> Start:
    """The body of POST runs.

    Raises:
        InvalidRequestError: it names no kind, or a field of that kind is wrong, too many or missing.
    """
    given = read(request, _Anything).root
    kind = given.get("kind")
    shape = BODIES.get(kind) if isinstance(kind, str) else None
    if shape is None:
        reason = f"Choose one of {', '.join(BODIES)}."
        if kind == RunKind.SCORE:
            reason = f"Responses are scored by POST reward-models/{{id}}/score. {reason}"
        raise InvalidRequestError(
            "The body names no kind of run.", errors=[{"field": "kind", "reason": reason}]
        )
    try:
        # As JSON, which knows no enumerations and no tuples: a strict model takes from it what stands for them.
        return as_shape(shape, json.dumps(given))
    except ValidationError as error:
        raise InvalidRequestError(
            f"The body does not have the shape that {kind} takes. Nothing was started.",
            errors=field_errors(error),
        ) from None
