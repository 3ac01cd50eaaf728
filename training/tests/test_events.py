"""The event stream: whole lines, tolerant readers, offsets that stay good."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.core import events
from training.core.events import Event, EventType, EventWriter, cut_unfinished_line, read_events


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.jsonl"


def test_what_is_written_is_read(path: Path) -> None:
    with EventWriter(path) as writer:
        writer.write(EventType.STAGE, name="fit ü")
        writer.write(EventType.PROGRESS, done=1, total=2, unit="pairs")
    found, offset = read_events(path)
    assert [(event.type, event.data) for event in found] == [
        ("stage", {"name": "fit ü"}),
        ("progress", {"done": 1, "total": 2, "unit": "pairs"}),
    ]
    assert offset == path.stat().st_size
    assert found[0].at.endswith("+00:00")


def test_a_reader_continues_from_its_offset(path: Path) -> None:
    with EventWriter(path) as writer:
        writer.write(EventType.NOTE, text="one")
        _, offset = read_events(path)
        assert read_events(path, offset) == ([], offset)
        writer.write(EventType.NOTE, text="two")
        found, _ = read_events(path, offset)
    assert [event.data["text"] for event in found] == ["two"]


def test_a_missing_stream_has_no_events_yet(path: Path) -> None:
    assert read_events(path, 0) == ([], 0)


@given(cut=st.integers(min_value=0, max_value=200))
def test_an_unfinished_last_line_waits_for_its_end(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    path = tmp_path_factory.mktemp("stream") / "events.jsonl"
    lines = [_line(text) for text in ("one", "zwei ü", "three")]
    whole = b"".join(lines)
    path.write_bytes(whole[:cut])
    first, offset = read_events(path)
    path.write_bytes(whole)
    rest, end = read_events(path, offset)
    assert [event.data["text"] for event in first + rest] == ["one", "zwei ü", "three"]
    assert end == len(whole)


def test_lines_that_are_no_events_are_passed_over(path: Path) -> None:
    path.write_bytes(b'\n{"at": 1, "type": "note"}\n[]\nnull\n\xff\xfe\n{broken\n' + _line("good"))
    found, offset = read_events(path)
    assert [event.data for event in found] == [{"text": "good"}]
    assert offset == path.stat().st_size


def test_a_type_that_the_reader_does_not_know_is_handed_on(path: Path) -> None:
    path.write_text('{"at": "2026-01-01T00:00:00+00:00", "type": "weather", "wet": true}\n')
    assert read_events(path)[0] == [Event("2026-01-01T00:00:00+00:00", "weather", {"wet": True})]


@given(whole=st.integers(0, 3), torn=st.integers(0, 9000))
def test_a_new_writer_cuts_off_what_a_killed_one_left_half_written(
    tmp_path_factory: pytest.TempPathFactory, whole: int, torn: int
) -> None:
    path = tmp_path_factory.mktemp("stream") / "events.jsonl"
    path.write_bytes(_line("ok") * whole + b"x" * torn)
    cut_unfinished_line(path)
    assert path.read_bytes() == _line("ok") * whole


def test_a_reader_of_a_torn_line_misses_nothing_after_the_restart(path: Path) -> None:
    path.write_bytes(_line("one") + _line("two")[:-5])
    before, offset = read_events(path)
    with EventWriter(path) as writer:
        writer.write(EventType.NOTE, text="again")
    after, _ = read_events(path, offset)
    assert [event.data["text"] for event in before + after] == ["one", "again"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_metric_that_is_not_finite_is_null_and_the_line_stays_json(path: Path, value: float) -> None:
    with EventWriter(path) as writer:
        writer.write(EventType.METRIC, name="loss", value=value, step=1)
    assert read_events(path)[0][0].data == {"name": "loss", "value": None, "step": 1}
    assert "NaN" not in path.read_text()


def test_long_texts_are_clipped(path: Path) -> None:
    with EventWriter(path) as writer:
        writer.write(EventType.NOTE, text="a" * 5000)
    text = read_events(path)[0][0].data["text"]
    assert len(text) == 4000
    assert text.endswith("a…")


def test_text_that_is_no_unicode_does_not_stop_the_run(path: Path) -> None:
    with EventWriter(path) as writer:
        writer.write(EventType.NOTE, text="a\ud800b")
    assert read_events(path)[0][0].data["text"] == "a?b"


def test_a_long_stream_is_read_in_pieces(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "READ_AT_ONCE", 100)
    texts = ["x" * length for length in (5, 300, 20, 101)]
    path.write_bytes(b"".join(map(_line, texts)))
    found: list[Event] = []
    offset, moved = 0, True
    while moved:
        some, after = read_events(path, offset)
        found += some
        moved, offset = after > offset, after
    assert [event.data["text"] for event in found] == texts


def _line(text: str) -> bytes:
    event = {"at": "2026-01-01T00:00:00+00:00", "type": "note", "text": text}
    return (json.dumps(event, ensure_ascii=False) + "\n").encode()
