"""What researchers say of prompts: which are in the pool, and what they are about."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from annotation.core.categories import AttackStyle, RiskCategory
from annotation.core.formats.fields import RowError
from annotation.core.formats.prompts import MAX_LABEL, MOST_TURNS, language_code
from annotation.errors import DomainError
from annotation.models import Prompt, User
from annotation.services.audit import record

CHUNK = 500


class InvalidLabelsError(DomainError):
    code = "invalid-labels"
    status = 422


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """What is set on many prompts at once; None leaves a label as it is, an empty one takes it away."""

    category: str | None = None
    risk: str | None = None
    attack: str | None = None
    language: str | None = None
    turns: int | None = None


@transaction.atomic
def pool_prompts(*, prompts: Iterable[int], in_pool: bool, by: User | None = None) -> int:
    """Put prompts, by primary key, into the pool or take them out; returns how many that changed."""
    action = "prompt.pooled" if in_pool else "prompt.taken_out"
    changed = 0
    for chunk in _chunks(prompts):
        rows = list(chunk.exclude(in_pool=in_pool))
        chunk.update(in_pool=in_pool)
        for prompt in rows:
            record(action, prompt, by=by)
        changed += len(rows)
    return changed


@transaction.atomic
def categorise_prompts(*, prompts: Iterable[int], labels: Labels, by: User | None = None) -> int:
    """Label prompts, by primary key; returns how many that changed. Judgments and sides stay as they are.

    Raises:
        InvalidLabelsError: a label that cannot be, named by its field.
    """
    wanted = _checked(labels)
    changed = 0
    for chunk in _chunks(prompts):
        for prompt in chunk:
            before = {name: old for name in wanted if (old := getattr(prompt, name)) != wanted[name]}
            if before:
                record(
                    "prompt.categorised", prompt, by=by, before=before, after={n: wanted[n] for n in before}
                )
                changed += 1
        chunk.update(**wanted)
    return changed


def _chunks(prompts: Iterable[int]) -> Iterator[QuerySet[Prompt]]:
    rest = iter(prompts)
    while chunk := list(islice(rest, CHUNK)):
        yield Prompt.objects.filter(pk__in=chunk).order_by("pk")


def _checked(labels: Labels) -> dict[str, Any]:
    wanted = {name: value for name, value in asdict(labels).items() if value is not None}
    errors: list[dict[str, object]] = []
    for name, words in (("risk", RiskCategory), ("attack", AttackStyle)):
        if wanted.get(name) and wanted[name] not in list(words):
            errors.append({"field": name, "reason": f"Use one of {', '.join(words)}."})
    if len(wanted.get("category", "")) > MAX_LABEL:
        errors.append({"field": "category", "reason": f"Use {MAX_LABEL} characters at most."})
    if not 1 <= wanted.get("turns", 1) <= MOST_TURNS:
        errors.append({"field": "turns", "reason": f"Use a whole number from 1 to {MOST_TURNS}."})
    try:
        wanted |= {"language": language_code(wanted["language"])} if "language" in wanted else {}
    except RowError as error:
        errors.append({"field": "language", "reason": str(error)})
    if errors:
        raise InvalidLabelsError("Nothing was labelled.", errors=errors)
    return wanted
