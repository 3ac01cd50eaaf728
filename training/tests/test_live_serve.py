"""The streaming client against a real `transformers serve`: it streams there, and temperature and seed act.

They act only because a policy's own generation_config.json says that it samples (training.core.importing): without
that the server drops both without a word.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from annotation.core.records import Message
from rewardmodel.core.backbone import PolicyRef
from training.core.chat_stream import ChatStreamClient, Ended
from training.core.duet import Duet, Voice
from training.tests.serving import serve_policy

pytestmark = pytest.mark.process

MESSAGES: list[Message] = [{"role": "user", "content": "Hi"}]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serve_policy(None, tmp_path_factory.mktemp("serve") / "log.txt") as address:
        yield address


def stream(served: str, model: Path, *, temperature: float, seed: int) -> list[str | Ended]:
    async def collect() -> list[str | Ended]:
        async with ChatStreamClient(served, str(model)) as client:
            options = {"max_tokens": 40, "temperature": temperature, "seed": seed}
            return [part async for part in client.stream(MESSAGES, **options)]  # type: ignore[arg-type]

    return asyncio.run(collect())


def text(served: str, model: Path, *, temperature: float, seed: int) -> str:
    return "".join(p for p in stream(served, model, temperature=temperature, seed=seed) if isinstance(p, str))


def test_it_streams_in_many_parts_and_ends(served: str, tiny: PolicyRef) -> None:
    *parts, ended = stream(served, tiny.path, temperature=1.0, seed=1)
    assert len(parts) > 5
    assert isinstance(ended, Ended)
    assert ended.finish_reason in ("stop", "length")
    assert ended.tokens is not None
    assert ended.tokens >= len(parts)


def test_the_same_seed_is_the_same_text(served: str, tiny: PolicyRef) -> None:
    assert text(served, tiny.path, temperature=1.0, seed=7) == text(
        served, tiny.path, temperature=1.0, seed=7
    )


def test_other_seeds_are_other_texts(served: str, tiny: PolicyRef) -> None:
    assert len({text(served, tiny.path, temperature=1.0, seed=seed) for seed in range(5)}) == 5


def test_near_zero_the_seed_does_not_matter(served: str, tiny: PolicyRef) -> None:
    assert len({text(served, tiny.path, temperature=0.01, seed=seed) for seed in range(3)}) == 1


def test_two_sides_of_one_server_stream_as_a_duet(served: str, tiny: PolicyRef) -> None:
    """It answers one request after the other, so the second side waits for the first, and both are told together."""
    one, other = (
        Voice(base_url=served, model=str(tiny.path), temperature=t, top_p=1.0, max_tokens=40, seed=s)
        for t, s in ((0.7, 1), (1.0, 2))
    )
    duet = Duet(messages=MESSAGES, voices=(one, other), stall=30, seconds=60)

    async def listen() -> list[tuple[str, str]]:
        return [line async for line in duet.lines() if line is not None]

    lines = asyncio.run(listen())
    assert ["".join(side) for side in zip(*lines, strict=True)] == ["".join(texts) for texts in duet.texts]
    assert duet.texts[0] != duet.texts[1]


def test_without_sampling_in_its_own_config_a_policy_ignores_both(
    served: str, tiny: PolicyRef, tmp_path: Path
) -> None:
    """The trap. Should a release of transformers close it, this test says so."""
    greedy = tmp_path / "greedy"
    shutil.copytree(tiny.path, greedy)
    config = greedy / "generation_config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "do_sample": False}))
    assert len({text(served, greedy, temperature=1.0, seed=seed) for seed in range(3)}) == 1
