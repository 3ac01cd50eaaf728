"""Rewards of given responses: at once from a resident scorer, or by a run."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, Self

from django.urls import reverse
from drf_spectacular.utils import OpenApiExample, OpenApiResponse
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.api.bodies import Body
from annotation.api.kit.bodies import read
from annotation.api.kit.filters import Filter, Word
from annotation.api.kit.idempotency import HEADER, REPLAYED
from annotation.api.kit.schema import PROBLEM, Problem, operation
from annotation.api.kit.views import ApiView
from annotation.core.scopes import Scope
from rewardmodel.access import reward_model_for
from rewardmodel.models import RewardModelVersion
from training.errors import ScorerUnavailableError
from training.models import Run
from training.queries import run_with_key
from training.services.scoring import score_now
from training.services.start import start_score

LONGEST_BODY: Final = 2 << 20  # bytes
LONGEST_TEXT: Final = 20_000  # characters of a message or a response
MOST_TURNS: Final = 100
MOST_ITEMS: Final = 64
MOST_RESPONSES: Final = 256  # of all items together

Text = Annotated[str, Field(max_length=LONGEST_TEXT)]


class Turn(Body):
    """One message of a dialogue."""

    role: Literal["system", "user", "assistant"]
    content: Text


class Item(Body):
    """A dialogue that waits for an answer, and responses to it: they share its computation."""

    messages: Annotated[list[Turn], Field(min_length=1, max_length=MOST_TURNS)]
    responses: Annotated[list[Text], Field(min_length=1, max_length=MOST_RESPONSES)]

    @model_validator(mode="after")
    def turns_alternate(self) -> Self:
        """As in the data that reward models learn from, and as chat templates want it."""
        roles = [turn.role for turn in self.messages]
        turns = roles[1:] if roles[0] == "system" else roles
        wanted = ["user", "assistant"] * (len(turns) // 2) + ["user"]
        if turns != wanted:
            raise PydanticCustomError(
                "turns",
                "messages are a system message or none, then user and assistant in turn, and end with user",
            )
        return self


class ScoreBody(Body):
    """What is asked about; at most 256 responses in all."""

    items: Annotated[list[Item], Field(min_length=1, max_length=MOST_ITEMS)]

    @model_validator(mode="after")
    def not_too_many(self) -> Self:
        found = sum(len(item.responses) for item in self.items)
        if found > MOST_RESPONSES:
            raise PydanticCustomError(
                "responses",
                "{found} responses in all; send at most {most} at once",
                {"found": found, "most": MOST_RESPONSES},
            )
        return self


class ScoreSerializer(serializers.Serializer[Any]):
    """Rewards, or the run that will have them as its result."""

    reward_model = serializers.CharField(help_text="Its name.")
    via = serializers.ChoiceField(choices=["resident", "run"])
    rewards = serializers.ListField(
        child=serializers.ListField(child=serializers.FloatField()),
        allow_null=True,
        help_text="One list an item, one raw reward a response, in the order asked; null while a run works on it.",
    )
    run = serializers.UUIDField(allow_null=True, help_text="GET runs/{uid}: its result has the rewards.")


ITEMS: Final = [
    {
        "messages": [{"role": "user", "content": "What is a prime number?"}],
        "responses": ["A whole number above 1 with two divisors.", "No idea."],
    }
]
AT_ONCE: Final = {"reward_model": "helpfulness-V2", "via": "resident", "rewards": [[1.83, -2.4]], "run": None}
BY_RUN: Final = {
    "reward_model": "helpfulness-V2",
    "via": "run",
    "rewards": None,
    "run": "6f1c0f3e-7b1d-4a55-9d0a-0f1f5a3a8c11",
}


class Score(ApiView):
    """Rewards of responses from one reward model."""

    writes = Scope.MODELS_SCORE
    parameters = {
        "via": Filter(
            apply=lambda rows, value: rows,
            kind=Word(("auto", "resident", "run")),
            description="resident: at once, or 503 where no scorer answers; run: always by a run; auto, the usual: at "
            "once where a scorer answers, else by a run.",
        )
    }
    sees_to_repetitions = True  # by the key of its run; a scorer that is asked twice says the same

    @operation(
        "reward_models_score",
        body=ScoreBody,
        body_example={"items": ITEMS},
        answer=ScoreSerializer,
        answer_example=AT_ONCE,
        more={
            202: OpenApiResponse(
                ScoreSerializer,
                "A run works on it; Location names it.",
                examples=[OpenApiExample("Run", value=BY_RUN, response_only=True)],
            ),
            (503, PROBLEM): OpenApiResponse(Problem, "No scorer answered, and via is resident."),
        },
    )
    def post(self, request: Request, pk: int) -> Response:
        """Rate responses: 200 with the rewards, or 202 with the run whose result will have them.

        At most 256 responses in 64 items; 20,000 characters a message or response; 2 MiB a body.
        """
        version = reward_model_for(self.person, pk)
        items = read(request, ScoreBody, limit=LONGEST_BODY).model_dump()["items"]
        via = self.given.get("via", "auto")
        key = self._key(request)
        begun = run_with_key(key) if key else None
        if via != "run" and begun is None:
            try:
                rewards = score_now(version=version, items=items)
                return Response(_answer(version, rewards=rewards))
            except ScorerUnavailableError:
                if via == "resident":
                    raise
        run = start_score(version=version, items=items, key=key, by=self.person)
        headers = {"Location": reverse("training:run", args=(run.uid,))}
        return Response(
            _answer(version, run=run), status=202, headers=headers | ({REPLAYED: "true"} if begun else {})
        )

    def _key(self, request: Request) -> str | None:
        """What makes a run the one of this request, however often it is sent."""
        given = request.headers.get(HEADER)
        return f"score:{self.person.pk}:{given}" if given else None


def _answer(
    version: RewardModelVersion, *, rewards: list[list[float]] | None = None, run: Run | None = None
) -> dict[str, Any]:
    return {
        "reward_model": version.name,
        "via": "resident" if run is None else "run",
        "rewards": rewards,
        "run": None if run is None else str(run.uid),
    }
