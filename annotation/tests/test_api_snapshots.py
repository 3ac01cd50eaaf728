"""Datasets for those who train on them. Rosa researches; Ada annotates; a stranger is signed out."""

from __future__ import annotations

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
from annotation.services.snapshots import create_snapshot
from tests.factories import make_judgment

Pairs = Callable[..., list[Comparison]]
AsUser = Callable[[User], Client]
LIST = "/api/v1/snapshots"


@pytest.fixture
def snapshot(ada: User, week: Batch, pairs: Pairs) -> Snapshot:
    pairs(2)
    for _ in range(2):
        make_judgment(ada)
    return create_snapshot(batches=[seal_batch(batch=week)], name='Week 1 "é"\r\n../x')


def content(answer: Any) -> bytes:
    return b"".join(answer.streaming_content)


def test_rosa_sees_every_snapshot_with_its_counts(rosa: User, snapshot: Snapshot, as_user: AsUser) -> None:
    answer = as_user(rosa).get(LIST).json()
    (row,) = answer["results"]
    assert (row["rows"], row["sha256"], row["batches"]) == (2, snapshot.sha256, ["Week 1"])
    assert row["download"].endswith(f"/api/v1/snapshots/{snapshot.pk}/download")
    assert "path" not in row
    assert as_user(rosa).get(f"{LIST}/{snapshot.pk}").json() == row


def test_pages_follow_one_another(rosa: User, snapshot: Snapshot, as_user: AsUser) -> None:
    Snapshot.objects.bulk_create(
        Snapshot(name=f"S{i}", sha256=f"{i:064x}", rows=0, path="snapshots/none") for i in range(60)
    )
    client = as_user(rosa)
    first = client.get(LIST).json()
    second = client.get(first["next"]).json()
    names = [row["name"] for row in first["results"] + second["results"]]
    assert (len(names), len(set(names)), second["next"]) == (61, 61, None)


@pytest.mark.parametrize("cursor", ["x", "cD0x'--", "cD1hYmM=", "cD05OTk5OTk5OTk5OTk5OTk5OTk5OTk5"])
def test_a_wrong_cursor_is_a_problem(rosa: User, snapshot: Snapshot, as_user: AsUser, cursor: str) -> None:
    answer = as_user(rosa).get(LIST, {"cursor": cursor})
    assert answer.status_code in (200, 404)


def test_ada_is_told_that_she_may_not_list_and_that_there_is_no_such_snapshot(
    ada: User, snapshot: Snapshot, as_user: AsUser
) -> None:
    client = as_user(ada)
    assert client.get(LIST).json()["code"] == "forbidden"
    for path in (f"{LIST}/{snapshot.pk}", f"{LIST}/{snapshot.pk}/download", f"{LIST}/999"):
        assert (client.get(path).status_code, client.get(path).json()["code"]) == (404, "not-found")


def test_a_stranger_gets_nothing(snapshot: Snapshot, client: Client) -> None:
    for path in (LIST, f"{LIST}/{snapshot.pk}", f"{LIST}/{snapshot.pk}/download"):
        assert client.get(path).status_code == 401


def test_the_download_is_the_file_with_its_hash(rosa: User, snapshot: Snapshot, as_user: AsUser) -> None:
    client = as_user(rosa)
    answer = client.get(f"{LIST}/{snapshot.pk}/download")
    assert content(answer).count(b"\n") == 2
    assert answer["ETag"] == f'"{snapshot.sha256}"'
    assert answer["Content-Disposition"] == 'attachment; filename="week-1-e-x.jsonl"'
    assert answer["X-Content-Type-Options"] == "nosniff"
    again = client.get(f"{LIST}/{snapshot.pk}/download", headers={"If-None-Match": answer["ETag"]})
    assert (again.status_code, again.content, again["ETag"]) == (304, b"", answer["ETag"])


@pytest.mark.parametrize("path", ["../../etc", "/etc", "snapshots/gone"])
def test_a_file_outside_the_house_or_gone_is_not_found(
    rosa: User, snapshot: Snapshot, as_user: AsUser, path: str
) -> None:
    Snapshot.objects.filter(pk=snapshot.pk).update(path=path)
    answer = as_user(rosa).get(f"{LIST}/{snapshot.pk}/download")
    assert (answer.status_code, answer.json()["code"]) == (404, "not-found")


def test_reading_alone_is_allowed(rosa: User, snapshot: Snapshot, as_user: AsUser) -> None:
    answer = as_user(rosa).post(LIST, {}, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (405, "method-not-allowed")


def test_the_schema_names_every_address_and_is_for_those_who_are_signed_in(
    ada: User, as_user: AsUser
) -> None:
    text = as_user(ada).get("/api/v1/schema").content.decode()
    for path in ("/api/v1/snapshots:", "/api/v1/snapshots/{id}:", "/api/v1/snapshots/{id}/download:"):
        assert path in text


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
