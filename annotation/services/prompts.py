"""How prompts come into the pool, and how hard they turn out to be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import Any

from django.db import transaction

from annotation.core.curriculum import Standing, difficulties, standing_of
from annotation.core.formats.base import BadRow
from annotation.core.formats.lines import UnreadableFileError
from annotation.core.formats.prompts import ImportedPrompt
from annotation.core.grades import Focus
from annotation.core.records import prompt_key
from annotation.errors import ConflictError, DomainError, InvalidImportError
from annotation.models import Prompt, User
from annotation.services.audit import record
from annotation.services.duplicates import Near, insert_prompts, near_prompts

CHUNK = 500
DIGITS = 4  # of a difficulty


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPrompt:
    """A prompt for the pool."""

    text: str
    focus: Focus
    source: str = ""
    category: str = ""
    risk: str = ""
    attack: str = ""
    language: str = ""
    licence: str = ""
    turns: int = 1
    difficulty: float | None = None


@dataclass(frozen=True, slots=True)
class Resemblance:
    """A new prompt and one that it is a near-duplicate of."""

    text: str
    other: str
    similarity: float


@dataclass(slots=True)
class PromptReport:
    """What an import did; `bad_rows` holds {"line", "reason"} of each row that was left out. What was stored before
    keeps its labels."""

    new: int = 0
    joined: int = 0  # stored before, and now in the pool
    already: int = 0  # in the pool before
    repeated: int = 0  # again within the file
    near: list[Resemblance] = field(default_factory=list)
    bad_n: int = 0
    bad_rows: list[dict[str, object]] = field(default_factory=list)


class PromptRehearsalError(DomainError):
    """Raised to roll a rehearsal back; carries the report."""

    def __init__(self, report: PromptReport) -> None:
        super().__init__("Nothing was stored: this was a rehearsal.")
        self.report = report


class ResemblesError(ConflictError):
    """A prompt is a near-duplicate of others; carries them, the closest first."""

    code = "resembles"

    def __init__(self, near: Sequence[tuple[Prompt, float]]) -> None:
        (closest, similarity), *others = near
        many = f"{len(near)} prompts, the closest" if others else "a prompt"
        super().__init__(
            f"It resembles {many} by {similarity:.2f}: “{closest!s}” Change it, or add it all the same."
        )
        self.near = near


@transaction.atomic
def add_prompts(prompts: Iterable[NewPrompt]) -> int:
    """Put prompts into the pool; returns how many were new to it."""
    report = PromptReport()
    _add(prompts, report)
    return report.new + report.joined


@transaction.atomic
def import_prompts(
    *,
    items: Iterable[ImportedPrompt | BadRow],
    name: str,
    skip_invalid: bool = False,
    dry_run: bool = False,
    by: User | None = None,
) -> PromptReport:
    """Put a read file into the pool: all of it, or nothing. `name` is what the audit calls it.

    Raises:
        InvalidImportError: bad rows (all of them listed) without `skip_invalid`, or a file that cannot be read to
            its end.
        PromptRehearsalError: `dry_run` was asked for; carries the report.
    """
    report = PromptReport()
    first = _add(_good(items, report), report)
    if report.bad_rows and not skip_invalid:
        raise InvalidImportError(
            f"{len(report.bad_rows)} rows cannot be imported, so nothing was. Mend them, or leave them out.",
            errors=report.bad_rows,
        )
    if dry_run:
        raise PromptRehearsalError(report)
    if first is not None:
        record("prompt.imported", first, by=by, file=name, new=report.new, joined=report.joined)
    return report


def _good(items: Iterable[ImportedPrompt | BadRow], report: PromptReport) -> Iterator[NewPrompt]:
    try:
        for item in items:
            if isinstance(item, BadRow):
                report.bad_n += 1
                report.bad_rows.append({"line": item.line, "reason": item.reason})
            else:
                yield _new(item)
    except UnreadableFileError as error:
        raise InvalidImportError(
            f"The file cannot be read to its end, so nothing was imported: {error}",
            errors=[{"line": error.line, "reason": error.reason}],
        ) from error


def _new(item: ImportedPrompt) -> NewPrompt:
    return NewPrompt(
        text=item.text,
        focus=item.focus,
        source=item.source,
        category=item.category,
        risk=item.risk or "",
        attack=item.attack or "",
        language=item.language,
        licence=item.licence,
        turns=item.turns,
        difficulty=item.difficulty,
    )


def _add(prompts: Iterable[NewPrompt], report: PromptReport) -> Prompt | None:
    """Returns the first one that the pool did not have."""
    first: str | None = None
    seen: set[str] = set()
    source = iter(prompts)
    while chunk := list(islice(source, CHUNK)):
        rows = {key: _row(key, prompt) for prompt in chunk if (key := prompt_key(prompt.text)) not in seen}
        report.repeated += len(chunk) - len(rows)
        seen |= rows.keys()
        pooled = dict(Prompt.objects.filter(key__in=rows).values_list("key", "in_pool"))
        near = insert_prompts(prompts=rows.values())
        Prompt.objects.filter(key__in=rows, in_pool=False).update(in_pool=True)
        report.near += _resemblances(near)
        report.new += len(rows) - len(pooled)
        report.already += sum(pooled.values())
        report.joined += len(pooled) - sum(pooled.values())
        first = first or next((key for key in rows if not pooled.get(key)), None)
    return Prompt.objects.get(key=first) if first else None


def _row(key: str, prompt: NewPrompt) -> Prompt:
    stated = {} if prompt.difficulty is None else {"stated": prompt.source or "import"}
    return Prompt(key=key, in_pool=True, difficulty_from=stated, **asdict(prompt))


def _resemblances(near: Sequence[Near]) -> Iterator[Resemblance]:
    """The closest of each new prompt."""
    closest = {n.prompt: n for n in sorted(near, key=lambda n: n.similarity)}
    texts = dict(
        Prompt.objects.filter(
            pk__in={pk for n in closest.values() for pk in (n.prompt, n.other)}
        ).values_list("pk", "text")
    )
    for n in sorted(closest.values(), key=lambda n: n.prompt):
        yield Resemblance(texts[n.prompt], texts[n.other], n.similarity)


@transaction.atomic
def write_prompt(*, prompt: NewPrompt, despite: bool = False, by: User | None = None) -> Prompt:
    """Put one prompt into the pool.

    Raises:
        ConflictError: the pool has it.
        ResemblesError: it is a near-duplicate of others and `despite` is off.
    """
    key = prompt_key(prompt.text)
    known = Prompt.objects.filter(key=key).first()
    if known is not None and known.in_pool:
        raise ConflictError("The pool has this prompt already.")
    if known is None and not despite and (near := near_prompts(text=prompt.text)):
        raise ResemblesError(near)
    _add([prompt], PromptReport())
    written = Prompt.objects.get(key=key)
    record("prompt.written", written, by=by, focus=prompt.focus)
    return written


@transaction.atomic
def set_difficulties(*, rewards: Mapping[str, Sequence[float]], reward_model: str) -> int:
    """Estimate how hard prompts are from the rewards of K answers each, by key; returns how many were estimated.

    All prompts that this reward model has scored are ranked anew, since each is ranked among all of them.

    Raises:
        ValueError: a prompt without rewards, or one that is not finite.
    """
    found = {key: _basis(reward_model, values) for key, values in rewards.items()}
    rows = {p.key: p for p in Prompt.objects.filter(difficulty_from__reward_model=reward_model)}
    keys = iter(found.keys() - rows.keys())
    while chunk := list(islice(keys, CHUNK)):
        rows |= {prompt.key: prompt for prompt in Prompt.objects.filter(key__in=chunk)}
    basis = {key: found.get(key, prompt.difficulty_from) for key, prompt in rows.items()}
    house = [Standing(b["mean"], b["best"]) for b in basis.values()]
    changed = []
    for (key, prompt), difficulty in zip(rows.items(), difficulties(house, house), strict=True):
        after = (round(difficulty, DIGITS), basis[key])
        if (prompt.difficulty, prompt.difficulty_from) != after:
            prompt.difficulty, prompt.difficulty_from = after
            changed.append(prompt)
    changed.sort(key=lambda prompt: prompt.pk)
    Prompt.objects.bulk_update(changed, ["difficulty", "difficulty_from"], batch_size=CHUNK)
    return len(found.keys() & rows.keys())


def _basis(reward_model: str, rewards: Sequence[float]) -> dict[str, Any]:
    standing = standing_of(rewards)
    return {"reward_model": reward_model, "k": len(rewards), "mean": standing.mean, "best": standing.best}
