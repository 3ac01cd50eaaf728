"""The blocks of the manuals of client and API, run in order against a real server with a real token."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import cast

import httpx
import pytest

from margin_client import Margin
from tests.house import House, answers, build_house, free_port, kill_server
from training.core.queue_names import QUEUES

pytestmark = pytest.mark.process

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOK = ROOT / "docs/notebooks/reward_model_from_snapshot.ipynb"
TRL = ROOT / ".venv-trainers/trl"
BLOCK = re.compile(r"^```(python|bash)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SECONDS = 300  # for one page; its runs import torch

# Two weeks, the first of them judged by Ada and Ben and sealed. Both prefer the answers that begin with "A first",
# so that there is something to learn; every sixth time Ben does not.
CONTENT = """
from uuid import uuid4
from annotation.core.grades import Choice, Focus, Grade, SafetyLabel
from annotation.core.scopes import Scope
from annotation.models import Role
from annotation.services.allocation import lease_next
from annotation.services.batches import create_batch, open_batch, seal_batch
from annotation.services.guidelines import install_default_guidelines
from annotation.services.judgments import Answer, submit_judgment
from annotation.services.tokens import make_token
from tests.factories import make_batch, make_comparisons, make_user

def judge(person, number, contrary=False):
    pair = lease_next(annotator=person)[0]
    choice = Choice.A if pair.response_a.text.startswith("A first") != contrary else Choice.B
    safety = SafetyLabel.BOTH_SAFE if pair.focus == Focus.SAFETY else None
    answer = Answer(choice=choice, grade=list(Grade)[number % 4], safety=safety)
    submit_judgment(annotator=person, comparison_key=pair.key, uid=uuid4(), answer=answer)

install_default_guidelines()
ada, ben, rosa = make_user("ada"), make_user("ben"), make_user("rosa", role=Role.RESEARCHER)
week = make_batch(overlap=2, holdout=2000)
make_comparisons(week, 16)
make_comparisons(week, 8, focus=Focus.SAFETY)
for number in range(24):
    judge(ada, number)
    judge(ben, number, contrary=number % 6 == 0)
seal_batch(batch=week)
open_batch(batch=create_batch())
print(make_token(user=rosa, name="docs", scopes=list(Scope))[1])
"""


@dataclass(frozen=True)
class Block:
    """Code of a page; `line` is where it stands there."""

    page: Path
    line: int
    language: str
    code: str


def blocks_of(page: Path) -> list[Block]:
    text = page.read_text()
    return [
        Block(page, text.count("\n", 0, found.start(2)) + 1, found[1], found[2])
        for found in BLOCK.finditer(text)
    ]


@pytest.fixture(scope="module")
def access(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of a researcher's shell: a server with workers, and a token for it."""
    port = free_port()
    with build_house(tmp_path_factory.mktemp("docs")) as house, ExitStack() as stack:
        token = house.run(CONTENT).split()[-1]
        server = house.serve(port)
        stack.callback(kill_server, server)
        stack.enter_context(worker(house))
        assert answers(port), (house.home / f"web-{port}.log").read_text()
        yield {
            "MARGIN_URL": f"http://127.0.0.1:{port}",
            "MARGIN_TOKEN": token,
            "MARGIN_CACHE": str(house.home / "cache"),
            "HF_HOME": str(house.home / "hf"),
            "HF_HUB_OFFLINE": "1",
            "OMP_NUM_THREADS": "1",
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }


@contextmanager
def worker(house: House) -> Iterator[None]:
    """One that takes runs and everything else."""
    command = [sys.executable, "-m", "celery", "-A", "config", "worker", "--pool", "threads"]
    command += ["--queues", ",".join(("default", *QUEUES)), "--concurrency", "2", "--loglevel", "warning"]
    with (house.home / "worker.log").open("ab") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, env=house.environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.parametrize("name", ["client.md", "api-tour.md"])
def test_every_block_of_the_page_runs(name: str, access: dict[str, str], tmp_path: Path) -> None:
    blocks = blocks_of(ROOT / "docs" / name)
    assert len(blocks) >= 10
    for language, group in groupby(blocks, key=lambda block: block.language):
        code = RUNNERS[language](list(group))
        ended = subprocess.run(
            [*INTERPRETERS[language], code],
            cwd=tmp_path,
            env=access,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert ended.returncode == 0, f"{name}\n{ended.stdout[-3000:]}\n{ended.stderr[-3000:]}"


class Cutting(httpx.HTTPTransport):
    """The line to the server: answers from `path` break after `after` bytes as long as there are `cuts` left."""

    def __init__(self, *, path: str, after: int, cuts: int) -> None:
        super().__init__()
        self.path, self.after, self.cuts = path, after, cuts

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = super().handle_request(request)
        if self.path not in request.url.path:
            return response
        return httpx.Response(
            response.status_code,
            headers=response.headers,
            stream=Cut(self, cast("httpx.SyncByteStream", response.stream)),
        )


class Cut(httpx.SyncByteStream):
    def __init__(self, line: Cutting, inner: httpx.SyncByteStream) -> None:
        self.line, self.inner = line, inner

    def __iter__(self) -> Iterator[bytes]:
        left = self.line.after
        for piece in self.inner:
            if self.line.cuts and len(piece) >= left:
                self.line.cuts -= 1
                yield piece[:left]
                raise httpx.ReadError("cut")
            yield piece
            left -= len(piece)

    def close(self) -> None:
        self.inner.close()


def test_a_download_that_is_cut_ten_times_has_the_right_hash(access: dict[str, str], tmp_path: Path) -> None:
    with Margin(access["MARGIN_URL"], access["MARGIN_TOKEN"]) as client:
        snapshot = client.snapshots.create(name="cut", batches=[1], focuses=["helpfulness"])
    file = next(file for file in snapshot.files if file.path == "data/train.jsonl")
    line = Cutting(path=file.path, after=file.bytes // 12, cuts=10)
    with Margin(access["MARGIN_URL"], access["MARGIN_TOKEN"], transport=line) as client:
        places = client.snapshots.download(snapshot.id, tmp_path)
    assert line.cuts == 0
    for place in places:
        promised = next(one for one in snapshot.files if one.path == str(place.relative_to(tmp_path)))
        assert hashlib.sha256(place.read_bytes()).hexdigest() == promised.sha256


def test_a_post_whose_answer_was_lost_acts_once(access: dict[str, str]) -> None:
    line = Cutting(path="/runs", after=1, cuts=2)
    with Margin(access["MARGIN_URL"], access["MARGIN_TOKEN"], transport=line) as client:
        run = client.runs.start("import_policy", name="lost-answer", source="tiny")
        assert line.cuts == 0
        assert [found.uid for found in client.runs.list() if found.name == "lost-answer"] == [run.uid]
        client.runs.cancel(run.uid)


@pytest.mark.trainers
@pytest.mark.skipif(not (TRL / ".ready").exists(), reason="TRL is not installed: make test-trainers")
def test_the_notebook_trains_a_reward_model(access: dict[str, str], tmp_path: Path) -> None:
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    report = (
        "import json; print(json.dumps([trained.global_step, losses, snapshot.rows, len(train) + len(test)]))"
    )
    ended = subprocess.run(
        [TRL / "bin/python", "-c", "\n".join([*code, report])],
        cwd=tmp_path,
        env={**access, "PYTHONPATH": str(ROOT / "client/src")},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    steps, losses, rows, loaded = json.loads(ended.stdout.splitlines()[-1])
    assert steps == 20
    assert losses[-1] < losses[0]
    assert loaded == rows


def test_the_notebook_holds_no_outputs() -> None:
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert code
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)


def python_of(blocks: list[Block]) -> str:
    """The blocks in one program whose tracebacks name the lines of the page."""
    runs = [
        f"exec(compile({chr(10) * (block.line - 1) + block.code!r}, {block.page.name!r}, 'exec'))"
        for block in blocks
    ]
    return "\n".join(runs)


def bash_of(blocks: list[Block]) -> str:
    """The blocks in one shell, each announced by the line of the page."""
    return "\n".join(f"echo '== {block.page.name}:{block.line}'\n{block.code}" for block in blocks)


RUNNERS = {"python": python_of, "bash": bash_of}
INTERPRETERS = {"python": [sys.executable, "-c"], "bash": ["bash", "-euo", "pipefail", "-c"]}
