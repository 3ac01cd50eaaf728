"""Files on their way: cut, resumed, checked."""

from __future__ import annotations

import asyncio
import json
import random
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.tests.fakes import Answers, Cut, FileServer, async_margin, margin
from margin_client import DownloadError, MarginError, NotFoundError, UnreachableError

CONTENT = random.Random(0).randbytes(10_000)
FILE = Path("data/train.jsonl")


def test_a_file_comes_whole_and_lies_where_the_server_names_it(tmp_path: Path) -> None:
    assert margin(FileServer(CONTENT)).snapshots.download(7, tmp_path) == [tmp_path / FILE]
    assert (tmp_path / FILE).read_bytes() == CONTENT
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["train.jsonl"]


def test_a_way_that_is_cut_ten_times_goes_on_each_time(tmp_path: Path, slept: list[float]) -> None:
    server = FileServer(CONTENT, cut_after=950)
    margin(server, retries=1).snapshots.download(7, tmp_path)
    assert (tmp_path / FILE).read_bytes() == CONTENT
    assert server.ranges == [None, *[f"bytes={950 * n}-" for n in range(1, 11)]]


def test_another_process_goes_on_where_the_last_one_ended(tmp_path: Path, slept: list[float]) -> None:
    server = FileServer(CONTENT, cut_after=4000)
    with pytest.raises(UnreachableError):
        margin(server, retries=0).snapshots.download(7, tmp_path)
    server.cut_after = None
    margin(server).snapshots.download(7, tmp_path)
    assert server.ranges == [None, "bytes=4000-"]
    assert (tmp_path / FILE).read_bytes() == CONTENT


def test_a_file_that_has_changed_meanwhile_begins_anew(tmp_path: Path, slept: list[float]) -> None:
    with pytest.raises(UnreachableError):
        margin(FileServer(CONTENT, cut_after=9000), retries=0).snapshots.download(7, tmp_path)
    changed = FileServer(CONTENT[::-1])
    margin(changed).snapshots.download(7, tmp_path)
    assert changed.ranges == [None]
    assert (tmp_path / FILE).read_bytes() == CONTENT[::-1]


def test_a_server_that_has_another_version_sends_it_whole(tmp_path: Path, slept: list[float]) -> None:
    server = FileServer(CONTENT, cut_after=9000)
    with pytest.raises(UnreachableError):
        margin(server, retries=0).snapshots.download(7, tmp_path)
    server.etag, server.cut_after = '"other"', None
    margin(server).snapshots.download(7, tmp_path)
    assert server.ranges == [None, "bytes=9000-"]
    assert (tmp_path / FILE).read_bytes() == CONTENT


def test_a_shorter_file_leaves_nothing_of_a_longer_one(tmp_path: Path, slept: list[float]) -> None:
    with pytest.raises(UnreachableError):
        margin(FileServer(CONTENT, cut_after=9000), retries=0).snapshots.download(7, tmp_path)
    with pytest.raises(UnreachableError):
        margin(FileServer(b"short" * 100, cut_after=300), retries=0).snapshots.download(7, tmp_path)
    margin(FileServer(b"short" * 100)).snapshots.download(7, tmp_path)
    assert (tmp_path / FILE).read_bytes() == b"short" * 100


def test_bytes_without_a_mark_of_their_version_are_not_gone_on_from(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/train.jsonl.part").write_bytes(b"whatever")
    server = FileServer(CONTENT)
    margin(server).snapshots.download(7, tmp_path)
    assert server.ranges == [None]


def test_what_is_there_is_not_brought_again(tmp_path: Path) -> None:
    server = FileServer(CONTENT)
    for _ in range(2):
        margin(server).snapshots.download(7, tmp_path)
    assert len(server.ranges) == 1


def test_what_is_there_but_damaged_is_brought_again(tmp_path: Path) -> None:
    server = FileServer(CONTENT)
    margin(server).snapshots.download(7, tmp_path)
    (tmp_path / FILE).write_bytes(CONTENT[::-1])
    margin(server).snapshots.download(7, tmp_path)
    assert (tmp_path / FILE).read_bytes() == CONTENT


def test_a_file_with_another_hash_is_refused_and_not_kept(tmp_path: Path) -> None:
    server = FileServer(CONTENT)
    server.promised = "0" * 64
    with pytest.raises(DownloadError, match="another hash"):
        margin(server).snapshots.download(7, tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_an_answer_that_ends_early_without_an_error_is_a_cut(tmp_path: Path, slept: list[float]) -> None:
    whole = FileServer(CONTENT)

    def ends_early(request: httpx.Request) -> httpx.Response:
        answer = whole(request)
        if request.url.path.endswith("jsonl"):
            return httpx.Response(200, headers={"ETag": whole.etag}, stream=Cut(CONTENT[:100], 100))
        return answer

    with pytest.raises(UnreachableError, match="ended early"):
        margin(ends_early, retries=0).snapshots.download(7, tmp_path)


def test_an_empty_file_is_a_file(tmp_path: Path) -> None:
    margin(FileServer(b"")).snapshots.download(7, tmp_path)
    assert (tmp_path / FILE).read_bytes() == b""


@pytest.mark.parametrize("path", ["../x", "/etc/x", "a/../../x", "", "c:x", "a\\..\\x"])
def test_a_name_that_leads_out_of_the_folder_is_refused(path: str, tmp_path: Path) -> None:
    server = FileServer(CONTENT, path=path)
    with pytest.raises(DownloadError, match="leads out"):
        margin(server).snapshots.download(7, tmp_path / "inner")
    assert server.ranges == []


def test_the_progress_of_each_file_is_told(tmp_path: Path, slept: list[float]) -> None:
    told: list[tuple[str, int, int]] = []
    server = FileServer(CONTENT, cut_after=6000)
    margin(server).snapshots.download(7, tmp_path, progress=lambda *said: told.append(said))
    assert told[-1] == (str(FILE), len(CONTENT), len(CONTENT))
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)


def test_the_other_client_resumes_too(tmp_path: Path, slept: list[float]) -> None:
    async def bring() -> None:
        async with async_margin(FileServer(CONTENT, cut_after=950)) as client:
            await client.snapshots.download(7, tmp_path)

    asyncio.run(bring())
    assert (tmp_path / FILE).read_bytes() == CONTENT


@given(st.binary(max_size=3000), st.lists(st.integers(0, 1500), max_size=6))
def test_wherever_it_is_cut_the_bytes_are_right(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, cuts: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("cuts")
    server = FileServer(content)
    for cut in cuts:
        server.cut_after = cut
        try:
            margin(server, retries=0).snapshots.download(7, folder)
        except MarginError:
            continue
    server.cut_after = None
    margin(server, retries=0).snapshots.download(7, folder)
    assert (folder / FILE).read_bytes() == content


def snapshot(state: str = "ready", **more: Any) -> httpx.Response:
    whole = {"id": 7, "name": "x", "state": state, "error": "", "formats": [], "files": [], "sha256": "0"}
    return httpx.Response(200, json={**whole, **more})


def written(name: str) -> dict[str, Any]:
    return {"files": [{"path": f"formats/{name}/train.jsonl", "format": name, "split": "train"}]}


def test_a_new_snapshot_is_waited_for_with_its_formats(slept: list[float]) -> None:
    waits = [snapshot("waiting", formats=["axolotl"]), snapshot("writing", formats=["axolotl"])]
    server = Answers(
        *waits, snapshot(formats=["axolotl"]), snapshot(formats=["axolotl"], **written("axolotl"))
    )
    made = margin(server).snapshots.create(batches=[1, 2], formats=["axolotl"])
    assert json.loads(server.asked[0].content) == {"formats": ["axolotl"], "recipe": {"batches": [1, 2]}}
    assert made.files[0].format == "axolotl"
    assert len(slept) == 2


def test_a_snapshot_that_fails_says_why() -> None:
    server = Answers(snapshot("waiting"), snapshot("failed", error="The disk is full."))
    with pytest.raises(MarginError, match=r"Snapshot x is failed\. The disk is full\."):
        margin(server).snapshots.create()


def test_a_format_that_is_given_up_is_not_waited_for() -> None:
    asked = snapshot(formats=["axolotl"])
    server = Answers(asked, snapshot(error="The format axolotl could not be written."))
    with pytest.raises(MarginError, match="axolotl could not be written"):
        margin(server).snapshots.add_formats(7, ["axolotl"])


def test_a_name_stands_for_its_newest_version_that_is_ready() -> None:
    rows = [{"id": 9, "version": 3, "state": "writing"}, {"id": 8, "version": 2, "state": "ready"}]
    page = httpx.Response(
        200, json={"results": [*rows, {"id": 7, "version": 1, "state": "withdrawn"}], "next": None}
    )
    server = Answers(page, snapshot())
    margin(server).snapshots.find("Week 1")
    assert [str(request.url.path) for request in server.asked] == ["/api/v1/snapshots", "/api/v1/snapshots/8"]
    assert server.asked[0].url.params["name"] == "Week 1"


def test_a_name_of_which_nothing_is_ready_says_what_there_is() -> None:
    page = httpx.Response(200, json={"results": [{"id": 7, "version": 1, "state": "failed"}], "next": None})
    with pytest.raises(NotFoundError, match="No snapshot named 'x' is ready: version 1 is failed"):
        margin(Answers(page)).snapshots.find("x")
