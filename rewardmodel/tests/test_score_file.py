"""Rewards for the rows of a file: all or nothing, in order, and never rated twice."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from rewardmodel.core.report import RunFailedError, Silent
from rewardmodel.core.rows import Row
from rewardmodel.core.score_file import ScoreSpec, score_file
from rewardmodel.core.scorer import Group

ASKED = [{"role": "user", "content": "Why?"}]


class Lengths:
    """Rewards are lengths; it breaks once it was asked often enough, and cannot read "unreadable"."""

    def __init__(self, breaks_after: int = 10**9) -> None:
        self.passes = 0
        self._breaks_after = breaks_after

    def encode(self, group: Group) -> list[Row]:
        if "unreadable" in group[1]:
            raise ValueError("a word that it does not know")
        return [Row((1,) * (1 + len(text)), 1) for text in group[1]]

    def rewards(self, groups: Sequence[Sequence[Row]]) -> list[list[float]]:
        if self.passes == self._breaks_after:
            raise MemoryError
        self.passes += 1
        return [[float(len(row.tokens) - 1) for row in group] for group in groups]


def row(*responses: Any, **more: Any) -> dict[str, Any]:
    return {"messages": ASKED, "responses": list(responses), **more}


@pytest.fixture
def spec(tmp_path: Path) -> ScoreSpec:
    model = tmp_path / "model"
    model.mkdir()
    (model / "manifest.json").write_text("{}")
    reference = {"name": "lengths", "path": str(model)}
    return ScoreSpec(file=tmp_path / "in.jsonl", out=tmp_path / "out.jsonl", reward_model=reference)


def write(spec: ScoreSpec, *rows: Any) -> None:
    spec.file.write_text("".join((r if isinstance(r, str) else json.dumps(r)) + "\n" for r in rows))


def written(spec: ScoreSpec) -> list[dict[str, Any]]:
    return [json.loads(line) for line in spec.out.read_text().splitlines()]


def test_rows_come_out_as_they_were_with_a_reward_for_each_response(spec: ScoreSpec) -> None:
    rows = [row("a", "abc", id=7, note="ü"), row(), row("")]
    write(spec, rows[0], "", rows[1], rows[2])
    assert score_file(spec, report=Silent(), model=Lengths())["responses"] == 3
    assert written(spec) == [{**r, "rewards": w} for r, w in zip(rows, [[1.0, 3.0], [], [0.0]], strict=True)]
    assert '"id": 7, "note": "ü", "rewards"' in spec.out.read_text()
    assert not [path.name for path in spec.out.parent.iterdir() if path.name.startswith(".")]


def test_every_bad_row_is_named_by_line_before_one_is_rated(spec: ScoreSpec) -> None:
    write(
        spec,
        row("a"),
        "{broken",
        {"messages": ASKED},
        row("a", 5),
        {**row("a"), "messages": [{"role": "assistant", "content": "Hi"}]},
        row("a", rewards=[1]),
        row("\ud800"),
    )
    model = Lengths()
    with pytest.raises(RunFailedError, match="nothing was scored, 6 bad rows") as failed:
        score_file(spec, report=Silent(), model=model)
    text = str(failed.value)
    for says in (
        "line 2: not JSON",
        "line 3: responses is missing",
        "line 4: responses[1] must be text",
        "line 5: messages[0].role is assistant",
        "line 6: rewards is there already",
        "line 7: responses[0] holds half of a surrogate pair",
    ):
        assert says in text
    assert model.passes == 0
    assert not spec.out.exists()


def test_a_row_that_the_model_cannot_read_is_named_before_one_is_rated(spec: ScoreSpec) -> None:
    model = Lengths()
    write(spec, row("a"), row("unreadable"))
    with pytest.raises(RunFailedError, match="line 2: the model's chat template does not take"):
        score_file(spec, report=Silent(), model=model)
    assert model.passes == 0


def test_a_scoring_that_was_broken_off_rates_only_what_is_left(spec: ScoreSpec) -> None:
    # 600 responses in three chunks: a row is never divided, and two make 200.
    rows = [row(*("a" * (first + number) for number in range(100)), id=first) for first in range(6)]
    write(spec, *rows)
    with pytest.raises(MemoryError):
        score_file(spec, report=Silent(), model=Lengths(breaks_after=2))
    assert not spec.out.exists()
    model = Lengths()
    score_file(spec, report=Silent(), model=model)
    assert model.passes == 1
    assert [r["id"] for r in written(spec)] == list(range(6))
    assert all(r["rewards"] == list(range(r["id"], r["id"] + 100)) for r in written(spec))


def test_a_file_is_written_over_only_where_somebody_says_so(spec: ScoreSpec) -> None:
    write(spec, row("a"))
    spec.out.write_text("kept")
    with pytest.raises(RunFailedError, match="is there already"):
        score_file(spec, report=Silent(), model=Lengths())
    assert spec.out.read_text() == "kept"
    score_file(spec.model_copy(update={"replace": True}), report=Silent(), model=Lengths())
    assert written(spec)[0]["rewards"] == [1.0]


def test_the_input_is_never_written_over(spec: ScoreSpec) -> None:
    write(spec, row("a"))
    with pytest.raises(RunFailedError, match="is the file that is read"):
        score_file(
            spec.model_copy(update={"out": spec.file, "replace": True}), report=Silent(), model=Lengths()
        )
    assert "rewards" not in spec.file.read_text()


def test_a_folder_that_is_not_there_and_an_empty_file_are_said_to_be(spec: ScoreSpec) -> None:
    write(spec, "")
    with pytest.raises(RunFailedError, match=r"in\.jsonl holds no rows"):
        score_file(spec, report=Silent(), model=Lengths())
    with pytest.raises(RunFailedError, match="There is no folder"):
        score_file(spec.model_copy(update={"out": spec.out / "x" / "y"}), report=Silent(), model=Lengths())


def test_two_processes_do_not_score_into_one_file(spec: ScoreSpec) -> None:
    write(spec, row("a"))
    work = spec.out.with_name(".out.jsonl.work")
    work.mkdir()
    with (work / ".lock").open("wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(RunFailedError, match="Another process is scoring"):
            score_file(spec, report=Silent(), model=Lengths())
