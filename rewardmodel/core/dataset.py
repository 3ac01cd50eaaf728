"""A snapshot as encoded pairs: what a reward model learns from, and what it is measured on.

Knows records, splits, lengths and labels. Must not know models, losses or how pairs are batched.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from annotation.core.grades import SafetyLabel
from annotation.core.records import PreferenceRecord
from rewardmodel.core.files import ManifestError, read_manifest, sha256_of
from rewardmodel.core.mixture import mix
from rewardmodel.core.report import Reporter, RunFailedError
from rewardmodel.core.rows import Pair, RowEncoder
from rewardmodel.core.spec import TrainRewardModelSpec


@dataclass(frozen=True)
class Dataset:
    """Encoded pairs.

    Attributes:
        train: the mixture, to learn from.
        own: of the focus, to evaluate on; of which split, `split` says.
        other: of the other focus, to evaluate on; always test pairs.
        mixture: how many pairs there were, were drawn, and were too long.
    """

    train: list[Pair]
    own: list[Pair]
    other: list[Pair]
    split: Literal["train", "test"]
    mixture: dict[str, int]


LINES: Final = ("data/train.jsonl", "data/test.jsonl")
OLD_LINES: Final = "data.jsonl"  # of a snapshot that was written as one file, whose hash is the snapshot's


def read_snapshot(directory: Path) -> tuple[list[PreferenceRecord], dict[str, str]]:
    """Records of a snapshot, both splits, and its name and hash.

    Raises:
        RunFailedError: if the data is not what the manifest says.
    """
    try:
        manifest = read_manifest(directory)
        hashes = _hashes(manifest)
        found = {path: sha256_of(directory / path) for path in hashes}
    except (OSError, ValueError) as error:
        raise RunFailedError(f"The snapshot cannot be read: {error}.") from error
    if found != hashes:
        raise RunFailedError("The snapshot's data is not what its manifest says. Make the snapshot again.")
    records = [record for path in hashes for record in _records(directory / path)]
    return records, {"name": str(manifest["name"]), "sha256": str(manifest["sha256"])}


def _hashes(manifest: Mapping[str, Any]) -> dict[str, str]:
    """The hash that each file of lines should have."""
    files = manifest.get("files")
    if files is None:
        return {OLD_LINES: str(manifest.get("sha256"))}
    try:
        return {path: str(files[path]["sha256"]) for path in LINES}
    except (KeyError, TypeError):
        raise ManifestError("its manifest does not list the files of both splits") from None


def _records(path: Path) -> Iterator[PreferenceRecord]:
    with path.open(encoding="utf-8", newline="\n") as lines:
        for line in lines:
            yield PreferenceRecord.from_line(line)


def encode_dataset(
    records: Sequence[PreferenceRecord],
    spec: TrainRewardModelSpec,
    encoder: RowEncoder,
    seed: int,
    report: Reporter,
) -> Dataset:
    """Draw the mixture, encode it and the test pairs, and leave out, counted, what does not fit.

    Without test pairs of the focus, its training pairs are what is evaluated, and `split` says so.

    Raises:
        RunFailedError: if nothing is left to learn from.
    """
    mixture = mix([r for r in records if r.split == "train"], focus=spec.focus, seed=seed, report=report)
    tests = [r for r in records if r.split == "test"]
    if not mixture.records:
        raise RunFailedError(
            "The snapshot holds no training pairs. Judge comparisons, seal their batch, make a snapshot of "
            "it and train again."
        )
    encoded = _encode([*mixture.records, *tests], encoder, report)
    train_pairs = _present(encoded, mixture.records)
    own = _present(encoded, [r for r in tests if r.focus is spec.focus])
    other = _present(encoded, [r for r in tests if r.focus is not spec.focus])
    too_long = len(mixture.records) - len(train_pairs)
    test_too_long = len(tests) - len(own) - len(other)
    if too_long or test_too_long:
        report.note(
            f"{too_long} training and {test_too_long} test pairs do not fit into {spec.max_length} tokens "
            "and are left out; a larger max_length would keep them."
        )
    if not train_pairs:
        raise RunFailedError(
            f"None of the {too_long} training pairs fits into {spec.max_length} tokens. Raise max_length."
        )
    split: Literal["train", "test"] = "test"
    if not own:
        split, own = "train", [pair for pair in train_pairs if pair.record.focus is spec.focus]
        report.note(f"There are no {spec.focus} pairs to test with; the figures are those of training pairs.")
    counts = {**mixture.counts, "too_long": too_long, "test_too_long": test_too_long}
    return Dataset(train_pairs, own, other, split, counts)


def _encode(
    records: Sequence[PreferenceRecord], encoder: RowEncoder, report: Reporter
) -> dict[str, Pair | None]:
    encoded: dict[str, Pair | None] = {}
    for number, record in enumerate(records, start=1):
        encoded[record.id] = encoder.pair(record)
        report.progress(number, len(records), "pairs")
        report.check()
    return encoded


def _present(encoded: Mapping[str, Pair | None], records: Sequence[PreferenceRecord]) -> list[Pair]:
    return [pair for record in records if (pair := encoded[record.id]) is not None]


def safety_signs(label: SafetyLabel | None) -> tuple[int, int]:
    """+1 safe, -1 unsafe, 0 unlabelled, for the chosen and the rejected response."""
    if label is None:
        return 0, 0
    return (1 if label.chosen_is_safe else -1), (1 if label.rejected_is_safe else -1)
