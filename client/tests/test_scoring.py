"""Rewards of responses, from a scorer or from runs, in as many requests as the server wants."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.tests.fakes import Answers, margin
from margin_client import RunEndedError

ITEM = {"prompt": "What is a prime number?", "responses": ["One with two divisors.", "No idea."]}


class Scorer:
    """Answers each response with its length, at once or by runs."""

    def __init__(self, *, by_runs: bool = False) -> None:
        self.by_runs = by_runs
        self.sizes: list[tuple[int, int]] = []
        self.results: list[list[list[float]]] = []
        self.asked: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        if request.method == "GET":
            result = {"rewards": self.results[int(request.url.path.rpartition("/")[2])]}
            return httpx.Response(
                200, json={"uid": "0", "state": "succeeded", "message": "", "result": result}
            )
        items = json.loads(request.content)["items"]
        self.sizes.append((len(items), sum(len(item["responses"]) for item in items)))
        rewards = [[float(len(text)) for text in item["responses"]] for item in items]
        if not self.by_runs:
            return httpx.Response(200, json={"via": "resident", "rewards": rewards, "run": None})
        self.results.append(rewards)
        return httpx.Response(202, json={"via": "run", "rewards": None, "run": str(len(self.results) - 1)})


def test_rewards_come_at_once_from_a_scorer() -> None:
    scorer = Scorer()
    assert margin(scorer).reward_models.score(3, [ITEM], via="resident") == [[22.0, 8.0]]
    assert scorer.asked[0].url.path == "/api/v1/reward-models/3/score"
    assert dict(scorer.asked[0].url.params) == {"via": "resident"}
    messages = [{"role": "user", "content": "What is a prime number?"}]
    assert json.loads(scorer.asked[0].content)["items"][0]["messages"] == messages


def test_a_run_is_waited_for_and_read() -> None:
    assert margin(Scorer(by_runs=True)).reward_models.score(3, [ITEM, ITEM]) == [[22.0, 8.0]] * 2


def test_a_run_that_fails_says_why() -> None:
    begun = httpx.Response(202, json={"via": "run", "rewards": None, "run": "u"})
    failed = httpx.Response(200, json={"uid": "u", "state": "failed", "message": "items[0]: too long."})
    with pytest.raises(RunEndedError, match=r"items\[0\]: too long"):
        margin(Answers(begun, failed)).reward_models.score(3, [ITEM])


@given(st.lists(st.integers(1, 200), max_size=150), st.booleans())
def test_however_many_there_are_each_request_is_one_that_the_server_takes(
    counts: list[int], by_runs: bool
) -> None:
    # 64 items and 256 responses are what the server takes at once.
    items: list[dict[str, Any]] = [
        {"messages": [], "responses": ["x" * (n % 7) for n in range(count)]} for count in counts
    ]
    scorer = Scorer(by_runs=by_runs)
    rewards = margin(scorer).reward_models.score(3, items)
    assert rewards == [[float(len(text)) for text in item["responses"]] for item in items]
    assert all(many <= 64 and responses <= 256 for many, responses in scorer.sizes)


def test_many_items_with_few_responses_are_spread_too() -> None:
    scorer = Scorer()
    margin(scorer).reward_models.score(3, [{"messages": [], "responses": ["x"]}] * 100)
    assert scorer.sizes == [(64, 64), (36, 36)]


def test_long_texts_are_spread_over_requests() -> None:
    scorer = Scorer()
    items = [{"messages": [], "responses": ["x" * 400_000]}] * 5
    margin(scorer).reward_models.score(3, items)
    assert scorer.sizes == [(2, 2), (2, 2), (1, 1)]  # 1 MiB holds two of 400 kB
