"""What every import format shares: the shapes that come out of a file, and the rules that hold for them all.

Knows judgments, ties and bad rows, the order of a pair and what a tie may become. Must not know the fields of
any one source (a module each), files (lines.py) or the database.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Literal

from annotation.core.formats.fields import Row, RowError
from annotation.core.formats.mappings import FocusMapping
from annotation.core.grades import Choice, Focus, Grade, SafetyLabel
from annotation.core.records import Message, content_key, dialogue_key

MAX_TURNS: Final = 1000

TiePolicy = Literal["skip", "unsure"]


@dataclass(frozen=True, slots=True)
class ImportedResponse:
    """One response and what the source says of its origin; an empty policy is an unknown one."""

    text: str
    policy: str = ""
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class ImportedJudgment:
    """One person's preference; `messages` ends with a user turn and both responses answer it.

    Which response is `a` depends on dialogue and texts alone, so that rows about the same pair agree on it
    and the place of the chosen response in the file says nothing. `line` counts from 1. `grade` is None where
    the source states no strength, `annotator` is empty where it does not say who, `reference` is its own id
    for the row (one row may give several judgments). `margin_lost`: the row states a margin that is no grade.
    """

    line: int
    messages: tuple[Message, ...]
    response_a: ImportedResponse
    response_b: ImportedResponse
    choice: Choice
    grade: Grade | None
    focus: Focus
    safety: SafetyLabel | None
    annotator: str
    comment: str = ""
    reference: str = ""
    margin_lost: bool = False


@dataclass(frozen=True, slots=True)
class Tie:
    """A vote for neither, left out because forced choice has no such answer."""

    line: int
    annotator: str


@dataclass(frozen=True, slots=True)
class Abstention:
    """Somebody was asked and did not vote: skipped, cancelled, not finished. Or nobody was asked yet."""

    line: int
    annotator: str


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row, or a pair within it, that cannot become a judgment; `reason` says what is wrong, and where."""

    line: int
    reason: str


Item = ImportedJudgment | Tie | Abstention | BadRow


class Verdict(StrEnum):
    """What the source says of its own first and second response."""

    FIRST = "first"
    SECOND = "second"
    TIE = "tie"
    NONE = "none"  # no vote at all


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A judgment in the source's own order, before the rules of this module.

    `remarks` are what the source calls or says of the first and the second response; they open the comment as
    words about the chosen one and the other, which stay true in whatever order the pair is stored.
    """

    messages: tuple[Message, ...]
    first: ImportedResponse
    second: ImportedResponse
    verdict: Verdict
    grade: Grade | None = None
    focus: Focus = Focus.HELPFULNESS
    safety: SafetyLabel | None = None
    annotator: str = ""
    comment: str = ""
    remarks: tuple[str, str] | None = None
    reference: str = ""
    margin_lost: bool = False


@dataclass(frozen=True, slots=True)
class Format:
    """One source's shape of row. `mapping` says field by field what becomes of it, and the manual prints it.

    `version` rises with every change of the mapping, so that an import can tell under which it was read. Where rows
    do not say everything, `shape` is what has to be said beside them, `guess` proposes it from the first rows, and
    `drafts` takes it after the row.
    """

    name: str
    title: str
    version: int
    mapping: tuple[tuple[str, str], ...]
    drafts: Callable[..., Iterator[Draft]]
    shape: type[FocusMapping] | None = None
    guess: Callable[[Sequence[Row]], FocusMapping | None] | None = None


def user_turn(text: str) -> tuple[Message, ...]:
    """A dialogue of one user turn."""
    return ({"role": "user", "content": text},)


def read_rows(
    lines: Iterable[str], form: Format, ties: TiePolicy, mapping: FocusMapping | None = None
) -> Iterator[Item]:
    """Everything in a file of one format, a row at a time; a row with a bad field gives a BadRow alone."""
    said = () if form.shape is None else (mapping,)
    for number, line in enumerate(lines, start=1):
        if not line or line.isspace():
            continue
        try:
            drafts = list(form.drafts(parse_line(line), *said))
        except RowError as error:
            yield BadRow(number, str(error))
            continue
        bad: set[BadRow] = set()
        for draft in drafts:
            item = settle(draft, line=number, ties=ties)
            if isinstance(item, BadRow):
                # Five people who judged the same broken pair are one bad row, not five.
                if item in bad:
                    continue
                bad.add(item)
            yield item


def settle(draft: Draft, *, line: int, ties: TiePolicy) -> Item:
    """Apply the rules that hold for every source: distinct responses, a canonical order, a policy on ties."""
    if draft.verdict is Verdict.NONE:
        return Abstention(line, draft.annotator)
    if len(draft.messages) > MAX_TURNS:
        return BadRow(line, f"the dialogue has more than {MAX_TURNS:,} turns")
    if draft.first.text.strip() == draft.second.text.strip():
        return BadRow(line, "both responses are the same text")
    tied = draft.verdict is Verdict.TIE
    if tied and ties == "skip":
        return Tie(line, draft.annotator)
    dialogue = dialogue_key(draft.messages)
    swapped = _order(dialogue, draft.second) < _order(dialogue, draft.first)
    a, b = (draft.second, draft.first) if swapped else (draft.first, draft.second)
    first = Choice.B if swapped else Choice.A
    voted = first if draft.verdict is Verdict.FIRST else first.other
    choice = _coin(dialogue, a, b, draft.annotator) if tied else voted
    return ImportedJudgment(
        line=line,
        messages=draft.messages,
        response_a=a,
        response_b=b,
        choice=choice,
        grade=Grade.NEGLIGIBLY_BETTER if tied else draft.grade,
        focus=draft.focus,
        safety=draft.safety,
        annotator=draft.annotator,
        comment=_comment(draft, first_chosen=choice is first),
        reference=draft.reference,
        margin_lost=draft.margin_lost,
    )


def _order(dialogue: str, response: ImportedResponse) -> str:
    return content_key("import-order", dialogue, response.text)


def _coin(dialogue: str, a: ImportedResponse, b: ImportedResponse, annotator: str) -> Choice:
    """A side for a tie. Each annotator has a coin: else all who tie side together and outvote the rest."""
    key = content_key("import-tie", dialogue, a.text, b.text, annotator)
    return Choice.A if int(key[-1], 16) % 2 else Choice.B


def _comment(draft: Draft, *, first_chosen: bool) -> str:
    if draft.remarks is None:
        return draft.comment
    chosen, other = draft.remarks if first_chosen else reversed(draft.remarks)
    return ". ".join(part for part in (f"chosen: {chosen}; other: {other}", draft.comment) if part)


def parse_line(line: str) -> Row:
    """The JSON object of a line.

    Raises:
        RowError: it holds something else.
    """
    try:
        data = json.loads(line, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise RowError(f"not JSON: {error.msg} at column {error.colno}") from error
    except (ValueError, RecursionError) as error:
        raise RowError("not JSON that can be read: a number or a nesting beyond all measure") from error
    if not isinstance(data, dict):
        raise RowError("not a JSON object: every line is one object in braces")
    return Row(data)


def _refuse_constant(word: str) -> Any:
    raise RowError(f"not JSON: {word} is no JSON number")
