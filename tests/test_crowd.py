"""Nobody's work is lost or counted twice, however many are at work and whatever is killed."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tests.crowd import COUNT, run_crowd
from tests.house import build_house, free_port


@pytest.mark.crowd
@pytest.mark.process
def test_twenty_annotators_judge_each_pair_three_times_while_servers_are_killed(tmp_path: Path) -> None:
    with build_house(tmp_path / "house") as house:
        house.environment["LEASE_SECONDS"] = "2"
        figures = asyncio.run(
            run_crowd(
                house,
                ports=[free_port(), free_port()],
                annotators=20,
                comparisons=60,
                overlap=3,
                kill_every=2,
                seed=1,
            )
        )
        found = json.loads(house.run(COUNT))
    assert figures.errors == []
    assert figures.kills > 0
    assert found == {
        "comparisons": 60,
        "complete": 60,
        "judgments": 180,
        "rows": 180,
        "too_many": 0,
        "too_few": 0,
        "twice_by_one": 0,
        "free_left": 0,
    }
