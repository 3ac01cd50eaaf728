"""No test of the client waits: what it would have slept is kept instead."""

from __future__ import annotations

import pytest


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that the client meant to sleep, one entry a pause."""
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr("margin_client.steps.time.sleep", pauses.append)
    monkeypatch.setattr("margin_client.steps.asyncio.sleep", pause)
    return pauses
