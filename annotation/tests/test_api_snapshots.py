"""Datasets for those who train on them. Rosa researches; Ada annotates; a stranger is signed out."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from typing import Any

import pytest
import structlog
from django.http import Http404
from django.test import Client
from rest_framework.exceptions import ParseError, Throttled, ValidationError

from annotation.api.problems import problem_of
from annotation.models import Batch, Comparison, Snapshot, User
from annotation.services.batches import seal_batch
from annotation.services.snapshots import create_snapshot, tend_snapshot
from tests.factories import make_judgment

Pairs = Callable[..., list[Comparison]]
AsUser = Callable[[User], Client]
LIST = "/api/v1/snapshots"
TRAIN = "data/train.jsonl"


@pytest.fixture
def snapshot(ada: User, week: Batch, pairs: Pairs) -> Snapshot:
    pairs(2)
    for _ in range(2):
        make_judgment(ada)
    return create_snapshot(batches=[seal_batch(batch=week)], name='Week 1 "é"\r\n../x')


def content(answer: Any) -> bytes:
    return b"".join(answer.streaming_content)


def file_place(snapshot: Snapshot, path: str = TRAIN) -> str:
    return f"{LIST}/{snapshot.pk}/files/{path}"


def test_rosa_sees_every_snapshot_with_its_counts(rosa: User, snapshot: Snapshot, as_user: AsUser) -> None:
    client = as_user(rosa)
    (row,) = client.get(LIST).json()["results"]
    assert (row["rows"], row["sha256"], row["batches"]) == (2, snapshot.sha256, [1])
    assert "path" not in row
    whole = client.get(f"{LIST}/{snapshot.pk}").json()
    files = {file["path"]: file for file in whole.pop("files")}
    assert whole == row
    assert files[TRAIN]["rows"] + files["data/test.jsonl"]["rows"] == 2
    assert files[TRAIN]["url"].endswith(file_place(snapshot))


def test_rosa_asks_for_a_snapshot_and_is_told_where_it_will_be(
    rosa: User, ada: User, week: Batch, pairs: Pairs, as_user: AsUser
) -> None:
    pairs(2)
    make_judgment(ada)
    seal_batch(batch=week)
    client = as_user(rosa)
    body = {"recipe": {"up_to": 1, "margin_table": "large"}, "formats": ["trl-sft"], "name": "First"}
    answer = client.post(LIST, body, content_type="application/json")
    assert answer.status_code == 202, answer.json()
    row = answer.json()
    assert (row["state"], row["name"], row["formats"]) == ("waiting", "First", ["trl-sft"])
    assert answer["Location"].endswith(f"{LIST}/{row['id']}")
    again = client.post(
        LIST, {"recipe": {"batches": [1], "margin_table": "large"}}, content_type="application/json"
    )
    assert again.json()["id"] == row["id"]
    tend_snapshot(pk=row["id"])
    ready = client.get(answer["Location"]).json()
    assert ready["state"] == "ready"
    assert "formats/trl-sft/train.jsonl" in {file["path"] for file in ready["files"]}


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"recipe": {"batches": [9]}}, 409, "batches"),
        ({"recipe": {"batches": [0]}}, 422, "recipe"),
        ({"recipe": {"wrong": 1}}, 422, "recipe"),
        ({"recipe": {"margin_table": "own"}}, 422, "recipe"),
        ({"recipe": {"without_annotators": ["annotator-nobody"]}}, 409, "annotators"),
        ({"formats": ["csv"]}, 409, "formats"),
        ({"colour": "red"}, 422, "colour"),
        ({"name": "a\nb"}, 422, "name"),
    ],
)
def test_what_cannot_be_written_is_refused_by_its_field(
    rosa: User, snapshot: Snapshot, as_user: AsUser, body: dict[str, Any], status: int, field: str
) -> None:
    answer = as_user(rosa).post(LIST, body, content_type="application/json")
    assert answer.status_code == status, answer.json()
    assert [error["field"].partition(".")[0] for error in answer.json()["errors"]] == [field]
    assert Snapshot.objects.count() == 1


def test_the_list_is_narrowed_by_a_closed_list_of_words(
    rosa: User, snapshot: Snapshot, as_user: AsUser
) -> None:
    client = as_user(rosa)
    assert len(client.get(LIST, {"state": "ready", "name": snapshot.name}).json()["results"]) == 1
    assert not client.get(LIST, {"state": "failed"}).json()["results"]
    assert client.get(LIST, {"sha256__startswith": "a"}).status_code == 422


def test_ada_is_told_that_she_may_not_list_and_that_there_is_no_such_snapshot(
    ada: User, snapshot: Snapshot, as_user: AsUser
) -> None:
    client = as_user(ada)
    for path in (LIST, f"{LIST}/{snapshot.pk}", file_place(snapshot), f"{LIST}/999"):
        assert client.get(path).json()["code"] == "forbidden"


def test_a_stranger_gets_nothing(snapshot: Snapshot, client: Client) -> None:
    for path in (LIST, f"{LIST}/{snapshot.pk}", file_place(snapshot)):
        assert client.get(path).status_code == 401


def test_the_download_is_the_file_with_its_hash(rosa: User, snapshot: Snapshot, as_user: AsUser) -> None:
    client = as_user(rosa)
    answer = client.get(file_place(snapshot))
    data = content(answer)
    digest = hashlib.sha256(data)
    assert answer["ETag"] == f'"{digest.hexdigest()}"'
    named = f"sha-256=:{base64.b64encode(digest.digest()).decode()}:"
    assert answer["Content-Digest"] == answer["Repr-Digest"] == named
    assert answer["Content-Length"] == str(len(data))
    assert answer["Content-Disposition"] == 'attachment; filename="week-1-e-x-train.jsonl"'
    assert answer["X-Content-Type-Options"] == "nosniff"
    again = client.get(file_place(snapshot), headers={"If-None-Match": answer["ETag"]})
    assert (again.status_code, again.content, again["ETag"]) == (304, b"", answer["ETag"])
    head = client.head(file_place(snapshot))
    assert (head.status_code, head.content, head["Content-Length"]) == (200, b"", answer["Content-Length"])


def test_a_cut_download_goes_on_where_it_ended_unless_the_file_is_another(
    rosa: User, snapshot: Snapshot, as_user: AsUser
) -> None:
    client = as_user(rosa)
    whole = content(client.get(file_place(snapshot)))
    etag = f'"{hashlib.sha256(whole).hexdigest()}"'
    part = client.get(file_place(snapshot), headers={"Range": "bytes=10-", "If-Range": etag})
    assert (part.status_code, content(part)) == (206, whole[10:])
    assert part["Content-Range"] == f"bytes 10-{len(whole) - 1}/{len(whole)}"
    assert "Content-Digest" not in part
    other = client.get(file_place(snapshot), headers={"Range": "bytes=10-", "If-Range": '"another"'})
    assert (other.status_code, content(other)) == (200, whole)
    behind = client.get(file_place(snapshot), headers={"Range": f"bytes={len(whole)}-"})
    assert (behind.status_code, behind.json()["code"]) == (416, "range-not-satisfiable")
    assert behind["Content-Range"] == f"bytes */{len(whole)}"


@pytest.mark.parametrize(
    "path",
    [
        "../../../db.sqlite3",
        "%2e%2e/%2e%2e/db.sqlite3",
        "data/../../x",
        "/etc/passwd",
        "data\\train.jsonl",
        "data/train.jsonl%00",
        "data",
        "",
    ],
)
def test_no_path_leads_out_of_a_snapshot(rosa: User, snapshot: Snapshot, as_user: AsUser, path: str) -> None:
    assert as_user(rosa).get(file_place(snapshot, path)).status_code == 404


@pytest.mark.parametrize("path", ["../../etc", "/etc", "gone"])
def test_a_folder_outside_the_store_or_gone_is_not_found(
    rosa: User, snapshot: Snapshot, as_user: AsUser, path: str
) -> None:
    Snapshot.objects.filter(pk=snapshot.pk).update(path=path)
    answer = as_user(rosa).get(file_place(snapshot))
    assert (answer.status_code, answer.json()["code"]) == (404, "not-found")


def test_a_withdrawn_version_refuses_its_files_and_names_the_new_one(
    rosa: User, ada: User, snapshot: Snapshot, as_user: AsUser
) -> None:
    client = as_user(rosa)
    body = {"annotators": [ada.pseudonym], "reason": "Asked to be left out."}
    answer = client.post(f"{LIST}/{snapshot.pk}/withdrawals", body, content_type="application/json")
    assert answer.status_code == 202, answer.json()
    new = answer.json()
    assert (new["version"], new["parent"], new["reason"]) == (2, snapshot.pk, "Asked to be left out.")
    gone = client.get(file_place(snapshot))
    assert (gone.status_code, gone.json()["code"]) == (410, "withdrawn")
    assert f"snapshot {new['id']}" in gone.json()["detail"]
    tend_snapshot(pk=new["id"])
    changes = client.get(f"{LIST}/{new['id']}/changes", {"since": snapshot.pk}).json()
    assert (changes["added"], changes["changed"], changes["dropped"]) == (0, 0, 2)
    assert len(changes["first"]["dropped"]) == 2


def test_an_answer_to_be_written_has_no_files_yet(rosa: User, snapshot: Snapshot, as_user: AsUser) -> None:
    Snapshot.objects.filter(pk=snapshot.pk).update(state="writing")
    assert as_user(rosa).get(file_place(snapshot)).status_code == 409


def test_the_schema_names_every_address(ada: User, as_user: AsUser) -> None:
    text = as_user(ada).get("/api/v1/schema").content.decode()
    for path in ("", "/{id}", "/{id}/files/{path}", "/{id}/changes", "/{id}/formats", "/{id}/withdrawals"):
        assert f"/api/v1/snapshots{path}:" in text


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (Http404(), 404, "not-found"),
        (ValidationError({"name": ["Too long."]}), 422, "invalid-request"),
        (ValidationError("No."), 422, "invalid-request"),
        (ParseError(), 400, "parse-error"),
        (Throttled(wait=3), 429, "throttled"),
    ],
)
def test_every_known_error_has_its_code(error: Exception, status: int, code: str) -> None:
    problem = problem_of(error)
    assert (problem.status, problem.code) == (status, code)
    assert set(problem.body()) == {"type", "title", "status", "detail", "code", "errors"}


def test_an_unknown_error_is_logged_and_says_nothing_of_its_cause() -> None:
    with structlog.testing.capture_logs() as lines:
        problem = problem_of(KeyError("the key under the mat"))
    assert (problem.status, problem.code) == (500, "internal")
    assert "mat" not in str(problem.body())
    assert isinstance(lines[0]["exc_info"], KeyError)
