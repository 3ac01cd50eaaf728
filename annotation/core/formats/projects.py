"""What two annotation tools share: fields and questions of free names, several people's answers an item.

Knows how a FieldMapping makes judgments of them. Must not know how either tool writes its files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from annotation.core.formats.base import Draft, ImportedResponse, Verdict
from annotation.core.formats.dialogues import prompt_of
from annotation.core.formats.fields import Row, RowError, clean_text, quoted
from annotation.core.formats.mappings import FieldMapping, Side

VERDICTS = {Side.A: Verdict.FIRST, Side.B: Verdict.SECOND, Side.TIE: Verdict.TIE, Side.NONE: Verdict.NONE}


@dataclass(frozen=True, slots=True)
class Ranking:
    """Items by rank, 1 the best; equal ranks are equally good."""

    ranks: Mapping[str, int]


Answer = str | Ranking


@dataclass(slots=True)
class Sheet:
    """One person's answers to one item, by question; not `counts` where they cancelled or did not finish."""

    annotator: str
    counts: bool = True
    answers: dict[str, Answer] = field(default_factory=dict)


def judge(
    fields: Row, sheets: list[Sheet], said: FieldMapping, *, extra: Row, reference: str
) -> Iterator[Draft]:
    """A draft for each sheet, and one without a vote where there is none. `extra` holds what the models are called.

    Raises:
        RowError: a field or a question is absent, or an answer means nothing under `said`.
    """
    messages = prompt_of(fields, said.prompt)
    first = _response(fields, said.response_a, extra, said.policy_a)
    second = _response(fields, said.response_b, extra, said.policy_b)
    for sheet in sheets or [Sheet("", counts=False)]:
        verdict = _verdict(sheet, said) if sheet.counts else Verdict.NONE
        yield Draft(
            messages=messages,
            first=first,
            second=second,
            verdict=verdict,
            grade=_grade(sheet, said) if verdict in (Verdict.FIRST, Verdict.SECOND) else None,
            focus=said.focus,
            annotator=sheet.annotator,
            comment=_comment(sheet, said),
            reference=reference,
        )


def _response(fields: Row, name: str, extra: Row, policy: str) -> ImportedResponse:
    model = next((row.name(policy) for row in (fields, extra) if policy and row.has(policy)), "")
    return ImportedResponse(fields.text(name), policy=model)


def _verdict(sheet: Sheet, said: FieldMapping) -> Verdict:
    if not said.choice:
        return _higher(sheet, said)
    answer = sheet.answers.get(said.choice)
    if answer is None:
        return Verdict.NONE
    if isinstance(answer, Ranking):
        return _better(answer, said)
    if answer not in said.values:
        raise RowError(
            f"{said.choice} is {quoted(answer)}: say in the mapping's values what that means (a, b, tie or none)"
        )
    return VERDICTS[said.values[answer]]


def _better(ranking: Ranking, said: FieldMapping) -> Verdict:
    ranks: dict[Side, int] = {
        said.values[item]: rank for item, rank in ranking.ranks.items() if item in said.values
    }
    if not {Side.A, Side.B} <= ranks.keys():
        raise RowError(
            f"{said.choice} ranks {', '.join(sorted(map(quoted, ranking.ranks))) or 'nothing'}: say in the mapping's "
            "values which of them is a and which is b"
        )
    difference = ranks[Side.A] - ranks[Side.B]
    return Verdict.TIE if not difference else Verdict.FIRST if difference < 0 else Verdict.SECOND


def _higher(sheet: Sheet, said: FieldMapping) -> Verdict:
    numbers = [_number(sheet, name) for name in (said.rating_a, said.rating_b)]
    if numbers[0] is None or numbers[1] is None:
        return Verdict.NONE
    difference = numbers[0] - numbers[1]
    return Verdict.TIE if not difference else Verdict.FIRST if difference > 0 else Verdict.SECOND


def _number(sheet: Sheet, name: str) -> float | None:
    answer = sheet.answers.get(name)
    if answer is None:
        return None
    try:
        return float(str(answer))
    except ValueError as error:
        raise RowError(f"{name} is {quoted(str(answer))}: a rating must be a number") from error


def _grade(sheet: Sheet, said: FieldMapping) -> Any:
    answer = sheet.answers.get(said.grade) if said.grade else None
    if answer is None or isinstance(answer, Ranking):
        return None
    if answer not in said.grades:
        raise RowError(
            f"{said.grade} is {quoted(answer)}: say in the mapping's grades what that means (a grade, or empty)"
        )
    return said.grades[answer] or None


def _comment(sheet: Sheet, said: FieldMapping) -> str:
    answer = sheet.answers.get(said.comment) if said.comment else None
    return clean_text(answer, said.comment) if isinstance(answer, str) and answer.strip() else ""


def annotator_name(value: Any) -> str:
    """A person's name in a file, which may be a number; empty where it says none."""
    return "" if value in (None, "", "None") or isinstance(value, bool | float | list | dict) else str(value)
