"""What holds for every snapshot: the same bytes from every writer, order, recipes, parts of files."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet
from pydantic import ValidationError

from annotation.api.ranges import RangeError, chosen_range
from annotation.core.exports.judgments import utc_text
from annotation.core.grades import Focus, Grade, MarginTable, SafetyLabel
from annotation.core.recipe import LARGEST_MARGIN, SMALLEST_MARGIN, Recipe
from annotation.core.records import PreferenceRecord, canonical_json
from annotation.services.snapshot_files import LinesFile, SplitFiles
from annotation.services.snapshot_judgments import _utc
from annotation.services.snapshot_lines import OPTIONS
from annotation.services.snapshot_order import Sorter

# All that a database stores: no half of a surrogate pair, and in PostgreSQL no NUL, which SQLite takes.
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
LARGE = dict(zip(Grade, (3.0, 2.0, 1.0, 0.0), strict=True))
MARGINS = st.just(0.0) | st.floats(SMALLEST_MARGIN, LARGEST_MARGIN)
EARLIEST, LATEST = datetime(1970, 1, 2), datetime(2100, 1, 1)  # noqa: DTZ001  Hypothesis adds the zone
MESSAGES = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["system", "user", "assistant"]), "content": TEXTS}),
    min_size=1,
    max_size=4,
).map(tuple)
KEYS = st.text("0123456789abcdef", min_size=32, max_size=32)
RECORDS = st.builds(
    PreferenceRecord,
    id=KEYS,
    prompt=KEYS,
    dialogue=KEYS,
    batch=TEXTS,
    focus=st.sampled_from(Focus),
    split=st.sampled_from(["train", "test"]),
    messages=MESSAGES,
    chosen=TEXTS,
    rejected=TEXTS,
    grade=st.none() | st.sampled_from(Grade),
    margin=MARGINS,
    safety=st.none() | st.sampled_from(SafetyLabel),
    judgments=st.integers(1, 1000),
    weight=st.integers(1, 1000).flatmap(lambda n: st.integers(n // 2 + 1, n).map(lambda k: k / n)),
    chosen_policy=TEXTS,
    rejected_policy=TEXTS,
)


@given(RECORDS)
def test_the_fast_writer_of_lines_gives_the_bytes_of_the_plain_one(record: PreferenceRecord) -> None:
    assert orjson.dumps(asdict(record), option=OPTIONS) == record.to_line().encode()


@given(st.lists(RECORDS, max_size=8))
def test_parquet_holds_what_the_lines_hold_and_equal_lines_are_equal_bytes(
    records: list[PreferenceRecord],
) -> None:
    with TemporaryDirectory() as one, TemporaryDirectory() as other:
        written = [_write(Path(folder), records) for folder in (one, other)]
        assert written[0] == written[1]
        table = parquet.read_table(Path(one) / written[0][1].path).to_pylist()
        lines = (Path(one) / written[0][0].path).read_bytes().splitlines()
        assert table == [json.loads(line) for line in lines]
        assert len(table) == written[0][0].rows == len(records)


def _write(folder: Path, records: list[PreferenceRecord]) -> list[Any]:
    with ThreadPoolExecutor(1) as threads, ThreadPoolExecutor(1) as parsing:
        files = SplitFiles(folder, "train", threads, parsing)
        for record in records:
            files.add(record.to_line().encode())
        return files.finish_both()


def test_what_breaks_in_the_other_thread_breaks_the_writing(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as threads, ThreadPoolExecutor(1) as parsing:
        files = SplitFiles(tmp_path, "train", threads, parsing)
        files.add(b'{"unknown": 1}\n')
        with pytest.raises(Exception, match="unexpected field"):
            files.finish()
        files.close()


def test_groups_of_lines_are_cut_by_rows_and_by_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("annotation.services.snapshot_files.GROUP_ROWS", 3)
    with ThreadPoolExecutor(1) as threads:
        file = LinesFile(tmp_path, "a.jsonl", "x", "train", "text/plain", threads)
        for number in range(10):
            file.add(b"%d\n" % number)
        assert file.finish().rows == 10
    assert (tmp_path / "a.jsonl").read_bytes() == b"".join(b"%d\n" % n for n in range(10))


@given(st.sets(KEYS, max_size=60), st.sampled_from([0, 5_000, 100_000]), st.sampled_from([1, 200, 10**7]))
def test_lines_come_back_in_the_order_of_their_keys_whatever_memory_holds(
    keys: set[str], expected: int, held: int
) -> None:
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr("annotation.services.snapshot_order.HELD", held)
        sorter = Sorter(Path(folder) / "sorting", expected)
        for key in keys:
            sorter.add(f"{key}r".encode(), f"line of {key}\n".encode())
        found = list(sorter.lines())
        assert found == [(f"{key}r".encode(), f"line of {key}\n".encode()) for key in sorted(keys)]
        assert not (Path(folder) / "sorting").exists()


@given(
    st.lists(st.integers(1, 50), max_size=5),
    st.lists(st.sampled_from(["en", "de", "zh"]), max_size=4),
    st.randoms(use_true_random=False),
)
def test_recipes_that_ask_for_the_same_are_the_same(
    weeks: list[int], languages: list[str], draw: Any
) -> None:
    mixed = weeks * 2
    draw.shuffle(mixed)
    one, other = (
        Recipe(batches=tuple(weeks), languages=tuple(languages)),
        Recipe(batches=tuple(mixed), languages=tuple(reversed(languages))),
    )
    assert one.canonical() == other.canonical()
    assert json.dumps(one.to_json()) == json.dumps(other.to_json())
    assert Recipe.model_validate(json.loads(one.canonical())) == one


@given(st.dictionaries(st.sampled_from(Grade), MARGINS, min_size=4, max_size=4))
def test_own_margins_are_written_alike_by_every_writer(margins: dict[Grade, float]) -> None:
    recipe = Recipe(margin_table="own", margins=margins)
    for grade, margin in margins.items():
        assert recipe.margin_by_grade()[grade] == margin
        assert orjson.dumps(margin).decode() == canonical_json(margin)
    assert recipe.margin_by_grade()[None] == 0.0


@given(RECORDS)
def test_a_row_keeps_its_own_margin_under_the_table_own_alone(record: PreferenceRecord) -> None:
    assert record.margin_under(MarginTable.OWN) == record.margin
    assert record.margin_under(MarginTable.LARGE) == (0.0 if record.grade is None else LARGE[record.grade])


@pytest.mark.parametrize(
    "wrong",
    [
        {"batches": [1], "up_to": 2},
        {"margins": dict.fromkeys(Grade, 1.0)},
        {"margin_table": "own"},
        {"margin_table": "own", "margins": {"better": 1}},
        {"margin_table": "own", "margins": dict.fromkeys(Grade, 1e-9)},
        {"margin_table": "own", "margins": dict.fromkeys(Grade, float("nan"))},
        {"min_agreement": 1.1},
        {"categories": [""]},
        {"unknown": 1},
    ],
)
def test_a_recipe_that_contradicts_itself_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Recipe.model_validate(wrong)


@given(
    st.datetimes(EARLIEST, LATEST, timezones=st.just(UTC)),
    st.sampled_from(["+00", "", "+05:30"]),
)
def test_the_time_of_a_judgment_is_read_from_either_databases_text(moment: datetime, zone: str) -> None:
    shown = moment.astimezone(timezone(timedelta(hours=5, minutes=30))) if zone == "+05:30" else moment
    text = shown.strftime(f"{shown.year:04}-%m-%d %H:%M:%S")
    text += f".{shown.microsecond:06}".rstrip("0") if shown.microsecond else ""
    assert _utc(text + zone) == utc_text(moment)


@given(st.integers(0, 50), st.integers(0, 60), st.integers(0, 60))
def test_a_range_is_what_slicing_says(size: int, first: int, last: int) -> None:
    whole = bytes(range(size))
    if last >= first:
        if whole[first : last + 1]:
            start, end = chosen_range(f"bytes={first}-{last}", size) or (0, 0)
            assert whole[start:end] == whole[first : last + 1]
        else:
            with pytest.raises(RangeError):
                chosen_range(f"bytes={first}-{last}", size)
    if size and last:
        start, end = chosen_range(f"bytes=-{last}", size) or (0, 0)
        assert whole[start:end] == whole[-last:]


@pytest.mark.parametrize(
    "header", [None, "", "bytes=", "bytes=-", "bytes=1-0", "bytes=0-1,3-4", "rows=0-1", "bytes=a-b", "0-1"]
)
def test_a_range_that_cannot_be_read_is_the_whole_file(header: str | None) -> None:
    assert chosen_range(header, 10) is None
