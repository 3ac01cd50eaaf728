"""The rows of a file of any kind that is imported, as JSON texts in a stream: Parquet here, all others in core.

Knows Parquet and its limits. Must not know what a row says.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from annotation.core.formats.lines import MAX_FILE, MAX_LINE, MAX_ROWS, UnreadableFileError, open_rows

PARQUET_MAGIC: Final = b"PAR1"
BATCH: Final = 64  # rows in memory at once


def rows_of(path: Path, *, max_file: int = MAX_FILE) -> Iterator[str]:
    """Its rows, in constant memory; `max_file` bounds the bytes after unpacking.

    Raises:
        UnreadableFileError: at once or while iterating: it cannot be read to its end.
    """
    with path.open("rb") as file:
        is_parquet = file.read(len(PARQUET_MAGIC)) == PARQUET_MAGIC
    return _parquet(path, max_file) if is_parquet else open_rows(path, max_file=max_file)


def _parquet(path: Path, max_file: int) -> Iterator[str]:
    try:
        pyarrow, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError as error:
        raise UnreadableFileError(
            1, "Parquet cannot be read here: pyarrow is not installed. Bring JSON lines"
        ) from error
    number, total = 0, 0
    try:
        with parquet.ParquetFile(path) as file:
            _check_size(file.metadata, max_file)
            for batch in file.iter_batches(batch_size=BATCH):
                total += batch.nbytes
                if total > max_file:
                    raise UnreadableFileError(
                        number + 1, f"the file unpacks to more than {max_file:,} bytes: split it"
                    )
                for row in batch.to_pylist():
                    number += 1
                    yield _text(row, number)
    except (pyarrow.ArrowException, OSError) as error:
        raise UnreadableFileError(number + 1, "the Parquet file is damaged or cut short") from error


def _check_size(metadata: Any, max_file: int) -> None:
    """What the file says of itself, before anything is unpacked; what it unpacks to is counted besides."""
    size = sum(metadata.row_group(n).total_byte_size for n in range(metadata.num_row_groups))
    if size > max_file:
        raise UnreadableFileError(1, f"the file unpacks to {size:,} bytes, more than {max_file:,}: split it")
    if metadata.num_rows > MAX_ROWS:
        raise UnreadableFileError(1, f"the file has more than {MAX_ROWS:,} rows: split it")


def _text(row: dict[str, Any], number: int) -> str:
    text = json.dumps(_plain(row), ensure_ascii=False)
    if len(text) > MAX_LINE:
        raise UnreadableFileError(number, f"longer than {MAX_LINE:,} characters")
    return text


def _plain(value: Any) -> Any:
    """A value of a table as one of JSON: not-a-number is how tables write that there is none."""
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value)
    return value if value is None or isinstance(value, str | int) else str(value)
