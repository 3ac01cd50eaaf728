"""Freezing judgments into a file that is named by its content."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction

from annotation.core.aggregate import AggregationRule, Outcome, outcomes
from annotation.core.dawid_skene import posteriors_of
from annotation.core.grades import Choice, Focus, MarginTable, margin_of
from annotation.core.records import SCHEMA_VERSION, PreferenceRecord
from annotation.core.states import BatchState
from annotation.errors import ConflictError
from annotation.models import Batch, Comparison, Judgment, Prompt, Snapshot, User
from annotation.queries import judged_comparisons
from annotation.services.audit import record
from annotation.votes import vote_of


@dataclass(frozen=True, slots=True)
class _Recipe:
    """What becomes rows, and how."""

    batches: Sequence[Batch]
    margin_table: MarginTable
    aggregation: AggregationRule


@dataclass(frozen=True, slots=True)
class _Written:
    """The file that came of it."""

    name: str
    digest: str
    rows: int
    counts: dict[str, int]


def create_snapshot(
    *,
    batches: Sequence[Batch],
    name: str = "",
    margin_table: MarginTable = MarginTable.SMALL,
    aggregation: AggregationRule = AggregationRule.MAJORITY,
    by: User | None = None,
) -> Snapshot:
    """Write the sealed batches as JSON lines with a manifest, and register the file.

    Several judgments of a pair become rows as `aggregation` says. Rows stand in the order of their keys, so
    equal data are equal bytes. Written beside its place and renamed,
    so a process killed half-way leaves nothing that looks like a snapshot. The same content again returns the
    existing snapshot.

    Raises:
        ConflictError: a batch is not sealed, or the name belongs to other content.
    """
    if unsealed := [b.name for b in batches if b.state != BatchState.SEALED]:
        raise ConflictError(
            f"Seal {', '.join(unsealed)} first: a snapshot holds only what no longer changes."
        )
    recipe = _Recipe(batches, margin_table, aggregation)
    root = settings.MARGIN_HOME / "snapshots"
    root.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=root))
    try:
        counts = Counter[str]()
        digest, rows = _write_lines(draft / "data.jsonl", _records(recipe, counts))
        name = name or f"{batches[-1].name[:60]} {margin_table} {digest[:8]}"
        written = _Written(name, digest, rows, dict(sorted(counts.items())))
        manifest = _manifest(recipe, written)
        (draft / "manifest.json").write_text(json.dumps(manifest, indent=2, sort_keys=True) + "\n")
        place = root / digest[:32]
        if not place.exists():
            draft.replace(place)
        return _register(recipe, written, place, by)
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


def _records(recipe: _Recipe, counts: Counter[str]) -> Iterator[PreferenceRecord]:
    """Aggregated comparisons in the order of their keys; `counts` is filled on the way."""
    posteriors = _posteriors(recipe)
    for comparison in judged_comparisons(recipe.batches).iterator(chunk_size=500):
        if comparison.dialogue.prompt.split == Prompt.Split.NEITHER:
            counts["left out: resembles prompts of both sides"] += 1
            continue
        votes = [vote_of(judgment) for judgment in comparison.judgments.all()]
        found = outcomes(recipe.aggregation, votes, posterior=posteriors.get(comparison.pk))
        if not found:
            counts["left out: people disagree"] += 1
        for number, outcome in enumerate(found):
            row = _row(comparison, outcome, recipe, number)
            _count(row, counts)
            yield row


def _posteriors(recipe: _Recipe) -> dict[int, float]:
    """By comparison the probability that A is better, where the rule asks for it: a first pass over all votes."""
    if recipe.aggregation is not AggregationRule.DAWID_SKENE:
        return {}
    votes = Judgment.objects.counting().filter(comparison__batch__in=recipe.batches)
    return posteriors_of(votes.values_list("comparison_id", "annotator_id", "choice").iterator())


def _count(row: PreferenceRecord, counts: Counter[str]) -> None:
    counts.update(
        (
            f"split: {row.split}",
            f"focus: {row.focus}",
            f"grade: {row.grade or 'none'}",
            f"safety: {row.safety or 'none'}",
        )
    )


def _row(comparison: Comparison, outcome: Outcome, recipe: _Recipe, number: int) -> PreferenceRecord:
    pair = (comparison.response_a, comparison.response_b)
    chosen, rejected = pair if outcome.choice is Choice.A else pair[::-1]
    prompt = comparison.dialogue.prompt
    # Where a comparison may have several rows, each has a name of its own.
    suffix = f".{number}" if recipe.aggregation is AggregationRule.EACH else ""
    return PreferenceRecord(
        id=comparison.key + suffix,
        prompt=prompt.key,
        dialogue=comparison.dialogue.key,
        batch=comparison.batch.name,
        focus=Focus(comparison.focus),
        split="test" if prompt.split == Prompt.Split.TEST else "train",
        messages=tuple(comparison.dialogue.messages),
        chosen=chosen.text,
        rejected=rejected.text,
        grade=outcome.grade,
        margin=margin_of(outcome.grade, recipe.margin_table),
        safety=outcome.safety,
        judgments=outcome.judgments,
        weight=outcome.weight,
        chosen_policy=chosen.policy,
        rejected_policy=rejected.policy,
    )


def _manifest(recipe: _Recipe, written: _Written) -> dict[str, Any]:
    return {
        "kind": "snapshot",
        "schema": SCHEMA_VERSION,
        "name": written.name,
        "sha256": written.digest,
        "rows": written.rows,
        "batches": [batch.name for batch in recipe.batches],
        "aggregation": recipe.aggregation,
        "margin_table": recipe.margin_table,
        "counts": written.counts,
        "code_version": settings.VERSION,
    }


def _register(recipe: _Recipe, written: _Written, place: Path, by: User | None) -> Snapshot:
    if (known := Snapshot.objects.filter(sha256=written.digest).first()) is not None:
        return known
    try:
        with transaction.atomic():
            snapshot = Snapshot.objects.create(
                name=written.name,
                sha256=written.digest,
                margin_table=recipe.margin_table,
                aggregation=recipe.aggregation,
                rows=written.rows,
                counts=written.counts,
                path=str(place.relative_to(settings.MARGIN_HOME)),
            )
            snapshot.batches.set(recipe.batches)
            record("snapshot.written", snapshot, by=by, sha256=written.digest, rows=written.rows)
            return snapshot
    except IntegrityError:
        if (known := Snapshot.objects.filter(sha256=written.digest).first()) is not None:
            return known
        raise ConflictError(f"Another snapshot is named {written.name!r}. Choose another name.") from None
