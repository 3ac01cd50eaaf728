"""Features of rows in files that runs share: found by content, checked when read, forgotten when long unused.

Knows keys, files, hard links and room on a disk. Must not know models, batches or what a feature means.

A file never changes once it has its name, and its name comes in one move; a reader sees all of it or none, however
many processes work in the folder and wherever one is killed. A file that was damaged is found out by its hash.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from rewardmodel.core.files import write_atomically
from rewardmodel.core.rows import Row

LIMIT_BYTES: Final = (
    2 * 1024**3
)  # of all backbones together; some 400,000 rows of a 135 M model, 60,000 of a 7 B one
LEFT_OVER_SECONDS: Final = 86_400.0  # a temporary file of that age belongs to a process that was killed
KEY_BYTES: Final = 32


@dataclass(frozen=True)
class Chunk:
    """Features of some rows.

    Attributes:
        keys: `row_key` of each row.
        features: float32, shape [rows, features].
    """

    keys: tuple[bytes, ...]
    features: Tensor

    @property
    def sha256(self) -> str:
        """Of keys, shape and features; what a file is named by and checked with."""
        digest = hashlib.sha256(f"{tuple(self.features.shape)}".encode())
        digest.update(b"".join(self.keys))
        digest.update(self.features.numpy().tobytes())
        return digest.hexdigest()


def row_key(row: Row) -> bytes:
    """SHA-256 of all that features depend on besides the backbone: the tokens, and where the response begins."""
    return hashlib.sha256(np.asarray([row.start, *row.tokens], dtype="<i8").tobytes()).digest()


def write_chunk(path: Path, chunk: Chunk) -> None:
    """Write a file that `read_chunk` can check. One process a path: see `FeatureStore.add` for shared folders."""
    keys = torch.from_numpy(np.frombuffer(b"".join(chunk.keys), dtype=np.uint8).copy()).view(-1, KEY_BYTES)
    tensors = {"keys": keys, "features": chunk.features.contiguous()}
    write_atomically(path, save(tensors, metadata={"sha256": chunk.sha256}))


def read_chunk(path: Path) -> Chunk | None:
    """What `write_chunk` wrote, or None where there is no such file or it is not what was written."""
    try:
        with safe_open(path, framework="pt") as file:
            chunk = Chunk(_keys(file.get_tensor("keys")), file.get_tensor("features"))
            expected = (file.metadata() or {}).get("sha256")
    except (OSError, ValueError, SafetensorError):
        return None
    return chunk if chunk.sha256 == expected else None


def _keys(tensor: Tensor) -> tuple[bytes, ...]:
    flat = tensor.numpy().tobytes()
    return tuple(flat[start : start + KEY_BYTES] for start in range(0, len(flat), KEY_BYTES))


class FeatureStore:
    """The files of one backbone, below a folder that all backbones share and that is bounded as a whole."""

    def __init__(self, root: Path, backbone: str, *, limit: int = LIMIT_BYTES) -> None:
        """`backbone` names what computes: weights, layers, dtype, pooling."""
        self._root = root
        self._folder = root / hashlib.sha256(backbone.encode()).hexdigest()[:16]
        self._limit = limit
        self._folder.mkdir(parents=True, exist_ok=True)

    def find(self, wanted: Iterable[bytes]) -> dict[bytes, Path]:
        """For each of the keys that are there the file that holds it; that it can be read is not promised."""
        asked = set(wanted)
        found: dict[bytes, Path] = {}
        for path in sorted(self._folder.glob("*.safetensors")):
            try:
                with safe_open(path, framework="pt") as file:
                    keys = _keys(file.get_tensor("keys"))
            except FileNotFoundError:  # somebody has just made room
                continue
            except (OSError, ValueError, SafetensorError):
                self.drop(path)
                continue
            for key in keys:
                if key in asked:
                    found.setdefault(key, path)
        return found

    def lend(self, path: Path, target: Path) -> Chunk | None:
        """Give `target` the content of a file that `find` named; it stays when the store forgets its own.

        None where the file is gone or damaged; then there is no `target`, and a damaged file is forgotten.
        """
        with contextlib.suppress(FileNotFoundError):
            os.utime(path)  # it was used: others go first
            _place(path, target)
        chunk = read_chunk(target)
        if chunk is None:
            target.unlink(missing_ok=True)
            self.drop(path)
        return chunk

    def add(self, path: Path, chunk: Chunk) -> None:
        """Keep `path`, in which `chunk` was written, for others too."""
        target = self._folder / f"{chunk.sha256}.safetensors"
        if not target.exists():
            _place(path, target)

    def drop(self, path: Path) -> None:
        path.unlink(missing_ok=True)

    def trim(self) -> None:
        """Forget the files that were not used for longest until the rest keeps the limit."""
        files = []
        for path in self._root.glob("*/*"):
            with contextlib.suppress(FileNotFoundError):
                status = path.stat()
                if path.suffix == ".safetensors":
                    files.append((status.st_mtime_ns, path.name, status.st_size, path))
                elif path.suffix == ".tmp" and time.time() - status.st_mtime > LEFT_OVER_SECONDS:
                    self.drop(path)
        room = self._limit
        for _, _, size, path in sorted(files, reverse=True):
            room -= size
            if room < 0:
                self.drop(path)


def _place(source: Path, target: Path) -> None:
    """The file under a second name, without a copy where the file system can; nothing where the name is taken.

    Raises:
        FileNotFoundError: if the source is gone.
    """
    try:
        os.link(source, target)
    except FileExistsError:
        return
    except FileNotFoundError:
        raise
    except OSError:  # another file system, or one without links
        temporary = target.with_name(f".{uuid.uuid4().hex}.tmp")
        shutil.copyfile(source, temporary)
        temporary.replace(target)
