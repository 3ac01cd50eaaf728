"""Snapshots with real processes: killed at any instant, and downloads that are cut."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.house import ROOT, House, answers, build_house, free_port, kill_server

pytestmark = pytest.mark.process

PAIRS = 2_500
ASK = "from annotation.services.snapshots import *; from annotation.core.recipe import Recipe; "
STATE = (
    "import json; from annotation.models import Snapshot; r = Snapshot.objects.get();"
    "print(json.dumps([r.state, r.path, r.rows, r.sha256, r.files.count()]))"
)
# Each kills the process that writes, from within, at one instant of the writing.
DIE = "import os, signal; die = lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL); "
INSTANTS = {
    "while rows are read": "import annotation.services.snapshot_lines as m; m.Lines.of = die; ",
    "while files are written": "import annotation.services.snapshot_files as m; m.SplitFiles.finish_both = die; ",
    "before the files are in place": "import annotation.services.store as m; m.LocalStore.publish = die; ",
    "when the files are in place": "import annotation.services.snapshot_writing as m; m._register = die; ",
}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with build_house(tmp_path_factory.mktemp("house")) as built:
        built.environment["SNAPSHOT_SILENCE"] = "0.2"
        built.run(f"from bench.export import fill; fill({PAIRS})")
        yield built


def state_of(house: House) -> list[Any]:
    found: list[Any] = json.loads(house.run(STATE).splitlines()[-1])
    return found


def folders(house: House) -> list[str]:
    return sorted(path.name for path in (house.home / "snapshots").iterdir() if not path.name.startswith("."))


def killed(house: House, code: str) -> None:
    ended = subprocess.run(
        [sys.executable, "manage.py", "shell", "-v", "0", "-c", code],
        cwd=ROOT,
        env=house.environment,
        capture_output=True,
        check=False,
    )
    assert ended.returncode == -9, ended.stderr.decode()


def test_killed_at_any_instant_there_is_no_snapshot_and_then_there_is_one(house: House) -> None:
    house.run(ASK + "request_snapshot(recipe=Recipe(), formats=['judgments'])")
    for where, patch in INSTANTS.items():
        killed(house, DIE + patch + ASK + "tend_snapshot(pk=1)")
        state, path, _, sha256, files = state_of(house)
        assert (state, sha256, files) == ("writing", "", 0), where
        assert folders(house) == ([path] if where == "when the files are in place" else []), where
        house.run(ASK + "import time; time.sleep(0.3); sweep_snapshots()")
        assert state_of(house)[0] == "waiting", where
    half = folders(house)
    killed(
        house,
        DIE
        + "import annotation.services.snapshot_formats as m; m.file_row = die; "
        + ASK
        + "tend_snapshot(pk=1)",
    )
    state, path, rows, _, files = state_of(house)
    assert (state, rows) == ("ready", PAIRS)
    assert files == 8  # lines and Parquet of two splits, card, two plots, manifest
    assert folders(house) == [path] != half
    house.run(ASK + "import time; time.sleep(0.3); sweep_snapshots(); tend_snapshot(pk=1); sweep_snapshots()")
    assert state_of(house)[4] == 11
    assert not [p for p in (house.home / "snapshots").iterdir() if p.name.startswith(".draft")]


def test_a_download_that_is_cut_ten_times_has_the_right_hash(house: House) -> None:
    house.run(ASK + "[tend_snapshot(pk=request_snapshot(recipe=Recipe(min_judgments=1)).pk)]")
    token = house.run(
        "from annotation.services.tokens import make_token; from tests.factories import make_user;"
        "from annotation.core.scopes import Scope;"
        "rosa = make_user('rosa', role='researcher');"
        "print(make_token(user=rosa, name='x', scopes=[Scope.SNAPSHOTS_READ], by=rosa)[1])"
    ).splitlines()[-1]
    port = free_port()
    server = house.serve(port)
    try:
        assert answers(port)
        base = f"http://127.0.0.1:{port}/api/v1/snapshots"
        with httpx.Client(headers={"Authorization": f"Bearer {token}"}, timeout=30) as client:
            (row,) = client.get(base).json()["results"]
            files = client.get(f"{base}/{row['id']}").json()["files"]
            file = max(files, key=lambda one: one["bytes"])
            got = _cut(client, file["url"], size=file["bytes"], times=10)
            assert hashlib.sha256(got).hexdigest() == file["sha256"]
            head = client.head(file["url"])
            assert (head.headers["Content-Length"], head.content) == (str(file["bytes"]), b"")
            assert head.headers["Accept-Ranges"] == "bytes"
    finally:
        kill_server(server)


def _cut(client: httpx.Client, url: str, *, size: int, times: int) -> bytes:
    """Bytes of a file whose connection is closed again and again, each time taken up where it ended."""
    got, etag, step = b"", "", size // (times + 1)
    for number in range(times + 1):
        headers = {"Range": f"bytes={len(got)}-", "If-Range": etag} if got else {}
        with client.stream("GET", url, headers=headers) as answer:
            assert answer.status_code == (206 if got else 200)
            etag = answer.headers["ETag"]
            for block in answer.iter_raw(1000):
                got += block
                if number < times and len(got) >= step * (number + 1):
                    break
    return got


def test_this_file_is_of_some_size(house: House) -> None:
    """A download that fits into one packet cannot be cut."""
    assert max(path.stat().st_size for path in Path(house.home, "snapshots").rglob("*.jsonl")) > 1_000_000
