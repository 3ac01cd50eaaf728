"""The process that lets a policy answer the rows of a file: `python -m training.core.answer_file --spec spec.json`.

A row is {"messages": […]}, whatever else it holds; it comes out with "answers", as many as were asked for. All rows are
looked at before one is answered. What is drawn lies beside the output until that is written, so that a killed process
goes on. Knows rows, their faults and the output. Must not know how an answer is drawn, or Django;
rewardmodel.core.child says how the process is spoken to.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from annotation.core.formats.base import parse_line
from annotation.core.formats.dialogues import CHAT, check_prompt
from annotation.core.formats.fields import RowError
from annotation.core.records import Message, canonical_json
from rewardmodel.core import child
from rewardmodel.core.backbone import PolicyRef, pick_device
from rewardmodel.core.files import write_atomically
from rewardmodel.core.rating import quieten
from rewardmodel.core.report import Reporter, RunFailedError
from training.core.chunks import Row, to_lines
from training.core.draws import draw_seed
from training.core.generate import Generator, LocalGenerator, Request
from training.core.sample import draw

ANSWERS: Final = "answers"
SHOWN: Final = 20  # bad rows that are named; all are counted


class AnswerSpec(BaseModel):
    """Which rows are answered by which policy, how, and where they go. `answers`: how many a row."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    policy: dict[str, Any]
    file: Path
    out: Path
    answers: int = Field(1, ge=1, le=100)
    temperature: float = Field(1.0, ge=0, le=10)
    top_p: float = Field(1.0, gt=0, le=1)
    max_new_tokens: int = Field(128, ge=1, le=8192)
    tokens_per_batch: int = Field(4096, ge=64)
    seed: int = Field(0, ge=0, lt=2**31)
    device: Literal["auto", "cpu", "cuda"] = "auto"
    replace: bool = False


def answer_file(
    spec: AnswerSpec, *, report: Reporter, generator: Callable[[], Generator] | None = None
) -> dict[str, Any]:
    """Write `out`: the rows in their order with their answers. Returns how many rows and answers.

    Raises:
        RunFailedError: a row is wrong (nothing was answered), or the files or the policy cannot be used.
    """
    if spec.out.exists() and not spec.replace:
        raise RunFailedError(
            f"{spec.out} is there already. Name another file, or say that it may be replaced."
        )
    rows = _read(spec.file)
    requests = [
        Request(
            messages=tuple(row["messages"]),
            temperature=spec.temperature,
            top_p=spec.top_p,
            seed=draw_seed(spec.seed, canonical_json(row["messages"]), number),
            max_new_tokens=spec.max_new_tokens,
        )
        for row in rows
        for number in range(spec.answers)
    ]
    work = spec.out.with_name(f".{spec.out.name}.{_identity(spec, rows)}")
    report.stage("answer")
    drawn = [row["text"] for row in draw(requests, (generator or _local(spec))(), work, report)]
    write_atomically(spec.out, to_lines(_answered(rows, drawn, spec.answers)))
    shutil.rmtree(work)
    return {"rows": len(rows), "answers": len(drawn), "out": str(spec.out)}


def _answered(rows: Sequence[Row], drawn: Sequence[str], count: int) -> list[Row]:
    return [
        {**row, ANSWERS: list(drawn[number * count : (number + 1) * count])}
        for number, row in enumerate(rows)
    ]


def _identity(spec: AnswerSpec, rows: Sequence[Row]) -> str:
    """Names what is drawn, so that another file or policy never goes on with these answers."""
    drawn = {**spec.model_dump(mode="json", exclude={"out", "replace", "device", "file"}), "rows": list(rows)}
    return hashlib.sha256(canonical_json(drawn).encode()).hexdigest()[:16]


def _local(spec: AnswerSpec) -> Callable[[], Generator]:
    def make() -> Generator:
        try:
            device = pick_device(spec.device)
        except ValueError as error:
            raise RunFailedError(str(error)) from error
        return LocalGenerator(PolicyRef.from_json(spec.policy), device, spec.tokens_per_batch)

    return make


def _read(file: Path) -> list[Row]:
    """The rows, all of them of the right shape.

    Raises:
        RunFailedError: some are not; it names them by line.
    """
    rows: list[Row] = []
    faults: list[str] = []
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RunFailedError(f"{file} cannot be read: {error}.") from error
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            messages_of(line)
        except RowError as error:
            faults.append(f"line {number}: {error}")
        else:
            rows.append(json.loads(line))
    if faults:
        more = f"; and {len(faults) - SHOWN:,} more" if len(faults) > SHOWN else ""
        raise RunFailedError(f"{file.name}: {'; '.join(faults[:SHOWN])}{more}. Nothing was answered.")
    if not rows:
        raise RunFailedError(f"{file.name} holds no rows.")
    return rows


def messages_of(line: str) -> tuple[Message, ...]:
    """The dialogue of a row, which ends with a user turn.

    Raises:
        RowError: it has none, or answers already, which would be lost.
    """
    row = parse_line(line)
    if row.has(ANSWERS):
        raise RowError(f"{ANSWERS} is there already: rename it, or it would be lost")
    return check_prompt(CHAT.messages(row, "messages", strip=False), "messages")


def _work(spec: bytes, _: child.Secrets, told: child.Told) -> dict[str, Any]:
    quieten()
    return answer_file(AnswerSpec.model_validate_json(spec), report=told)


if __name__ == "__main__":
    sys.exit(child.run(sys.argv[1:], name="training.core.answer_file", work=_work))
