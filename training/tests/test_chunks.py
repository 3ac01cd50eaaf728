"""Work in chunks that survive a kill."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from rewardmodel.core.report import RunFailedError, Silent
from training.core.chunks import LineFile, Row, read_lines, run_chunks, to_lines


class Counter:
    """Squares its items, counts them, and dies before a chosen chunk."""

    def __init__(self, dies_at: int | None = None) -> None:
        self.chunks = 0
        self.dies_at = dies_at

    def __call__(self, indices: Sequence[int]) -> list[Row]:
        if self.chunks == self.dies_at:
            raise KeyboardInterrupt
        self.chunks += 1
        return [{"square": index * index} for index in indices]


def test_rows_come_back_in_the_order_of_the_items_not_of_the_plan(tmp_path: Path) -> None:
    rows = run_chunks(tmp_path, [[2, 0], [1]], Counter(), Silent(), "items")
    assert rows == [{"square": 0}, {"square": 1}, {"square": 4}]


def test_a_second_attempt_computes_only_what_is_missing(tmp_path: Path) -> None:
    plan = [[0], [1], [2], [3]]
    with pytest.raises(KeyboardInterrupt):
        run_chunks(tmp_path, plan, Counter(dies_at=3), Silent(), "items")
    again = Counter()
    assert run_chunks(tmp_path, plan, again, Silent(), "items")[3] == {"square": 9}
    assert again.chunks == 1


def test_a_half_written_chunk_is_not_taken_for_a_whole_one(tmp_path: Path) -> None:
    (tmp_path / ".000000.jsonl.tmp").write_text('{"squa')
    assert run_chunks(tmp_path, [[0]], Counter(), Silent(), "items") == [{"square": 0}]


def test_a_line_separator_within_a_text_ends_no_line(tmp_path: Path) -> None:
    rows = [{"text": "one\u2028two\u0085three\r\n"}, {"text": "\x0c"}]
    (tmp_path / "rows.jsonl").write_text(to_lines(rows))
    assert read_lines(tmp_path / "rows.jsonl") == rows


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text("{}\n{\n")
    with pytest.raises(RunFailedError, match=r"rows\.jsonl, line 2: not JSON"):
        read_lines(tmp_path / "rows.jsonl")


def test_a_line_that_is_no_object_is_named(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text("[1]\n")
    with pytest.raises(RunFailedError, match="line 1: not a JSON object"):
        read_lines(tmp_path / "rows.jsonl")


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunFailedError, match=r"rows\.jsonl: No such file"):
        read_lines(tmp_path / "rows.jsonl")


def test_lines_are_read_by_number(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    rows: list[Row] = [{"text": text} for text in ("a\u2028b", "", "näher", "c")]
    path.write_text("\n".join(to_lines(rows).split("\n")[:2]) + "\n\n" + to_lines(rows[2:]))
    lines = LineFile(path)
    assert len(lines) == 4
    assert lines.read([3, 0]) == [rows[3], rows[0]]
    assert lines.read(range(4)) == read_lines(path)


def test_a_line_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": 1}\n{"a": 2\n')
    lines = LineFile(path)
    assert lines.read([0]) == [{"a": 1}]
    with pytest.raises(RunFailedError, match=r"rows.jsonl, line 2: not JSON"):
        lines.read([1])
    with pytest.raises(RunFailedError, match=r"cannot read none.jsonl"):
        LineFile(tmp_path / "none.jsonl")
