"""What the pages of an import carry from one to the next: what was said of a file, and what came of it.

Knows the services and words for what they did. Must not know requests.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

from django.conf import settings
from django.utils.text import Truncator

from annotation.access import batches_for
from annotation.admin.import_forms import shape_of
from annotation.core.formats.base import Abstention, BadRow, ImportedJudgment, Item, Tie
from annotation.core.formats.prompt_sets import PROMPT_SETS
from annotation.core.formats.prompts import ImportedPrompt
from annotation.errors import DomainError, NotFoundError
from annotation.models import Batch, User
from annotation.services.imports import (
    NEW,
    DryRunError,
    Look,
    Source,
    import_file,
    import_prompt_set,
    look_into,
    preview,
)
from annotation.services.ingest import ImportReport
from annotation.services.prompts import PromptRehearsalError, PromptReport
from annotation.services.uploads import Upload

SHOWN: Final = 5  # rows of the preview
LISTED: Final = 100  # bad rows
LONGEST: Final = 1500  # characters of a text in the preview
SPEED: Final = 500_000  # bytes of JSON lines that a check takes in a second, on two busy cores


@dataclass(frozen=True, slots=True)
class Ticket:
    """What was said of one file so far."""

    sha256: str
    name: str
    size: int
    form: str
    mapping: dict[str, Any] | None = None
    ties: str = "skip"
    batch: str = ""  # a number or NEW; empty: not chosen yet

    @property
    def upload(self) -> Upload:
        return Upload(self.sha256, self.name, self.size)

    def source(self) -> Source:
        shape = shape_of(self.form)
        return Source(
            path=self.upload.path,
            form=self.form,
            name=self.name,
            ties="unsure" if self.ties == "unsure" else "skip",
            mapping=shape.model_validate(self.mapping) if shape and self.mapping else None,
            max_file=settings.IMPORT_LIMIT,
        )

    def look(self) -> Look:
        return look_into(
            path=self.upload.path, name=self.name, form=self.form, max_file=settings.IMPORT_LIMIT
        )

    def into(self, by: User) -> Batch | None:
        """The batch that was chosen, if it is one that there is.

        Raises:
            NotFoundError: it is gone.
        """
        if self.batch in ("", NEW):
            return None
        found = batches_for(by).filter(number=self.batch).first()
        if found is None:
            raise NotFoundError("The batch that you chose is gone. Choose another one.")
        return found

    @property
    def minutes(self) -> int:
        """About how long it takes to check the file, and to import it; 0: less than one."""
        return self.size // (60 * SPEED)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an import did or would do, in words; plain enough for a session."""

    comes: int = 0  # new judgments or prompts
    counts: tuple[tuple[str, int, str], ...] = ()  # name, number, explanation
    bad: tuple[tuple[int, str], ...] = ()  # line and reason of the first bad rows
    bad_n: int = 0
    refused: str = ""  # why the file cannot be imported at all
    batch: int | None = None  # primary key of the one it went into


def rehearse(said: Ticket, by: User) -> Outcome:
    """What an import would do, bad rows left out: found out by doing it and taking it back."""
    try:
        _import(said, by, skip_invalid=True, dry_run=True)
    except (DryRunError, PromptRehearsalError) as rehearsal:
        return _outcome(rehearsal.report)
    except DomainError as error:
        bad = tuple((int(str(one["line"])), str(one["reason"])) for one in error.errors if "line" in one)
        return Outcome(refused=error.message, bad=bad[:LISTED], bad_n=len(bad))
    raise AssertionError("a rehearsal that was none")  # pragma: no cover


def import_whole(said: Ticket, by: User, *, skip_invalid: bool) -> Outcome:
    """Raises DomainError: nothing was imported."""
    into, report = _import(said, by, skip_invalid=skip_invalid, dry_run=False)
    return replace(_outcome(report), batch=into.pk if into else None)


def _import(
    said: Ticket, by: User, *, skip_invalid: bool, dry_run: bool
) -> tuple[Batch | None, ImportReport | PromptReport]:
    source = said.source()
    if said.form in PROMPT_SETS:
        return None, import_prompt_set(source=source, skip_invalid=skip_invalid, dry_run=dry_run, by=by)
    into = said.into(by)
    return import_file(
        source=source,
        batch=into,
        new_batch=said.batch == NEW,
        skip_invalid=skip_invalid,
        dry_run=dry_run,
        by=by,
    )


def _outcome(report: ImportReport | PromptReport) -> Outcome:
    bad = tuple((int(str(row["line"])), str(row["reason"])) for row in report.bad_rows[:LISTED])
    if isinstance(report, PromptReport):
        near = len(report.near)
        counts = (
            ("New prompts", report.new + report.joined, f"{near:,} of them resemble others" if near else ""),
            ("In the pool before", report.already, "left as they are"),
            ("Repeated in the file", report.repeated, "the first counts"),
            ("Bad rows", report.bad_n, "left out"),
        )
        return Outcome(report.new + report.joined, counts, bad, report.bad_n)
    figures = (
        ("New judgments", report.judgments, ""),
        ("New comparisons", report.comparisons, "pairs that this house did not have"),
        ("Stored earlier", report.already, "left as they are"),
        ("Repeated in the file", report.repeated, "the same annotator on the same pair; the first counts"),
        ("Ties", report.ties, "votes for neither, left out"),
        ("No votes", report.abstained, "skipped, cancelled, not finished, or nobody was asked"),
        ("Margins lost", report.margins_lost, "no number of the table: these judgments have no grade"),
        ("Bad rows", report.bad_n, "left out"),
    )
    return Outcome(report.judgments, figures, bad, report.bad_n)


def first_items(said: Ticket, look: Look) -> list[dict[str, Any]]:
    """The first rows of a file as they will be; none while a mapping is wanting."""
    source, shape = said.source(), shape_of(said.form)
    if shape is not None and source.mapping is None:
        if look.mapping is None:
            return []
        source = replace(source, mapping=look.mapping)
    return [_shown(item) for item in preview(source, SHOWN)]


def _shown(item: Item | ImportedPrompt) -> dict[str, Any]:
    """An item of the preview in words; texts are cut, and escaped where they are shown."""
    found: dict[str, Any] = {"line": item.line}
    match item:
        case ImportedJudgment():
            first = item.choice == "a"
            a, b = item.response_a, item.response_b
            chosen, other = (a, b) if first else (b, a)
            return found | {
                "turns": [(turn["role"], _cut(turn["content"])) for turn in item.messages],
                "chosen": _cut(chosen.text),
                "chosen_policy": chosen.policy,
                "other": _cut(other.text),
                "other_policy": other.policy,
                "grade": (item.grade or "").replace("_", " "),
                "safety": (item.safety or "").replace("_", " "),
                "focus": item.focus,
                "annotator": item.annotator,
                "comment": _cut(item.comment),
                "margin_lost": item.margin_lost,
            }
        case ImportedPrompt():
            return found | {"prompt": _cut(item.text), "focus": item.focus, "user_turns": item.turns}
        case Tie():
            return found | {"left_out": "A tie, left out", "annotator": item.annotator}
        case Abstention():
            return found | {"left_out": "No vote, left out", "annotator": item.annotator}
        case BadRow():
            return found | {"bad": item.reason}


def _cut(text: str) -> str:
    return Truncator(text).chars(LONGEST)
