"""Files of a snapshot as a `datasets.Dataset`. The library is asked for only here: it is large, and optional."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from margin_client.errors import MarginError

if TYPE_CHECKING:
    from datasets import Dataset


def require_datasets() -> None:
    """Raises MarginError before anything is downloaded that could not be read."""
    try:
        import datasets  # noqa: F401, PLC0415  large and optional
    except ImportError as error:
        raise MarginError(
            "Loading needs the package datasets: pip install 'margin-client[datasets]'. Without it, "
            "snapshots.download brings the files."
        ) from error


def read_dataset(files: Sequence[Path], *, split: str, cache: Path) -> Dataset:
    """The rows of Parquet or JSON Lines files, memory-mapped from below `cache`."""
    from datasets import Dataset, NamedSplit  # noqa: PLC0415  large and optional

    names = [str(file) for file in files]
    read = Dataset.from_parquet if files[0].suffix == ".parquet" else Dataset.from_json
    return read(names, split=NamedSplit(split), cache_dir=str(cache))
