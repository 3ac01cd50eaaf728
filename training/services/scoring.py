"""Asking a resident scorer. Which one is the database's to know; a process that is gone is found out by asking it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import httpx
import structlog
from django.conf import settings

from rewardmodel.models import ResidentScorer, RewardModelVersion
from rewardmodel.queries import scorers_of
from training.errors import ScorerUnavailableError, UnratableError

log = structlog.get_logger(__name__)

CONNECT: Final = 2.0  # seconds
Item = Mapping[str, Any]


def score_now(*, version: RewardModelVersion, items: Sequence[Item]) -> list[list[float]]:
    """Rewards of items ({"messages", "responses"} each), in their order, from a process that holds the model.

    Call it outside of any transaction: it waits for up to SCORER_SECONDS.

    Raises:
        ScorerUnavailableError: none lives, or none of those that do gave an answer.
        UnratableError: the model cannot read or rate one of the texts.
    """
    scorers = scorers_of(version)
    for scorer in scorers:
        rewards = _ask(scorer, items)
        if rewards is not None:
            return rewards
    if scorers:
        raise ScorerUnavailableError(
            f"The scorer of {version.name} gave no answer: it is busy, or was stopped. Nothing was done. Ask again "
            "soon, or by a run: via=run."
        )
    raise ScorerUnavailableError(
        f"No scorer holds {version.name} now. Ask by a run (via=run), or have one started: "
        f"manage.py scorer --reward-model {version.name}"
    )


def _ask(scorer: ResidentScorer, items: Sequence[Item]) -> list[list[float]] | None:
    """What it answers; None: nothing that can be used."""
    try:
        answer = httpx.post(
            f"{scorer.address}/score",
            json={"items": list(items), "seconds": settings.SCORER_SECONDS},
            headers={"Authorization": f"Bearer {scorer.key}"},
            timeout=httpx.Timeout(settings.SCORER_SECONDS, connect=CONNECT),
            trust_env=False,  # no proxy stands between two processes of one house
        )
        said = answer.json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        log.warning("scorer did not answer", address=scorer.address, error=f"{type(error).__name__}: {error}")
        return None
    if answer.status_code == 422 and isinstance(said, dict):
        raise UnratableError(f"Nothing was scored. {said.get('error', '')}")
    rewards = said.get("rewards") if answer.status_code == 200 and isinstance(said, dict) else None
    if not _fits(rewards, items):
        log.warning("scorer gave no rewards", address=scorer.address, status=answer.status_code)
        return None
    return [[float(reward) for reward in group] for group in rewards or ()]


def _fits(rewards: Any, items: Sequence[Item]) -> bool:
    """Whether there is one number for each response. A port may have come into other hands."""
    return (
        isinstance(rewards, list)
        and [len(item["responses"]) for item in items]
        == [len(g) if isinstance(g, list) else -1 for g in rewards]
        and all(isinstance(reward, int | float) for group in rewards for reward in group)
    )
