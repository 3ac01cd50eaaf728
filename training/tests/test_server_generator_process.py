"""Whole chunks from real servers: `transformers serve`, and llama.cpp's where it is installed."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from annotation.core.records import Message
from rewardmodel.core.backbone import PolicyRef
from rewardmodel.core.report import RunFailedError
from tests.house import free_port
from training.core.generate import Request
from training.core.importing import find_source
from training.core.server_generator import ServerGenerator
from training.tests.serving import serve_policy

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serve_policy(None, tmp_path_factory.mktemp("serve") / "log.txt") as address:
        yield address


@pytest.fixture(scope="module")
def llama_cpp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    program = shutil.which("llama-server")
    if program is None:
        pytest.skip("llama-server is not on the PATH")
    try:
        weights = find_source("smollm2", Path()).path
    except RunFailedError as error:
        pytest.skip(str(error))
    address = f"http://127.0.0.1:{(port := free_port())}"
    command = [program, "-m", str(weights), "--host", "127.0.0.1", "--port", str(port), "-c", "2048"]
    with (tmp_path_factory.mktemp("llama") / "log.txt").open("wb") as log:
        process = subprocess.Popen([*command, "--top-k", "0", "--min-p", "0"], stdout=log, stderr=log)
        try:
            _wait_until_healthy(address, process)
            yield address
        finally:
            process.kill()
            process.wait()


def _ask(seed: int, temperature: float = 1.0, stop: tuple[str, ...] = ()) -> Request:
    message: Message = {"role": "user", "content": "Hi"}
    return Request((message,), temperature, 1.0, seed, 12, stop)


def test_a_chunk_comes_back_whole(served: str, tiny: PolicyRef) -> None:
    generator = ServerGenerator(replace(tiny, endpoint=served), at_once=4)
    samples = generator.generate([_ask(seed) for seed in range(6)])
    assert len({sample.text for sample in samples}) > 1
    assert {sample.finish_reason for sample in samples} <= {"stop", "length"}
    assert all(0 <= sample.tokens <= 13 for sample in samples)


def test_one_at_a_time_a_seed_repeats(served: str, tiny: PolicyRef) -> None:
    generator = ServerGenerator(replace(tiny, endpoint=served), at_once=1)
    requests = [_ask(seed) for seed in (1, 2)]
    first, second = ([sample.text for sample in generator.generate(requests)] for _ in range(2))
    assert first == second
    assert first[0] != first[1]


def test_a_model_that_the_server_does_not_have_is_named(served: str, tiny: PolicyRef) -> None:
    ref = replace(tiny, endpoint=served, endpoint_model="/no/such/model")
    with pytest.raises(RunFailedError, match=r"asked for /no/such/model, .*HTTP \d+.*It said: "):
        ServerGenerator(ref, at_once=1).generate([_ask(1)])


def test_llama_cpp_answers_and_its_seeds_repeat(llama_cpp: str, tiny: PolicyRef) -> None:
    generator = ServerGenerator(replace(tiny, endpoint=llama_cpp, endpoint_model="smollm2"), at_once=1)
    requests = [_ask(1), _ask(2), _ask(3, temperature=0.0)]
    first, second = ([sample.text for sample in generator.generate(requests)] for _ in range(2))
    assert first == second
    assert first[0] != first[1]


def _wait_until_healthy(address: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 90
    while True:
        assert process.poll() is None, "the server ended"
        assert time.monotonic() < deadline, "the server does not start"
        try:
            if httpx.get(f"{address}/health", trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
