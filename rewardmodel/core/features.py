"""Features of responses from a frozen backbone, computed once and kept: for this run, and for later ones.

Knows batches, chunks and the store. Must not know pairs, grades or losses.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from annotation.core.records import canonical_json
from rewardmodel.core.feature_store import Chunk, FeatureStore, read_chunk, row_key, write_chunk
from rewardmodel.core.files import write_atomically
from rewardmodel.core.layout import Batch, plan_batches
from rewardmodel.core.network import RewardNetwork
from rewardmodel.core.report import Reporter
from rewardmodel.core.rows import Row

CHUNK_TOKENS: Final = 16_384  # one file; about what a kill costs, ten seconds on two CPU cores
PLAN: Final = "plan.json"


def extract(
    network: RewardNetwork,
    rows: Sequence[Row],
    *,
    tokens_per_batch: int,
    cache: Path,
    backbone: str,
    report: Reporter,
    work: Path | None = None,
) -> Tensor:
    """Features of `rows`, float32, shape [rows, features], in their order; equal rows are computed once.

    `cache` holds a store that runs share: rows that any run has read with `backbone`, the name of what computes
    (weights, layers, dtype, pooling), are taken from there, and the others are added. `work` is the run's own
    folder, by default `cache`.

    What is promised: which rows were missing is decided once, at the run's first start, and kept in `work` with
    the features that were there. A run that was killed therefore computes the same rows in the same batches, and
    ends alike. A run beside another store may not, since a row's features differ in their last bits with the
    batch that it was computed in; with an empty store the same rows always give the same bytes on a CPU.
    """
    distinct = list(dict.fromkeys(rows))
    keys = [row_key(row) for row in distinct]
    store = FeatureStore(cache / "features", backbone)
    name = hashlib.sha256(b"".join([f"{backbone}|{tokens_per_batch}|".encode(), *keys])).hexdigest()
    folder = (cache if work is None else work) / f"features-{name[:16]}"
    start = _resumed(folder) or _begun(folder, store, keys)
    known = dict(start.known)
    if known:
        report.note(f"{len(keys) - len(start.missing)} of {len(keys)} responses were encoded before.")
    done = len(keys) - len(start.missing)
    report.progress(done, len(keys), "responses")
    todo = [distinct[number] for number in start.missing]
    batches = plan_batches([[row.tokens] for row in todo], tokens_per_batch=tokens_per_batch)
    for number, part in enumerate(_chunks(batches)):
        report.check()
        chunk = _chunk(folder / f"{number:05d}.safetensors", network, todo, part)
        store.add(folder / f"{number:05d}.safetensors", chunk)
        known.update(zip(chunk.keys, chunk.features, strict=True))
        done += len(chunk.keys)
        report.progress(done, len(keys), "responses")
    store.trim()
    return torch.stack([known[row_key(row)] for row in rows]) if rows else torch.empty(0)


def read_batches(network: RewardNetwork, rows: Sequence[Row], batches: Iterable[Batch]) -> Iterator[Tensor]:
    """Features of each batch in turn, shape [rows of the batch, features], without gradients."""
    with torch.inference_mode():
        for batch in batches:
            yield network.features(batch, [rows[number].start for number in batch.rows]).cpu()


@dataclass(frozen=True)
class _Start:
    """What a run found at its first start: features that were there, and numbers of the rows that were not."""

    known: dict[bytes, Tensor]
    missing: list[int]


def _begun(folder: Path, store: FeatureStore, keys: Sequence[bytes]) -> _Start:
    """Take what the store has into the run's folder, and write down what it has not."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    asked = set(keys)
    known: dict[bytes, Tensor] = {}
    found: list[str] = []
    for path in sorted(set(store.find(asked).values())):
        chunk = store.lend(path, folder / path.name)
        if chunk is not None:
            found.append(path.name)
            _learn(known, chunk, asked)
    missing = [number for number, key in enumerate(keys) if key not in known]
    write_atomically(folder / PLAN, canonical_json({"found": found, "missing": missing}) + "\n")
    return _Start(known, missing)


def _resumed(folder: Path) -> _Start | None:
    """What `_begun` wrote down in an earlier attempt; None where there was none, or a file of it was damaged."""
    try:
        plan: dict[str, Any] = json.loads((folder / PLAN).read_bytes())
    except (OSError, ValueError):
        return None
    known: dict[bytes, Tensor] = {}
    for name in plan["found"]:
        chunk = read_chunk(folder / name)
        if chunk is None:
            return None
        _learn(known, chunk, None)
    return _Start(known, plan["missing"])


def _learn(known: dict[bytes, Tensor], chunk: Chunk, asked: set[bytes] | None) -> None:
    for key, features in zip(chunk.keys, chunk.features, strict=True):
        if asked is None or key in asked:
            known.setdefault(key, features)


def _chunk(file: Path, network: RewardNetwork, rows: Sequence[Row], batches: Sequence[Batch]) -> Chunk:
    """The features of the batches, from the run's file or computed; a damaged file is computed again."""
    keys = tuple(row_key(rows[number]) for batch in batches for number in batch.rows)
    kept = read_chunk(file)
    if kept is not None and kept.keys == keys:
        return kept
    chunk = Chunk(keys, torch.cat(list(read_batches(network, rows, batches))))
    write_chunk(file, chunk)
    return chunk


def _chunks(batches: Sequence[Batch]) -> Iterator[list[Batch]]:
    chunk: list[Batch] = []
    for batch in batches:
        chunk.append(batch)
        if sum(one.tokens for one in chunk) >= CHUNK_TOKENS:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
