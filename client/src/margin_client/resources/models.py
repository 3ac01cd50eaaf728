"""What was trained: reward models, which score, and policies."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from margin_client.resources.runs import wait_for_run
from margin_client.steps import Series, Steps, endpoint, feed
from margin_client.types import Policy, RewardModel
from margin_client.wire import D, Resource, at, given

# What the server takes at once.
MOST_ITEMS: Final = 64
MOST_RESPONSES: Final = 256
MOST_BYTES: Final = 1 << 20


class RewardModels(Resource[D]):
    """Reward models."""

    @feed
    def list(
        self,
        *,
        name: str | None = None,
        focus: str | None = None,
        recipe: str | None = None,
        snapshot: int | None = None,
        current: bool | None = None,
        since: datetime | None = None,
        fields: Sequence[str] = (),
    ) -> Series[RewardModel]:
        filters = given(
            name=name, focus=focus, recipe=recipe, snapshot=snapshot, current=current, since=since
        )
        return self.wire.pages("reward-models", RewardModel.of, {"fields": fields, **filters})

    @endpoint
    def get(self, model: int, *, fields: Sequence[str] = ()) -> Steps[RewardModel]:
        response = yield from self.wire.ask("GET", at("reward-models", model), params={"fields": fields})
        return RewardModel.of(response.json())

    @endpoint
    def score(
        self, model: int, items: Sequence[Mapping[str, Any]], *, via: str | None = None
    ) -> Steps[Sequence[Sequence[float]]]:
        """Raw rewards: one list an item, one number a response, in the order asked.

        An item has `responses`, and `messages` that end with a user's turn or, for a single turn, `prompt`. Many items
        go in as many requests as the server wants. Where no scorer holds the model, runs are started and waited for;
        `via` is resident (never a run), run (always) or auto.

        Raises:
            RunEndedError: a run ended without rewards.
            InvalidError: an item that the server does not take.
        """
        answers = []
        for part in _parts([_item(item) for item in items]):
            address = at("reward-models", model, "score")
            response = yield from self.wire.ask("POST", address, params={"via": via}, body={"items": part})
            answers.append(response.json())
        rewards: list[Sequence[float]] = []
        for answer in answers:
            ended = None if answer["run"] is None else (yield from wait_for_run(self.wire, answer["run"]))
            rewards += answer["rewards"] if ended is None else ended.result["rewards"]
        return rewards


class Policies(Resource[D]):
    """Versions of the policy."""

    @feed
    def list(
        self,
        *,
        name: str | None = None,
        kind: str | None = None,
        iteration: int | None = None,
        since: datetime | None = None,
        fields: Sequence[str] = (),
    ) -> Series[Policy]:
        filters = given(name=name, kind=kind, iteration=iteration, since=since)
        return self.wire.pages("policies", Policy.of, {"fields": fields, **filters})

    @endpoint
    def get(self, policy: int, *, fields: Sequence[str] = ()) -> Steps[Policy]:
        response = yield from self.wire.ask("GET", at("policies", policy), params={"fields": fields})
        return Policy.of(response.json())


def _item(item: Mapping[str, Any]) -> dict[str, Any]:
    said = dict(item)
    if "prompt" in said and "messages" not in said:
        said["messages"] = [{"role": "user", "content": said.pop("prompt")}]
    return said


def _parts(items: Sequence[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """The items in runs that the server takes at once; an item alone is sent whatever its size."""
    part: list[dict[str, Any]] = []
    responses = size = 0
    for item in items:
        more, bytes_more = len(item.get("responses", ())), len(json.dumps(item))
        full = len(part) == MOST_ITEMS or responses + more > MOST_RESPONSES or size + bytes_more > MOST_BYTES
        if part and full:
            yield part
            part, responses, size = [], 0, 0
        part.append(item)
        responses, size = responses + more, size + bytes_more
    if part:
        yield part
