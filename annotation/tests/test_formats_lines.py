"""Reading lines from files that people bring."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import pytest

from annotation.core.formats.lines import UnreadableFileError, open_lines


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
