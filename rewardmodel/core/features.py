"""Features of responses from a frozen backbone, computed once and kept, so that a killed run goes on.

Knows batches, chunks and files. Must not know pairs, grades or losses.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import torch
from safetensors.torch import load_file, save
from torch import Tensor

from rewardmodel.core.files import write_atomically
from rewardmodel.core.layout import Batch, plan_batches
from rewardmodel.core.network import RewardNetwork
from rewardmodel.core.report import Reporter
from rewardmodel.core.rows import Row

CHUNK_TOKENS: Final = 16_384  # one file; about what a kill costs, ten seconds on two CPU cores


def extract(
    network: RewardNetwork,
    rows: Sequence[Row],
    *,
    tokens_per_batch: int,
    cache: Path,
    backbone: str,
    report: Reporter,
) -> Tensor:
    """Features of `rows`, float32, shape [rows, features], in their order; equal rows are computed once.

    The batches are planned from the content alone, and each chunk of them is one atomically written file in a
    folder of `cache` named by the plan and `backbone`, the name of what computes (weights, layers, dtype).
    A run that was killed finds its chunks, computes the others in the same batches, and so ends alike.
    """
    distinct = list(dict.fromkeys(rows))
    batches = plan_batches([[row.tokens] for row in distinct], tokens_per_batch=tokens_per_batch)
    folder = cache / f"features-{_plan_digest(distinct, batches, backbone)[:16]}"
    folder.mkdir(parents=True, exist_ok=True)
    features = torch.empty(0)
    done = 0
    for number, chunk in enumerate(_chunks(batches)):
        report.check()
        read = _chunk(folder / f"{number:05d}.safetensors", network, distinct, chunk)
        if number == 0:
            features = torch.empty(len(distinct), read.shape[1])
        where = [row for batch in chunk for row in batch.rows]
        features[where] = read
        done += len(where)
        report.progress(done, len(distinct), "responses")
    position = {row: index for index, row in enumerate(distinct)}
    return features[[position[row] for row in rows]]


def read_batches(network: RewardNetwork, rows: Sequence[Row], batches: Iterable[Batch]) -> Iterator[Tensor]:
    """Features of each batch in turn, shape [rows of the batch, features], without gradients."""
    with torch.inference_mode():
        for batch in batches:
            yield network.features(batch, [rows[number].start for number in batch.rows]).cpu()


def _chunk(file: Path, network: RewardNetwork, rows: Sequence[Row], batches: Sequence[Batch]) -> Tensor:
    if not file.exists():
        features = torch.cat(list(read_batches(network, rows, batches)))
        write_atomically(file, save({"features": features}))
    kept: Tensor = load_file(file)["features"]
    return kept


def _chunks(batches: Sequence[Batch]) -> Iterator[list[Batch]]:
    chunk: list[Batch] = []
    for batch in batches:
        chunk.append(batch)
        if sum(one.tokens for one in chunk) >= CHUNK_TOKENS:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _plan_digest(rows: Sequence[Row], batches: Sequence[Batch], backbone: str) -> str:
    digest = hashlib.sha256(backbone.encode())
    for batch in batches:
        for number in batch.rows:
            digest.update(f"|{rows[number].start}:{rows[number].tokens}".encode())
        digest.update(b"/")
    return digest.hexdigest()
