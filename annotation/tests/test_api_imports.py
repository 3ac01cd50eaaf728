"""Files that come in through the API: what is taken, what is refused, and what is said of it."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from pytest_django import Settings

from annotation.core.formats.prompt_sets import PROMPT_SETS
from annotation.core.formats.registry import FORMATS
from annotation.core.scopes import Scope
from annotation.models import Batch, Judgment, Prompt, User
from annotation.services.batches import seal_batch
from annotation.services.tokens import make_token

pytestmark = pytest.mark.django_db

AsUser = Callable[[User], Client]
Send = Callable[..., Any]

LINES = "application/x-ndjson"
GOOD = {
    "prompt": "Why?",
    "response_a": "Because.",
    "response_b": "No idea.",
    "choice": "a",
    "focus": "helpfulness",
}
TASK = {
    "id": 1,
    "data": {"prompt": "Name a bird.", "answer1": "Wren.", "answer2": "Bat."},
    "annotations": [
        {"completed_by": 3, "result": [{"from_name": "c", "type": "pairwise", "value": {"selected": "left"}}]}
    ],
}
MAPPING = {
    "prompt": "prompt",
    "response_a": "answer1",
    "response_b": "answer2",
    "choice": "c",
    "values": {"left": "a", "right": "b"},
}


def lines(*rows: Any) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


@pytest.fixture
def send(as_user: AsUser, rosa: User) -> Send:
    """Rosa posts a body with parameters."""
    client = as_user(rosa)

    def post(body: Any, *, kind: str = LINES, headers: dict[str, str] | None = None, **given: Any) -> Any:
        given = {"format": "native", **given}
        return client.post(
            f"/api/v1/imports?{urlencode(given)}", body, content_type=kind, headers=headers or {}
        )

    return post


def reasons(answer: Any) -> dict[str, str]:
    assert answer.status_code == 422, answer.content
    return {str(e.get("field", e.get("line"))): e["reason"] for e in answer.json()["errors"]}


@pytest.fixture(autouse=True)
def nothing_stays(home: Path) -> Iterator[None]:
    """What comes through the API is not kept."""
    yield
    assert list((home / "imports").glob("*")) == []


def test_a_file_comes_in_whole(send: Send, rosa: User) -> None:
    answer = send(lines(GOOD, {**GOOD, "prompt": "How?"}), name="../two rows.jsonl")
    assert answer.status_code == 201, answer.content
    said = answer.json()
    assert (said["judgments"], said["comparisons"], said["dry_run"]) == (2, 2, False)
    assert said["batch"] == {"number": 1, "name": "Week 1"}
    event = Batch.objects.get().events.latest("pk")
    assert (event.by, event.detail["imported"]) == (rosa, "two rows.jsonl")


def test_the_same_file_again_adds_nothing(send: Send) -> None:
    send(lines(GOOD))
    said = send(lines(GOOD)).json()
    assert (said["judgments"], said["already"], Judgment.objects.count()) == (0, 1, 1)


def test_a_dry_run_stores_nothing(send: Send) -> None:
    answer = send(lines(GOOD), dry_run="true")
    assert (answer.status_code, answer.json()["judgments"], answer.json()["batch"]) == (200, 1, None)
    assert not Batch.objects.exists()


def test_bad_rows_refuse_the_file_and_the_first_thousand_are_listed(send: Send) -> None:
    answer = send(lines(GOOD, *[{**GOOD, "choice": "c"}] * 1200))
    assert len(answer.json()["errors"]) == 1000
    assert reasons(answer)["2"] == "choice is 'c': use one of a, b, tie"
    assert answer.json()["detail"].startswith("1,200 rows cannot be imported")
    assert not Judgment.objects.exists()


def test_bad_rows_may_be_left_out(send: Send) -> None:
    answer = send(lines(GOOD, {**GOOD, "choice": "c"}), skip_invalid="true")
    said = answer.json()
    assert (answer.status_code, said["judgments"], said["bad_rows_count"]) == (201, 1, 1)
    assert said["bad_rows"] == [{"line": 2, "reason": "choice is 'c': use one of a, b, tie"}]


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", json.dumps([GOOD], indent=1).encode()),
        ("application/gzip", gzip.compress(lines(GOOD))),
        ("application/octet-stream", lines(GOOD)),
    ],
)
def test_arrays_and_packed_files_are_taken(send: Send, kind: str, body: bytes) -> None:
    assert send(body, kind=kind).json()["judgments"] == 1


def test_parquet_is_taken(send: Send, tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    rows = [
        {"prompt": [{"role": "user", "content": "Why?"}], "chosen": "So.", "rejected": "No.", "margin": 3.0}
    ]
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "rows.parquet", compression="zstd")
    answer = send(
        (tmp_path / "rows.parquet").read_bytes(),
        kind="application/vnd.apache.parquet",
        format="trl-preference",
        mapping=json.dumps({"margin_table": "large"}),
    )
    assert answer.status_code == 201, answer.content
    assert Judgment.objects.get().grade == "significantly_better"


def test_a_form_with_one_file_is_taken(as_user: AsUser, rosa: User) -> None:
    file = SimpleUploadedFile("rows.jsonl", lines(GOOD))
    answer = as_user(rosa).post("/api/v1/imports?format=native", {"file": file})
    assert answer.status_code == 201, answer.content
    assert Batch.objects.get().events.latest("pk").detail["imported"] == "rows.jsonl"


@pytest.mark.parametrize("files", [0, 2])
def test_a_form_without_a_file_or_with_two_is_refused(as_user: AsUser, rosa: User, files: int) -> None:
    sent = {f"file{n}": SimpleUploadedFile("rows.jsonl", lines(GOOD)) for n in range(files)}
    answer = as_user(rosa).post("/api/v1/imports?format=native", sent)
    assert reasons(answer) == {"file": f"{files} files were sent."}


def test_what_is_no_file_is_refused_with_what_to_send(send: Send) -> None:
    answer = send("a=b", kind="application/x-www-form-urlencoded")
    assert answer.status_code == 415
    assert "application/x-ndjson" in answer.json()["detail"]


@pytest.mark.parametrize("told", [True, False])
def test_a_file_beyond_the_limit_is_refused(send: Send, settings: Settings, told: bool) -> None:
    settings.IMPORT_LIMIT = 100
    headers = {} if told else {"Content-Length": "50"}
    answer = send(lines(*[GOOD] * 5), headers=headers)
    # Told a shorter length, the server reads no further, and the last line is cut.
    assert answer.status_code == (413 if told else 422)


def test_a_small_file_that_unpacks_beyond_the_limit_is_refused(send: Send, settings: Settings) -> None:
    bomb = gzip.compress(b"\n" * 200_000)
    settings.IMPORT_LIMIT = 100_000
    assert len(bomb) < 1000
    answer = send(bomb, kind="application/gzip")
    assert "longer than 100,000 bytes" in answer.json()["detail"]


def test_nothing_is_fetched_by_an_address(send: Send) -> None:
    answer = send(b"", url="http://169.254.169.254/latest")
    assert "Unknown" in reasons(answer)["url"]


@pytest.mark.parametrize(
    "given", [{"format": "csv"}, {"dry_run": "yes"}, {"ties": "keep"}, {"batch": "Week 1"}, {"batch": "-1"}]
)
def test_a_parameter_that_cannot_be_is_named(send: Send, given: dict[str, str]) -> None:
    assert reasons(send(lines(GOOD), **given)).keys() == given.keys()


def test_the_batch_may_be_named_by_number_or_be_a_new_one(send: Send, week: Batch) -> None:
    assert send(lines(GOOD), batch=week.number).json()["batch"]["name"] == week.name
    made = send(lines({**GOOD, "prompt": "How?"}), batch="new").json()["batch"]
    assert made["number"] == week.number + 1
    # Annotators work on one week at a time.
    assert Batch.objects.get(number=made["number"]).state == "planned"


def test_a_batch_that_is_absent_or_sealed_takes_nothing(send: Send, week: Batch) -> None:
    assert send(lines(GOOD), batch=99).status_code == 404
    seal_batch(batch=week)
    answer = send(lines(GOOD), batch=week.number)
    assert (answer.status_code, answer.json()["code"]) == (409, "batch-sealed")
    assert not Judgment.objects.exists()


def test_free_names_need_a_mapping_and_the_answer_proposes_one(send: Send) -> None:
    reason = reasons(send(lines(TASK), format="label-studio"))["mapping"]
    proposed = json.loads(reason.partition("Probably: ")[2])
    assert proposed == {**MAPPING, "values": {"left": "a"}}
    answer = send(
        json.dumps([TASK]), kind="application/json", format="label-studio", mapping=json.dumps(MAPPING)
    )
    assert answer.json()["judgments"] == 1
    assert Batch.objects.get().events.latest("pk").detail["mapping"]["choice"] == "c"


@pytest.mark.parametrize(
    ("form", "mapping", "says"),
    [
        ("native", {"focus": "safety"}, "takes none"),
        ("axolotl", {"focus": "speed"}, "focus: "),
        ("axolotl", {"surprise": 1}, "surprise: "),
        ("label-studio", {**MAPPING, "choice": ""}, "give either choice"),
    ],
)
def test_a_mapping_that_cannot_be_is_named(send: Send, form: str, mapping: Any, says: str) -> None:
    assert says in reasons(send(lines(GOOD), format=form, mapping=json.dumps(mapping)))["mapping"]


def test_the_focus_of_a_trainers_file_is_the_one_that_is_named(send: Send) -> None:
    row = {"prompt": "Why?", "chosen": "So.", "rejected": "No."}
    send(lines(row), format="trl-preference", mapping=json.dumps({"focus": "safety"}))
    assert Judgment.objects.get().focus == "safety"


def test_a_set_of_prompts_joins_the_pool(send: Send) -> None:
    rows = lines({"prompt": "Why?"}, {"prompt": [{"role": "user", "content": "How?"}]}, {"prompt": 1})
    assert reasons(send(rows, format="trl-prompt")) == {"3": "prompt must be text, not a number"}
    assert not Prompt.objects.exists()
    said = send(rows, format="trl-prompt", skip_invalid="true", dry_run="true").json()
    assert (said["prompts"], said["dry_run"], Prompt.objects.count()) == (2, True, 0)
    said = send(rows, format="trl-prompt", skip_invalid="true").json()
    assert (said["prompts"], said["bad_rows_count"]) == (2, 1)
    assert set(Prompt.objects.values_list("text", "in_pool")) == {("Why?", True), ("How?", True)}


def test_a_request_that_names_itself_is_done_once(send: Send) -> None:
    headers = {"Idempotency-Key": str(uuid4())}
    first, second = (send(lines(GOOD), headers=headers) for _ in range(2))
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json()
    assert second["Idempotency-Replayed"] == "true"
    other = send(lines({**GOOD, "prompt": "How?"}), headers=headers)
    assert other.json()["code"] == "idempotency-key-reused"


def test_a_refused_file_may_be_mended_and_sent_under_its_name_again(send: Send) -> None:
    headers = {"Idempotency-Key": str(uuid4())}
    assert send(lines({**GOOD, "choice": "c"}), headers=headers).status_code == 422
    assert send(lines(GOOD), headers=headers).status_code == 201


def test_only_researchers_import(as_user: AsUser, ada: User, otto: User) -> None:
    assert (
        as_user(ada).post("/api/v1/imports?format=native", lines(GOOD), content_type=LINES).status_code == 403
    )
    assert Client().post("/api/v1/imports?format=native", lines(GOOD), content_type=LINES).status_code == 401


@pytest.mark.parametrize(("scope", "status"), [(Scope.DATA_READ, 403), (Scope.DATA_WRITE, 201)])
def test_a_token_needs_the_scope(rosa: User, scope: Scope, status: int) -> None:
    _, text = make_token(user=rosa, name="importer", scopes=[scope])
    headers = {"Authorization": f"Bearer {text}"}
    answer = Client().post("/api/v1/imports?format=native", lines(GOOD), content_type=LINES, headers=headers)
    assert answer.status_code == status, answer.content


def test_the_formats_are_listed_with_what_their_fields_become(as_user: AsUser, rosa: User) -> None:
    found = as_user(rosa).get("/api/v1/imports/formats").json()["results"]
    assert [one["name"] for one in found] == [*FORMATS, *PROMPT_SETS]
    by_name = {one["name"]: one for one in found}
    assert by_name["native"]["mapping_schema"] is None
    assert {"prompt", "values"} <= by_name["label-studio"]["mapping_schema"]["properties"].keys()
    assert by_name["trl-prompt"]["holds"] == "prompts"
    assert by_name["tulu"]["fields"][0] == {"in_the_file": "`prompt`", "becomes": "the only user turn"}
