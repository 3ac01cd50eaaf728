"""What a snapshot says of itself: its hash, its manifest and its card."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from django.conf import settings

from annotation.core.card import Card, card_files
from annotation.core.recipe import Recipe
from annotation.core.records import SCHEMA_VERSION, canonical_json
from annotation.models import Batch, Guideline, Prompt, Snapshot
from annotation.services.snapshot_files import Written, write_text
from annotation.services.snapshot_rows import Source
from annotation.services.store import MANIFEST


def content_hash(recipe: Recipe, files: Sequence[Written], parent: str | None = None) -> str:
    """The name of what a snapshot holds: its recipe, its lines and the hash of the version before. Parquet holds the
    same rows, in bytes that depend on the library that writes it, and so is not hashed here."""
    lines = {file.path: file.sha256 for file in files if file.format == "native"}
    content = {"schema": SCHEMA_VERSION, "recipe": recipe.to_json(), "files": lines, "parent": parent}
    return hashlib.sha256(canonical_json(content).encode()).hexdigest()


def describe(
    folder: Path, snapshot: Snapshot, source: Source, counts: Mapping[str, int], data: Sequence[Written]
) -> tuple[str, list[Written]]:
    """Write the card and, as the last, the manifest; the content's hash and all files."""
    parent = snapshot.parent
    sha256 = content_hash(source.recipe, data, None if parent is None else parent.sha256)
    manifest = _manifest(snapshot, source, counts, data, sha256)
    card = Card(manifest=manifest, languages=_languages(source.batches))
    described = [write_text(folder, path, text, media) for path, media, text in card_files(card)]
    files = [*data, *described]
    manifest["files"] = {file.path: _facts(file) for file in sorted(files, key=lambda file: file.path)}
    text = json.dumps(manifest, ensure_ascii=False, indent=2, sort_keys=True) + "\n"
    return sha256, [*files, write_text(folder, MANIFEST, text, "application/json")]


def _manifest(
    snapshot: Snapshot, source: Source, counts: Mapping[str, int], data: Sequence[Written], sha256: str
) -> dict[str, Any]:
    recipe, parent = source.recipe, snapshot.parent
    margins = recipe.margin_by_grade()
    return {
        "kind": "snapshot",
        "schema": SCHEMA_VERSION,
        "name": snapshot.name,
        "version": snapshot.version,
        "sha256": sha256,
        "rows": sum(file.rows or 0 for file in data if file.format == "native"),
        "batches": [
            {"number": b.number, "name": b.name} for b in sorted(source.batches, key=lambda b: b.number)
        ],
        "guidelines": _guidelines(source),
        "annotators": len(source.people),
        "aggregation": recipe.aggregation.value,
        "margin_table": recipe.margin_table.value,
        "margins": {grade.value: margin for grade, margin in margins.items() if grade is not None},
        "recipe": recipe.to_json(),
        "counts": dict(counts),
        "parent": None if parent is None else {"sha256": parent.sha256, "version": parent.version},
        "reason": snapshot.reason,
        "code_version": settings.VERSION,
    }


def _guidelines(source: Source) -> list[str]:
    used = Guideline.objects.filter(pk__in=[pk for pk in source.guidelines if pk])
    return [str(guideline) for guideline in used.order_by("focus", "version")]


def _languages(batches: Sequence[Batch]) -> list[str]:
    spoken = Prompt.objects.filter(dialogues__comparisons__batch__in=batches).exclude(language="")
    return sorted(set(spoken.order_by().values_list("language", flat=True).distinct()))


def _facts(file: Written) -> dict[str, Any]:
    facts = {"sha256": file.sha256, "bytes": file.bytes, "media_type": file.media_type}
    rows = {"rows": file.rows, "split": file.split, "format": file.format} if file.rows is not None else {}
    return {**facts, **rows}
