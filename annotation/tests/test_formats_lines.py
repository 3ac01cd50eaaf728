"""Reading lines from files that people bring."""

from __future__ import annotations

import gzip
import io
import json
import tracemalloc
from pathlib import Path
from typing import IO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation.core.formats.lines import UnreadableFileError, open_lines, open_rows


def test_gzip_is_known_by_its_first_bytes_and_not_by_its_name(tmp_path: Path) -> None:
    plain, packed = tmp_path / "rows.gz", tmp_path / "rows.jsonl"
    plain.write_bytes(b"one\ntwo\n")
    packed.write_bytes(gzip.compress(b"one\ntwo\n"))
    assert list(open_lines(plain)) == list(open_lines(packed)) == ["one", "two"]


def test_an_open_stream_is_read_from_its_start_and_left_open() -> None:
    stream = io.BytesIO(gzip.compress(b"one\n"))
    stream.read()
    assert list(open_lines(stream)) == ["one"]
    assert not stream.closed


def test_windows_line_ends_a_byte_order_mark_and_a_missing_last_newline_are_understood() -> None:
    assert list(open_lines(io.BytesIO("\ufeffone\r\n\r\nzwölf".encode()))) == ["one", "", "zwölf"]


def test_an_unusual_line_separator_does_not_end_a_line() -> None:
    assert list(open_lines(io.BytesIO("a\u2028b\x0bc\rd\n".encode()))) == ["a\u2028b\x0bc\rd"]


def test_an_empty_file_has_no_lines() -> None:
    assert list(open_lines(io.BytesIO())) == []
    assert list(open_lines(io.BytesIO(gzip.compress(b"")))) == []


def test_bytes_that_are_not_utf_8_are_named_by_line_and_byte() -> None:
    lines = open_lines(io.BytesIO("gut\nschön\n".encode("latin-1")))
    assert next(lines) == "gut"
    # s, c, h, then 0xf6 as the fourth byte.
    with pytest.raises(
        UnreadableFileError, match=r"line 2, byte 4: not UTF-8 \(0xf6\): save the file as UTF-8"
    ) as e:
        next(lines)
    assert (e.value.line, e.value.byte) == (2, 4)


def test_a_line_beyond_its_limit_is_refused() -> None:
    assert list(open_lines(io.BytesIO(b"1234\n12345"), max_line=5)) == ["1234", "12345"]
    with pytest.raises(UnreadableFileError, match=r"line 2: longer than 5 bytes"):
        list(open_lines(io.BytesIO(b"1234\n123456"), max_line=5))


def test_a_small_file_that_unpacks_to_an_endless_line_is_refused() -> None:
    bomb = io.BytesIO(gzip.compress(b"0" * 20_000_000))
    with pytest.raises(UnreadableFileError, match=r"line 1: longer than 4,194,304 bytes"):
        list(open_lines(bomb))


def test_a_small_file_that_unpacks_to_endless_lines_is_refused() -> None:
    bomb = io.BytesIO(gzip.compress(b"\n" * 10_000))
    with pytest.raises(
        UnreadableFileError, match=r"line 1001: the file is longer than 1,000 bytes: split it"
    ):
        list(open_lines(bomb, max_file=1000))


@pytest.mark.parametrize("cut", [5, 15, -1])
def test_a_gzip_file_that_was_cut_short_is_refused(cut: int) -> None:
    packed = gzip.compress(b"one\ntwo\n")
    with pytest.raises(UnreadableFileError, match="damaged or cut short"):
        list(open_lines(io.BytesIO(packed[:cut])))


def test_a_gzip_file_with_a_wrong_checksum_is_refused() -> None:
    packed = bytearray(gzip.compress(b"one\n" * 100))
    packed[-6] ^= 1
    with pytest.raises(UnreadableFileError, match="damaged or cut short"):
        list(open_lines(io.BytesIO(bytes(packed))))


def test_a_file_that_is_absent_says_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        next(open_lines(tmp_path / "absent.jsonl"))


def array(*texts: str) -> io.BytesIO:
    return io.BytesIO(f"[{','.join(texts)}]".encode())


def elements(source: Path | IO[bytes], **limits: int) -> list[str]:
    return [json.dumps(json.loads(text)) for text in open_rows(source, **limits)]


@given(
    st.lists(st.dictionaries(st.text(max_size=3), st.text(max_size=400), max_size=3), max_size=8),
    st.sampled_from([None, 2]),
)
def test_an_array_is_read_as_its_elements(rows: list[dict[str, str]], indent: int | None) -> None:
    whole = json.dumps(rows, indent=indent, ensure_ascii=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("annotation.core.formats.lines.PIECE", 7)
        assert elements(io.BytesIO(whole.encode("utf-8", "surrogatepass"))) == [
            json.dumps(row) for row in rows
        ]


def test_an_array_of_numbers_is_not_cut_inside_one() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("annotation.core.formats.lines.PIECE", 1)
        assert elements(array("123", "45", "6")) == ["123", "45", "6"]


def test_an_array_may_be_packed_and_may_begin_with_a_mark_of_its_order() -> None:
    assert elements(io.BytesIO(gzip.compress(b"\xef\xbb\xbf [ {}, {} ] "))) == ["{}", "{}"]


def test_an_array_is_read_in_constant_memory() -> None:
    row = json.dumps({"text": "x" * 1000})
    whole = array(*[row] * 20_000)  # 20 MB
    tracemalloc.start()
    count = sum(1 for _ in open_rows(whole))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 20_000
    assert peak < 8 * 1024**2


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        (b'[{"a": 1}, {"b": ', 2, "breaks off or holds no JSON"),
        (b'[{"a": 1} {"b": 2}]', 1, "no comma or closing bracket"),
        (b'[{"a": 1}] more', 1, "something follows"),
        (b'[{"a": \xff}]', 1, "not UTF-8"),
        (b'["' + b"x" * 200 + b'"]', 1, "longer than 64 characters"),
        (b"[" * 100_000, 1, "a nesting beyond all measure"),
    ],
)
def test_an_array_that_cannot_be_read_on_is_refused_at_its_element(text: bytes, line: int, says: str) -> None:
    with pytest.raises(UnreadableFileError, match=says) as refused:
        list(open_rows(io.BytesIO(text), max_line=64 if b"xxx" in text else 4 * 1024**2))
    assert refused.value.line == line


def test_an_array_that_unpacks_beyond_the_limit_is_refused() -> None:
    bomb = gzip.compress(b"[" + b"{}," * 1_000_000 + b"{}]")
    assert len(bomb) < 10_000
    with pytest.raises(UnreadableFileError, match="longer than 100,000 bytes"):
        list(open_rows(io.BytesIO(bomb), max_file=100_000))


def test_a_file_that_unpacks_to_nothing_but_line_ends_is_refused_soon() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("annotation.core.formats.lines.MAX_ROWS", 1000)
        with pytest.raises(UnreadableFileError, match="more than 1,000 lines"):
            list(open_rows(io.BytesIO(gzip.compress(b"\n" * 2000))))


def test_a_zip_archive_is_refused_with_what_to_do() -> None:
    with pytest.raises(UnreadableFileError, match="a zip archive: unpack it"):
        list(open_rows(io.BytesIO(b"PK\x03\x04rest")))


def test_lines_are_read_as_they_are() -> None:
    assert list(open_rows(io.BytesIO(b'{"a": 1}\n{"a": 2}\n'))) == ['{"a": 1}', '{"a": 2}']
