"""Answers to the rows of a file: all or nothing, in order, and what was drawn is not drawn again."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from rewardmodel.core.report import Reporter, RunFailedError, Silent
from rewardmodel.core.tiny import build_tiny
from training.core.answer_file import AnswerSpec, answer_file
from training.core.generate import Request, Sample


class Echo:
    """Answers with the question and the seed; one request a chunk, and it breaks once it was asked often enough."""

    def __init__(self, breaks_after: int = 10**9) -> None:
        self.asked = 0
        self._breaks_after = breaks_after

    def plan(self, requests: Sequence[Request]) -> list[list[int]]:
        return [[index] for index in range(len(requests))]

    def generate(self, requests: Sequence[Request], reporter: Reporter = Silent()) -> list[Sample]:  # noqa: B008
        if self.asked == self._breaks_after:
            raise MemoryError
        self.asked += len(requests)
        return [Sample(f"{r.messages[-1]['content']} {r.seed}", 2, "stop", 0.1) for r in requests]

    def close(self) -> None:
        """It holds nothing."""


def asked(text: str, **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], **more}


@pytest.fixture
def spec(tmp_path: Path) -> Callable[..., AnswerSpec]:
    def make(*rows: dict[str, Any], **more: Any) -> AnswerSpec:
        file = tmp_path / "in.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        fields = {"policy": {"name": "V0", "path": "/nowhere"}, "file": file, "out": tmp_path / "out.jsonl"}
        return AnswerSpec.model_validate({**fields, **more})

    return make


def rows_of(spec: AnswerSpec) -> list[dict[str, Any]]:
    return [json.loads(line) for line in spec.out.read_text().split("\n") if line]


def test_rows_come_out_in_order_with_their_answers(spec: Callable[..., AnswerSpec]) -> None:
    given = spec(asked("Why?", id=7), asked("How?"), answers=2)
    done = answer_file(given, report=Silent(), generator=Echo)
    first, second = rows_of(given)
    assert (done["rows"], done["answers"], first["id"]) == (2, 4, 7)
    assert [text.split()[0] for row in (first, second) for text in row["answers"]] == ["Why?"] * 2 + [
        "How?"
    ] * 2


def test_an_answer_depends_on_its_row_alone(spec: Callable[..., AnswerSpec]) -> None:
    given = spec(asked("How?"))
    alone = given.model_copy(update={"out": given.out.with_name("alone.jsonl")})
    answer_file(alone, report=Silent(), generator=Echo)
    [only] = rows_of(alone)
    both = spec(asked("Why?"), asked("How?"))
    answer_file(both, report=Silent(), generator=Echo)
    assert rows_of(both)[1] == only


def test_the_answers_to_a_row_differ(spec: Callable[..., AnswerSpec]) -> None:
    given = spec(asked("Why?"), answers=3)
    answer_file(given, report=Silent(), generator=Echo)
    assert len(set(rows_of(given)[0]["answers"])) == 3


def test_a_killed_process_goes_on_where_it_was(spec: Callable[..., AnswerSpec]) -> None:
    given = spec(asked("Why?"), asked("How?"), asked("Who?"))
    with pytest.raises(MemoryError):
        answer_file(given, report=Silent(), generator=lambda: Echo(breaks_after=2))
    left = Echo()
    answer_file(given, report=Silent(), generator=lambda: left)
    assert (left.asked, len(rows_of(given))) == (1, 3)
    assert not list(given.out.parent.glob(".out.jsonl*"))


def test_another_file_does_not_go_on_with_the_answers_of_a_killed_one(
    spec: Callable[..., AnswerSpec],
) -> None:
    with pytest.raises(MemoryError):
        answer_file(
            spec(asked("Why?"), asked("How?")), report=Silent(), generator=lambda: Echo(breaks_after=1)
        )
    other = spec(asked("Who?"), asked("What?"))
    fresh = Echo()
    answer_file(other, report=Silent(), generator=lambda: fresh)
    assert fresh.asked == 2


@pytest.mark.parametrize(
    ("row", "wrong"),
    [
        ({"messages": []}, "must end with a user turn"),
        ({"text": "Why?"}, "messages"),
        (asked("Why?", answers=[]), "answers is there already"),
    ],
)
def test_a_row_that_is_wrong_is_named_and_nothing_is_answered(
    spec: Callable[..., AnswerSpec], row: dict[str, Any], wrong: str
) -> None:
    given = spec(asked("Why?"), row)
    with pytest.raises(RunFailedError, match=wrong) as refused:
        answer_file(given, report=Silent(), generator=Echo)
    assert "line 2" in str(refused.value)
    assert not given.out.exists()


def test_a_file_that_is_there_stays(spec: Callable[..., AnswerSpec]) -> None:
    given = spec(asked("Why?"))
    given.out.write_text("mine")
    with pytest.raises(RunFailedError, match="there already"):
        answer_file(given, report=Silent(), generator=Echo)
    answer_file(given.model_copy(update={"replace": True}), report=Silent(), generator=Echo)
    assert len(rows_of(given)) == 1


def test_an_empty_file_is_told(spec: Callable[..., AnswerSpec]) -> None:
    with pytest.raises(RunFailedError, match="holds no rows"):
        answer_file(spec(), report=Silent(), generator=Echo)


@pytest.mark.django_db
@pytest.mark.process
def test_the_command_lets_a_policy_answer(spec: Callable[..., AnswerSpec], tmp_path: Path) -> None:
    build_tiny(tmp_path / "tiny")
    given = spec(asked("Why?"), asked("How?"))
    told = StringIO()
    call_command(
        "answer_file", str(tmp_path / "tiny"), str(given.file), str(given.out), max_new_tokens=4, stdout=told
    )
    assert [len(row["answers"]) for row in rows_of(given)] == [1, 1]
    assert "2 answers to 2 rows" in told.getvalue()


@pytest.mark.django_db
def test_the_command_names_a_policy_that_is_not_there(spec: Callable[..., AnswerSpec]) -> None:
    given = spec(asked("Why?"))
    with pytest.raises(CommandError, match="no policy named 'V9'"):
        call_command("answer_file", "V9", str(given.file), str(given.out))
