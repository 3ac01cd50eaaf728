"""The doors of fine-tuning: every mixture of sources, and what its process is given of each."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.test import Client

from annotation.core.states import SnapshotState
from annotation.errors import NotFoundError
from annotation.models import Batch, Comparison, Response, Snapshot, User
from annotation.services.batches import seal_batch
from annotation.services.snapshots import create_snapshot
from tests.factories import make_judgment, make_policy
from training.core.spec import SPECS, RunKind
from training.core.states import RunState
from training.core.targets import response_key
from training.errors import InvalidSpecError, NotReadyError
from training.forms import FORMS
from training.models import PolicyVersion, Run
from training.services import start
from training.services.conversations import conversations_at, keep_conversations
from training.services.kinds import finetune

pytestmark = pytest.mark.django_db

TALK = {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yo"}]}
LINE = json.dumps(TALK).encode() + b"\n"


def succeeded(kind: RunKind, *files: str) -> Run:
    """A run that wrote these files."""
    run = Run.objects.create(kind=kind, state=RunState.SUCCEEDED)
    (run.folder / "output").mkdir(parents=True)
    for name in files:
        (run.folder / "output" / name).write_text("")
    return run


@pytest.fixture
def base(home: Path) -> PolicyVersion:
    (home / "policies/V0").mkdir(parents=True)
    return make_policy("V0", path="policies/V0")


@pytest.fixture
def snapshot(week: Batch, ada: User, pairs: Callable[..., list[Comparison]]) -> Snapshot:
    pairs(2)
    make_judgment(ada)
    make_judgment(ada)
    seal_batch(batch=week)
    made = create_snapshot(batches=[week])
    made.refresh_from_db()
    return made


def started(base: PolicyVersion, **sources: Any) -> Run:
    return start.start_finetune(name="V1", base=base, params={}, **sources)


# What is asked for


def test_without_a_source_there_is_nothing_to_learn(base: PolicyVersion) -> None:
    with pytest.raises(NotReadyError, match="nothing to learn from"):
        started(base)


@pytest.mark.parametrize("kind", [RunKind.GATT, RunKind.DISTILL, RunKind.SELF_CHAT])
def test_dialogues_that_a_run_made_are_a_source(base: PolicyVersion, kind: RunKind) -> None:
    made = succeeded(kind, "targets.jsonl")
    run = started(base, targets=[made])
    assert run.inputs == {"name": "V1", "base": base.pk, "targets": [made.pk]}
    assert finetune.prepare(run)["lines"] == [str(made.folder / "output" / "targets.jsonl")]


def test_a_run_that_makes_nothing_to_learn_or_is_at_work_is_refused(base: PolicyVersion) -> None:
    with pytest.raises(NotReadyError, match="no winners and nothing else to learn"):
        started(base, targets=[succeeded(RunKind.PPO)])
    working = Run.objects.create(kind=RunKind.GATT, state=RunState.QUEUED)
    with pytest.raises(NotReadyError, match="that succeeded"):
        started(base, targets=[working])


def test_a_snapshot_that_is_not_ready_is_refused(base: PolicyVersion, snapshot: Snapshot) -> None:
    snapshot.state = SnapshotState.WITHDRAWN
    with pytest.raises(NotReadyError, match="learn from one that is ready"):
        started(base, snapshot=snapshot)


def test_conversations_that_nobody_brought_are_refused(base: PolicyVersion) -> None:
    for name in ("0" * 64, "../../etc/passwd"):
        with pytest.raises(NotFoundError, match="Bring their file again"):
            started(base, conversations=name)


# What the process is given


def test_the_bank_of_the_newest_selection_stands_for_all_rounds(base: PolicyVersion) -> None:
    old, new = succeeded(RunKind.REJECTION_SAMPLE, "winners.jsonl"), succeeded(RunKind.REJECTION_SAMPLE)
    run = started(base, selection=new)
    run.inputs["selections"] = [old.pk, new.pk]
    files = [str(one.folder / "output" / "winners.jsonl") for one in (old, new)]
    assert finetune.prepare(run)["targets"] == files  # an earlier version wrote no bank
    bank = new.folder / "output" / "bank.jsonl"
    bank.write_text("")
    assert finetune.prepare(run)["targets"] == [str(bank)]
    run.params["every_iteration"] = False
    run.inputs["selections"] = [new.pk]
    assert finetune.prepare(run)["targets"] == files[1:]


def test_of_a_snapshot_the_process_learns_which_responses_were_cut(snapshot: Snapshot) -> None:
    assert list(finetune._cut_responses(snapshot)) == []
    cut = Response.objects.order_by("pk")[1]
    Response.objects.filter(pk=cut.pk).update(finish_reason="length")
    assert list(finetune._cut_responses(snapshot)) == [response_key(cut.dialogue.key, cut.text)]


def test_all_sources_go_together(base: PolicyVersion) -> None:
    kept = keep_conversations(source=io.BytesIO(LINE))
    selection = succeeded(RunKind.REJECTION_SAMPLE, "winners.jsonl")
    chat = succeeded(RunKind.SELF_CHAT, "targets.jsonl")
    run = started(base, selection=selection, targets=[chat], conversations=kept.sha256)
    given = finetune.prepare(run)
    assert given.keys() == {"name", "policy", "targets", "lines", "conversations"}
    assert json.loads(Path(given["conversations"]).read_bytes()) == TALK


# Conversations that are kept


@pytest.mark.parametrize(
    "content",
    [LINE, gzip.compress(LINE), b"[" + LINE + b"]", b"\xef\xbb\xbf" + LINE],
    ids=["plain", "gzip", "array", "bom"],
)
def test_conversations_are_kept_under_the_hash_of_what_they_say(content: bytes) -> None:
    kept = keep_conversations(source=io.BytesIO(content))
    assert kept.count == 1
    assert kept == keep_conversations(source=io.BytesIO(LINE))
    assert json.loads(conversations_at(kept.sha256).read_bytes()) == TALK


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (LINE + b"{\n" + b'{"messages": []}\n', "line 2: this is not JSON; line 3: messages is empty."),
        (b"", "The file holds no conversation."),
        (LINE + b"\xff\n", "line 2"),
        (b"PK\x03\x04", "zip archive"),
    ],
)
def test_a_file_is_kept_whole_or_not_at_all(home: Path, content: bytes, reason: str) -> None:
    with pytest.raises(InvalidSpecError, match="Nothing was kept") as refused:
        keep_conversations(source=io.BytesIO(content))
    assert reason in refused.value.message
    assert refused.value.errors
    assert list((home / "conversations").iterdir()) == []


def test_of_very_many_bad_lines_the_first_are_named() -> None:
    with pytest.raises(InvalidSpecError, match="and more") as refused:
        keep_conversations(source=io.BytesIO(b"{\n" * 1000))
    assert len(refused.value.errors) == 20


def test_a_file_beyond_the_limit_is_refused(settings: Any) -> None:
    settings.IMPORT_LIMIT = 100
    with pytest.raises(InvalidSpecError, match="Nothing was kept"):
        keep_conversations(source=io.BytesIO(LINE * 100))


# The page, the API and the command


def values(**given: Any) -> dict[str, Any]:
    """What a browser would send of the form as it is, but for `given`."""
    form = FORMS[RunKind.FINETUNE]()
    shown = {name: form[name].value() for name in form.fields}
    return {n: value for n, value in (shown | given).items() if value is not None and value is not False}


def test_a_file_that_a_browser_brings_is_learnt(rosa: User, base: PolicyVersion) -> None:
    form = FORMS[RunKind.FINETUNE](
        values(base=base.pk, name="V1"), {"file": SimpleUploadedFile("own.jsonl", LINE)}
    )
    assert form.is_valid(), form.errors
    run = form.start(rosa)
    assert json.loads(conversations_at(run.inputs["conversations"]).read_bytes()) == TALK


def test_another_run_like_it_names_the_same_sources(rosa: User, base: PolicyVersion) -> None:
    kept = keep_conversations(source=io.BytesIO(LINE))
    chat = succeeded(RunKind.SELF_CHAT, "targets.jsonl")
    run = started(base, targets=[chat], conversations=kept.sha256)
    initial = FORMS[RunKind.FINETUNE].initial_from(run)
    form = FORMS[RunKind.FINETUNE](values(**{k: v for k, v in initial.items() if k != "name"}, name="V2"))
    assert form.is_valid(), form.errors
    assert form.start(rosa).inputs == run.inputs | {"name": "V2"}


def test_the_api_takes_every_source_by_name(
    as_user: Callable[[User], Client], rosa: User, base: PolicyVersion, snapshot: Snapshot
) -> None:
    Snapshot.objects.update(state=SnapshotState.READY)
    kept = keep_conversations(source=io.BytesIO(LINE))
    gatt = succeeded(RunKind.GATT, "targets.jsonl")
    body = {
        "kind": "finetune",
        "name": "V1",
        "base": "V0",
        "targets": [str(gatt.uid)],
        "snapshot": snapshot.pk,
    }
    answer = as_user(rosa).post(
        "/api/v1/runs", body | {"conversations": kept.sha256}, content_type="application/json"
    )
    assert answer.status_code == 201, answer.content
    run = Run.objects.get(uid=answer.json()["uid"])
    assert run.inputs["targets"] == [gatt.pk]
    assert (run.inputs["snapshot"], run.inputs["conversations"]) == (snapshot.pk, kept.sha256)


@pytest.mark.parametrize("name", ["/etc/passwd", "own.jsonl"])
def test_the_api_reads_no_file_by_its_path(
    as_user: Callable[[User], Client], rosa: User, base: PolicyVersion, name: str
) -> None:
    body = {"kind": "finetune", "name": "V1", "base": "V0", "conversations": name}
    answer = as_user(rosa).post("/api/v1/runs", body, content_type="application/json")
    assert answer.status_code == 422
    assert not Run.objects.exists()


def test_the_command_prints_the_hash_and_refuses_a_bad_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "own.jsonl"
    file.write_bytes(LINE)
    call_command("add_conversations", file)
    out, err = capsys.readouterr()
    assert conversations_at(out.strip()).is_file()
    assert err == "1 conversations are kept.\n"
    file.write_bytes(b"{")
    with pytest.raises(CommandError, match="line 1: this is not JSON"):
        call_command("add_conversations", file)
    with pytest.raises(CommandError, match="There is no file"):
        call_command("add_conversations", tmp_path / "none")


def test_every_parameter_has_its_default() -> None:
    spec = SPECS[RunKind.FINETUNE]()
    assert spec.model_dump() == {
        "recipe": "lora",
        "epochs": 2,
        "learning_rate": 2e-4,
        "examples_per_step": 16,
        "weight_decay": 0.1,
        "max_length": 1024,
        "tokens_per_batch": 0,
        "gradient_checkpointing": "auto",
        "lora_rank": 8,
        "every_iteration": True,
    }
