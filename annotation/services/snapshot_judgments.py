"""Raw judgments as lines: one row for each that counts, of every pair that a recipe takes.

A line is what annotation.core.exports.judgments gives of a JudgmentRecord, made without a record: a million of them
are written. Rows stand by week, key of the pair and uid.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import orjson
from django.db.models import TextField
from django.db.models.functions import Cast

from annotation.core.exports.judgments import utc_text
from annotation.core.recipe import Recipe
from annotation.models import Batch, Guideline, Prompt, User
from annotation.services.snapshot_lines import SPLITS
from annotation.services.snapshot_order import Sorter
from annotation.services.snapshot_rows import Pair, ahead, chosen, judgments_between, left_out, pairs_of

_Said = dict[int, list[tuple[Any, ...]]]  # by pair, as COLUMNS without the first

COLUMNS: Final = (
    "comparison_id",
    "name",
    "annotator_id",
    "moment",
    "choice",
    "grade",
    "safety",
    "left",
    "active_ms",
    "guideline_id",
    "source",
    "comment",
)


def judgment_lines(recipe: Recipe, batches: Sequence[Batch], folder: Path) -> Iterator[tuple[str, bytes]]:
    """(split, line) of each judgment; `folder` is for what is being sorted."""
    without = left_out(recipe)
    guidelines = {row.pk: str(row) for row in Guideline.objects.all()}
    people = _Pseudonyms()
    for batch in sorted(batches, key=lambda batch: batch.number):
        sorter = Sorter(folder, chosen(batch, recipe).count() * batch.overlap)
        for pairs, said in ahead(lambda batch=batch: _pages(batch, recipe, without)):  # type: ignore[misc]
            people.know({row[1] for rows in said.values() for row in rows})
            for place, line in _lines(batch.name, pairs, said, people.names, guidelines):
                sorter.add(place, line)
        for place, line in sorter.lines():
            yield SPLITS[place[-1:]], line


def _pages(batch: Batch, recipe: Recipe, without: list[int]) -> Iterator[tuple[list[Pair], _Said]]:
    for pairs in pairs_of(batch, recipe):
        found: _Said = {}
        rows = judgments_between(pairs[0][0], pairs[-1][0], without)
        # As text: the driver takes longer for a moment with its zone than all the rest of the row.
        rows = rows.annotate(moment=Cast("created_at", TextField()))
        for pair, *row in rows.values_list(*COLUMNS):
            found.setdefault(pair, []).append(tuple(row))
        yield pairs, found


class _Pseudonyms:
    """By primary key, read when first met: a house may have more people than a snapshot."""

    def __init__(self) -> None:
        self.names: dict[int, str] = {}

    def know(self, people: set[int]) -> None:
        if new := people - self.names.keys():
            self.names.update(User.objects.filter(pk__in=new).values_list("pk", "pseudonym"))


def _lines(
    batch: str, pairs: Sequence[Pair], said: _Said, people: dict[int, str], guidelines: dict[int, str]
) -> Iterator[tuple[bytes, bytes]]:
    dumps, loads, newline = orjson.dumps, orjson.loads, orjson.OPT_APPEND_NEWLINE
    for pk, key, focus, dialogue, turns, prompt, side, text_a, policy_a, text_b, policy_b in pairs:
        if side == Prompt.Split.NEITHER or pk not in said:
            continue
        split = "test" if side == Prompt.Split.TEST else "train"
        messages = [{"role": turn["role"], "content": turn["content"]} for turn in loads(turns)]
        for uid, person, moment, choice, grade, safety, left, active, guideline, source, comment in said[pk]:
            name = uid if len(uid) == 36 else _dashed(uid)
            row = {
                "uid": name,
                "comparison": key,
                "prompt": prompt,
                "dialogue": dialogue,
                "batch": batch,
                "split": split,
                "focus": focus,
                "annotator": people[person],
                "time": _utc(moment),
                "choice": choice,
                "grade": grade,
                "safety": safety,
                "left": left,
                "active_ms": active,
                "guideline": guidelines.get(guideline, ""),
                "source": source,
                "comment": comment,
                "messages": messages,
                "response_a": text_a,
                "response_b": text_b,
                "policy_a": policy_a,
                "policy_b": policy_b,
            }
            yield f"{key}{name}{split[1]}".encode(), dumps(row, option=newline)


def _dashed(uid: str) -> str:
    """SQLite keeps a UUID without its dashes."""
    return f"{uid[:8]}-{uid[8:12]}-{uid[12:16]}-{uid[16:20]}-{uid[20:]}"


def _utc(text: str) -> str:
    """What utc_text makes of the moment, from the database's text of it: its own zone is UTC, SQLite names none."""
    date, zone = text[:10], text[19:].lstrip(".0123456789")
    if zone not in ("", "+00"):
        return utc_text(datetime.fromisoformat(text))
    part = text[20 : len(text) - len(zone)]
    return f"{date}T{text[11:19]}.{part:0<6}Z"
