"""Freezing judgments into a file that is named by its content."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction

from annotation.core.aggregate import Outcome, Vote, majority
from annotation.core.grades import Choice, Focus, Grade, MarginTable, SafetyLabel, margin_of
from annotation.core.records import SCHEMA_VERSION, PreferenceRecord
from annotation.core.states import BatchState
from annotation.errors import ConflictError
from annotation.models import Batch, Comparison, Judgment, Snapshot
from annotation.queries import judged_comparisons

AGGREGATION = "majority/1"  # the rule of annotation.core.aggregate and its version


def create_snapshot(
    *, batches: Sequence[Batch], name: str = "", margin_table: MarginTable = MarginTable.SMALL
) -> Snapshot:
    """Write the sealed batches as JSON lines with a manifest, and register the file.

    Rows stand in the order of their keys, so equal data are equal bytes. Written beside its place and renamed,
    so a process killed half-way leaves nothing that looks like a snapshot. The same content again returns the
    existing snapshot.

    Raises:
        ConflictError: a batch is not sealed, or the name belongs to other content.
    """
    if unsealed := [b.name for b in batches if b.state != BatchState.SEALED]:
        raise ConflictError(
            f"Seal {', '.join(unsealed)} first: a snapshot holds only what no longer changes."
        )
    root = settings.MARGIN_HOME / "snapshots"
    root.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=root))
    try:
        counts = Counter[str]()
        digest, rows = _write_lines(draft / "data.jsonl", _records(batches, margin_table, counts))
        name = name or f"{batches[-1].name[:60]} {margin_table} {digest[:8]}"
        manifest = _manifest(name, digest, rows, batches, margin_table, counts)
        (draft / "manifest.json").write_text(json.dumps(manifest, indent=2, sort_keys=True) + "\n")
        place = root / digest[:32]
        if not place.exists():
            draft.replace(place)
        return _register(name, digest, rows, batches, margin_table, counts, place)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _write_lines(path: Path, records: Iterable[PreferenceRecord]) -> tuple[str, int]:
    digest = hashlib.sha256()
    rows = 0
    with path.open("wb") as file:
        for record in records:
            line = record.to_line().encode()
            digest.update(line)
            file.write(line)
            rows += 1
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest(), rows


def _records(
    batches: Sequence[Batch], table: MarginTable, counts: Counter[str]
) -> Iterator[PreferenceRecord]:
    """Aggregated comparisons in the order of their keys; `counts` is filled on the way."""
    for comparison in judged_comparisons(batches).iterator(chunk_size=500):
        judgments = comparison.judgments.all()
        outcome = majority([_vote(j) for j in judgments])
        if outcome is None:
            counts["left out: people disagree"] += 1
            continue
        record = _record(comparison, outcome, len(judgments), table)
        counts.update(
            (
                f"split: {record.split}",
                f"focus: {record.focus}",
                f"grade: {record.grade or 'none'}",
                f"safety: {record.safety or 'none'}",
            )
        )
        yield record


def _vote(judgment: Judgment) -> Vote:
    return Vote(
        choice=Choice(judgment.choice),
        grade=Grade(judgment.grade) if judgment.grade else None,
        safety=SafetyLabel(judgment.safety) if judgment.safety else None,
    )


def _record(comparison: Comparison, outcome: Outcome, judgments: int, table: MarginTable) -> PreferenceRecord:
    pair = (comparison.response_a, comparison.response_b)
    chosen, rejected = pair if outcome.choice is Choice.A else pair[::-1]
    prompt = comparison.dialogue.prompt
    return PreferenceRecord(
        id=comparison.key,
        prompt=prompt.key,
        dialogue=comparison.dialogue.key,
        batch=comparison.batch.name,
        focus=Focus(comparison.focus),
        split="test" if prompt.split == prompt.Split.TEST else "train",
        messages=tuple(comparison.dialogue.messages),
        chosen=chosen.text,
        rejected=rejected.text,
        grade=outcome.grade,
        margin=margin_of(outcome.grade, table),
        safety=outcome.safety,
        judgments=judgments,
        weight=outcome.weight,
        chosen_policy=chosen.policy,
        rejected_policy=rejected.policy,
    )


def _manifest(
    name: str, digest: str, rows: int, batches: Sequence[Batch], table: MarginTable, counts: Counter[str]
) -> dict[str, Any]:
    return {
        "kind": "snapshot",
        "schema": SCHEMA_VERSION,
        "name": name,
        "sha256": digest,
        "rows": rows,
        "batches": [batch.name for batch in batches],
        "aggregation": AGGREGATION,
        "margin_table": table,
        "counts": dict(sorted(counts.items())),
        "code_version": settings.VERSION,
    }


def _register(
    name: str,
    digest: str,
    rows: int,
    batches: Sequence[Batch],
    table: MarginTable,
    counts: Counter[str],
    place: Path,
) -> Snapshot:
    if (known := Snapshot.objects.filter(sha256=digest).first()) is not None:
        return known
    try:
        with transaction.atomic():
            snapshot = Snapshot.objects.create(
                name=name,
                sha256=digest,
                margin_table=table,
                rows=rows,
                counts=dict(sorted(counts.items())),
                path=str(place.relative_to(settings.MARGIN_HOME)),
            )
            snapshot.batches.set(batches)
            return snapshot
    except IntegrityError:
        if (known := Snapshot.objects.filter(sha256=digest).first()) is not None:
            return known
        raise ConflictError(f"Another snapshot is named {name!r}. Choose another name.") from None
