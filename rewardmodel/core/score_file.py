"""The process that rates the rows of a file: `python -m rewardmodel.core.score_file --spec spec.json`.

A row is {"messages": […], "responses": […]}, whatever else it holds; it comes out with "rewards", one for each
response, raw. All rows are looked at before one is rated. What is rated lies in chunks beside the output until that is
written, so that a killed scoring goes on. Knows rows, their faults and the output. Must not know how a reward is
computed, or Django; rewardmodel.core.child says how the process is spoken to.
"""

from __future__ import annotations

import fcntl
import json
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from annotation.core.formats.base import parse_line
from annotation.core.formats.dialogues import CHAT, check_prompt
from annotation.core.formats.fields import Row, RowError
from annotation.core.formats.lines import UnreadableFileError, open_rows
from rewardmodel.core import child
from rewardmodel.core.asked import Rewarder
from rewardmodel.core.files import write_lines_atomically
from rewardmodel.core.rating import chunks_of, identity_of, quieten, rate_kept, why_unratable
from rewardmodel.core.report import Reporter, RunFailedError
from rewardmodel.core.scorer import Group, load

REWARDS: Final = "rewards"
SHOWN: Final = 20  # bad rows that are named; all are counted
LOCK: Final = ".lock"


class ScoreSpec(BaseModel):
    """Which rows are rated by which reward model, and where they go. `replace`: over a file that is there."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: Path
    out: Path
    reward_model: dict[str, Any]
    device: Literal["auto", "cpu", "cuda"] = "auto"
    tokens_per_batch: int | None = Field(None, ge=64)
    replace: bool = False


def score_file(spec: ScoreSpec, *, report: Reporter, model: Rewarder | None = None) -> dict[str, Any]:
    """Write `out`: the rows in their order with their rewards. Returns how many rows and responses.

    Raises:
        RunFailedError: a row is wrong (nothing was rated), or the files or the model cannot be used.
    """
    _check_places(spec)
    report.stage("read")
    try:
        rows = _read(spec.file)
        identity = identity_of(spec.reward_model)
        rater = model or load(spec.reward_model, device=spec.device, tokens_per_batch=spec.tokens_per_batch)
        _check(spec.file, rater, report)
        with _work_beside(spec.out) as kept:
            done = _rate(spec, rater, rows, identity, kept, report)
    except UnreadableFileError as error:
        raise RunFailedError(f"{spec.file.name}, {error}.") from error
    except OSError as error:
        raise RunFailedError(
            f"{error.filename or spec.file} cannot be used: {error.strerror or error}."
        ) from error
    return {"rows": rows, "responses": done, "out": str(spec.out)}


def _check_places(spec: ScoreSpec) -> None:
    if spec.out.exists() and (not spec.file.exists() or spec.out.samefile(spec.file)):
        raise RunFailedError(f"{spec.out} is the file that is read. Name another one to write.")
    if spec.out.is_dir() or (spec.out.exists() and not spec.replace):
        raise RunFailedError(
            f"{spec.out} is there already. Name another file, or say that it may be replaced."
        )
    if not spec.out.parent.is_dir():
        raise RunFailedError(f"There is no folder {spec.out.parent} to write into.")


def _read(file: Path) -> int:
    """How many rows there are, all of them of the right shape.

    Raises:
        RunFailedError: some are not; it names them by line.
    """
    faults = _Faults(file)
    count = 0
    for number, line in _lines(file):
        count += 1
        try:
            group_of(parse_line(line))
        except RowError as error:
            faults.add(number, str(error))
    faults.refuse()
    if not count:
        raise RunFailedError(f"{file.name} holds no rows.")
    return count


def group_of(row: Row) -> Group:
    """Dialogue and responses of a row.

    Raises:
        RowError: it has not both, or rewards already, which would be lost.
    """
    if row.has(REWARDS):
        raise RowError("rewards is there already: rename it, or it would be lost")
    messages = check_prompt(CHAT.messages(row, "messages", strip=False), "messages")
    responses = row.items("responses")
    for index, text in enumerate(responses):
        if not isinstance(text, str):
            raise RowError(f"responses[{index}] must be text")
        if any("\ud800" <= letter <= "\udfff" for letter in text):
            raise RowError(
                f"responses[{index}] holds half of a surrogate pair: the text was cut inside a character"
            )
    return messages, responses


def _check(file: Path, model: Rewarder, report: Reporter) -> None:
    """Refuse rows that the model cannot read, before any is rated."""
    faults = _Faults(file)
    for number, line in _lines(file):
        if why := why_unratable(model, group_of(parse_line(line))):
            faults.add(number, why)
    faults.refuse()


def _rate(spec: ScoreSpec, model: Rewarder, rows: int, identity: str, kept: Path, report: Reporter) -> int:
    report.stage("score")
    done = responses = 0
    for chunk in chunks_of(group_of(parse_line(line)) for _, line in _lines(spec.file)):
        for rewards in rate_kept(model, chunk, identity=identity, kept=kept):
            done += 1
            responses += len(rewards)
            if fault := next((reward for reward in rewards if isinstance(reward, str)), ""):
                raise RunFailedError(f"{spec.file.name}, row {done}: {fault}")
        report.progress(done, rows, "rows")
    write_lines_atomically(spec.out, _written(spec, model, identity, kept))
    return responses


def _written(spec: ScoreSpec, model: Rewarder, identity: str, kept: Path) -> Iterator[str]:
    """The output's lines; every chunk lies in `kept` by now."""
    lines = (line for _, line in _lines(spec.file))
    for chunk in chunks_of(group_of(parse_line(line)) for _, line in _lines(spec.file)):
        for rewards in rate_kept(model, chunk, identity=identity, kept=kept):
            row = json.loads(next(lines))
            yield json.dumps({**row, REWARDS: rewards}, ensure_ascii=False, allow_nan=False) + "\n"


def _lines(file: Path) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(open_rows(file), start=1):
        if line and not line.isspace():
            yield number, line


class _Faults:
    """Bad rows of a file; the first of them are named."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._named: list[str] = []
        self._count = 0

    def add(self, line: int, reason: str) -> None:
        self._count += 1
        if len(self._named) < SHOWN:
            self._named.append(f"line {line}: {reason.rstrip('.')}")

    def refuse(self) -> None:
        if self._count:
            more = f"; and {self._count - SHOWN:,} more" if self._count > SHOWN else ""
            rows = "row" if self._count == 1 else "rows"
            raise RunFailedError(
                f"{self._file.name}: nothing was scored, {self._count:,} bad {rows}: {'; '.join(self._named)}{more}."
            )


@contextmanager
def _work_beside(out: Path) -> Iterator[Path]:
    """A hidden folder beside the output, held by one process at a time, which goes away once the output is there."""
    folder = out.with_name(f".{out.name}.work")
    folder.mkdir(exist_ok=True)
    with (folder / LOCK).open("wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RunFailedError(f"Another process is scoring into {out}.") from error
        yield folder
        shutil.rmtree(folder)


def _work(spec: bytes, secrets: child.Secrets, report: Reporter) -> Mapping[str, Any]:
    quieten()
    return score_file(ScoreSpec.model_validate_json(spec), report=report)


if __name__ == "__main__":
    sys.exit(child.run(sys.argv[1:], name="rewardmodel.core.score_file", work=_work))
