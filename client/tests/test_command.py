"""The command `margin`: what it prints, where, and with which number it ends."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner, Result

from client.tests.fakes import TOKEN, URL, Answers, FileServer, problem
from margin_client import Margin, command
from margin_client.command.app import app

Server = Callable[[httpx.Request], httpx.Response]
Ask = Callable[..., Result]


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch) -> Ask:
    """Run the command against a server of a test."""

    def run(server: Server, *arguments: str, **options: Any) -> Result:
        def connect(url: str | None, token: str | None) -> Margin:
            return Margin(url, token, transport=httpx.MockTransport(server), retries=0)

        monkeypatch.setattr("margin_client.command.context.Margin", connect)
        environment = {"MARGIN_URL": URL, "MARGIN_TOKEN": TOKEN, "COLUMNS": "200"}
        return CliRunner().invoke(app, arguments, env=environment, **options)

    return run


def page(*rows: dict[str, Any]) -> httpx.Response:
    return httpx.Response(200, json={"results": rows, "next": None})


def test_a_list_is_a_table_for_people(ask: Ask) -> None:
    ended = ask(Answers(page({"number": 3, "name": "Week 3", "state": "open"})), "batches", "list")
    assert ended.exit_code == 0
    heading, row = ended.stdout.splitlines()
    assert heading.split()[:3] == ["number", "name", "state"]
    assert row.split() == ["3", "Week", "3", "open"]


def test_a_list_is_lines_of_json_for_machines(ask: Ask) -> None:
    rows = [{"number": 2, "name": "Wöche"}, {"number": 1, "name": "x"}]
    ended = ask(Answers(page(*rows)), "batches", "list", "--state", "sealed", "--json")
    assert [json.loads(line) for line in ended.stdout.splitlines()] == rows


def test_what_people_wrote_does_not_steer_the_terminal(ask: Ask) -> None:
    ended = ask(Answers(page({"number": 1, "name": "\x1b[2Jgone [red]x"})), "batches", "list")
    assert "\x1b" not in ended.stdout
    assert "[red]x" in ended.stdout


@pytest.mark.parametrize(
    ("status", "code"), [(422, 2), (404, 3), (401, 4), (403, 1), (409, 1), (500, 1), (503, 1)]
)
def test_an_error_is_one_line_and_a_number_of_its_kind(status: int, code: int, ask: Ask) -> None:
    ended = ask(Answers(problem(status, "That\ncannot be.")), "whoami")
    assert (ended.exit_code, ended.stdout) == (code, "")
    assert ended.stderr == "margin: That cannot be.\n"


def test_no_answer_is_a_number_of_its_own(ask: Ask) -> None:
    ended = ask(Answers(httpx.ConnectError("refused")), "whoami")
    assert ended.exit_code == 5
    assert "does not answer: refused" in ended.stderr


def test_without_an_address_it_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MARGIN_URL", raising=False)
    ended = CliRunner().invoke(app, ["whoami"])
    assert ended.exit_code == 1
    assert "MARGIN_URL" in ended.stderr


def test_a_token_can_be_asked_for_and_is_not_shown(ask: Ask) -> None:
    server = Answers(httpx.Response(200, json={"username": "rosa"}))
    ended = ask(server, "--token", "-", "whoami", input="margin_typed\n")
    assert server.asked[0].headers["Authorization"] == "Bearer margin_typed"
    assert "margin_typed" not in ended.output


def test_export_brings_the_files_and_names_them(ask: Ask, tmp_path: Path) -> None:
    ended = ask(FileServer(b"content"), "export", "7", "--to", str(tmp_path))
    assert ended.exit_code == 0
    assert ended.stdout == f"{tmp_path}/data/train.jsonl\n"
    assert (tmp_path / "data/train.jsonl").read_bytes() == b"content"


def test_import_sends_the_file_as_it_is(ask: Ask, tmp_path: Path) -> None:
    file = tmp_path / "pairs.jsonl"
    file.write_bytes(b'{"a": 1}\n' * 10_000)  # longer than one piece
    received: list[bytes] = []

    def server(request: httpx.Request) -> httpx.Response:
        received.append(request.read())
        assert request.headers["Content-Length"] == str(len(received[-1]))
        wanted = {"format": "trl-preference", "batch": "3", "dry_run": "true", "name": "pairs.jsonl"}
        assert dict(request.url.params) == wanted
        return httpx.Response(200, json={"rows": 10_000})

    arguments = ("--format", "trl-preference", "--batch", "3", "--dry-run", "--json")
    ended = ask(server, "import", str(file), *arguments)
    assert json.loads(ended.stdout) == {"rows": 10_000}
    assert received == [file.read_bytes()]


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--batch", "three", "number of a week"),
        ("--mapping", "{", "no JSON"),
        ("--mapping", "[]", "no object"),
    ],
)
def test_an_option_that_cannot_be_understood_is_named(
    option: str, value: str, words: str, ask: Ask, tmp_path: Path
) -> None:
    ended = ask(Answers(), "import", str(tmp_path), "--format", "native", option, value)
    assert ended.exit_code == 2
    assert ended.stderr.startswith(f"margin: {option} is")
    assert words in ended.stderr


def test_a_file_that_is_not_there_is_said(ask: Ask) -> None:
    ended = ask(Answers(), "import", "nowhere.jsonl", "--format", "native")
    assert ended.exit_code == 1
    assert "There is no file nowhere.jsonl." in ended.stderr


def follow(end: str, message: str = "") -> Server:
    note = {"at": "2026-01-31T12:00:00Z", "type": "note", "data": {"text": "hello"}}
    last = {"state": end, "message": message}
    body = (
        f"id: 1\nevent: note\ndata: {json.dumps(note)}\n\nid: 1-end\nevent: end\ndata: {json.dumps(last)}\n\n"
    )
    return Answers(httpx.Response(200, content=body.encode()))


@pytest.mark.parametrize("arguments", [("runs", "follow", "u"), ("runs", "--follow", "u")])
def test_following_prints_what_the_run_says(arguments: tuple[str, ...], ask: Ask) -> None:
    ended = ask(follow("succeeded"), *arguments)
    assert ended.exit_code == 0
    assert ended.stdout.splitlines()[0] == "12:00:00 note      text=hello"


def test_following_a_run_that_fails_ends_with_its_reason(ask: Ask) -> None:
    ended = ask(follow("failed", "Too few pairs."), "runs", "follow", "u", "--json")
    assert ended.exit_code == 1
    assert ended.stderr == "margin: Run u has failed. Too few pairs.\n"
    assert json.loads(ended.stdout.splitlines()[0])["data"] == {"text": "hello"}


def test_settings_of_a_run_are_json_or_text(ask: Ask) -> None:
    server = Answers(httpx.Response(201, json={"uid": "u", "state": "queued"}))
    settings = ("--set", "batch=3", "--set", 'policies=["V0"]', "--set", "note=plain words")
    assert ask(server, "runs", "start", "sample", *settings).exit_code == 0
    sent = json.loads(server.asked[0].content)
    assert sent == {"kind": "sample", "batch": 3, "policies": ["V0"], "note": "plain words"}


def test_a_setting_without_a_value_is_refused(ask: Ask) -> None:
    ended = ask(Answers(), "runs", "start", "sample", "--set", "batch")
    assert (ended.exit_code, ended.stderr) == (2, "margin: 'batch' is not NAME=VALUE.\n")


def test_score_reads_lines_and_answers_line_by_line(ask: Ask) -> None:
    answer = {"via": "resident", "rewards": [[1.5, -2.0], [0.25]], "run": None}
    lines = '{"prompt": "p", "responses": ["a", "b"]}\n\n{"prompt": "q", "responses": ["c"]}\n'
    ended = ask(Answers(httpx.Response(200, json=answer)), "score", "3", "-", input=lines)
    assert ended.stdout == '{"rewards": [1.5, -2.0]}\n{"rewards": [0.25]}\n'


def test_a_bad_line_is_named_before_anything_is_sent(ask: Ask) -> None:
    ended = ask(Answers(), "score", "3", "-", input='{"prompt": "p", "responses": ["a"]}\nno json\n')
    assert ended.exit_code == 2
    assert ended.stderr.startswith("margin: Line 2 is no JSON")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_completion_script_is_printed(shell: str) -> None:
    ended = CliRunner().invoke(app, ["--show-completion", shell], prog_name="margin")
    assert ended.exit_code == 0
    assert "_MARGIN_COMPLETE" in ended.stdout


def test_completion_knows_the_commands() -> None:
    environment = {"_MARGIN_COMPLETE": "complete_bash", "COMP_WORDS": "margin snap", "COMP_CWORD": "1"}
    ended = CliRunner().invoke(app, [], env=environment, prog_name="margin")
    assert ended.stdout.split() == ["snapshots"]


def test_without_typer_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "typer", None)
    monkeypatch.delitem(sys.modules, "margin_client.command.app")
    with pytest.raises(SystemExit, match=r"pip install 'margin-client\[cli\]'"):
        command.main()
