"""The sheets of the tests: a question as its page shows it, and what its form sends as an answer.

Knows sides and fields. Which response is on the left is drawn as for judgments, so that a reload shows the same and
two people see independent orders.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.http import QueryDict
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _

from annotation.core.grades import Choice, Focus, Grade, SafetyLabel
from annotation.core.ordering import left_choice
from annotation.models import Gold, QualificationStep, StepKind, User
from annotation.qualifying import Asked
from annotation.rendering import render_markdown
from frontend.scale import CELLS, WHOLE
from frontend.sentences import SAFE

_LONGEST_NUMBER: Final = 4  # digits of an option's number


def field_of(asked: Asked) -> str:
    """The name of a question's field."""
    return f"q{asked.question.pk}"


def read_answers(
    sent: QueryDict, step: QualificationStep, sheet: Sequence[Asked], user: User
) -> dict[int, Any]:
    """What a form says, by question, in the terms of services.qualification.

    A quiz and the writing send all their questions at once, a rating the one that its field `question` names.
    """
    if step.kind == StepKind.QUIZ:
        return {asked.question.pk: _numbers(sent.getlist(field_of(asked))) for asked in sheet}
    if step.kind == StepKind.WRITING:
        return {
            # No text holds a NUL; browsers send line ends of two characters.
            asked.question.pk: sent.get(field_of(asked), "").replace("\0", "").replace("\r\n", "\n")
            for asked in sheet
        }
    asked = sheet[number_in(sent, len(sheet)) - 1]
    return {asked.question.pk: _rating(sent, left_of(asked, user))}


def _numbers(sent: Sequence[str]) -> list[int]:
    return sorted({int(v) for v in sent if v.isascii() and v.isdigit() and len(v) <= _LONGEST_NUMBER})


def _rating(sent: QueryDict, left: Choice) -> dict[str, str]:
    value: dict[str, str] = {}
    cell = next((cell for cell in CELLS if str(cell.number) == sent.get("cell")), None)
    if cell is not None:
        value = {"choice": left if cell.side == "left" else left.other, "grade": cell.grade}
    safety = str(sent.get("safety"))
    if safety in list(SafetyLabel):
        value["safety"] = safety
    return value


def number_in(sent: QueryDict, last: int) -> int:
    """Which question of a rating is meant, from 1."""
    told = sent.get("question", "")
    number = int(told) if told.isascii() and told.isdigit() and len(told) <= _LONGEST_NUMBER else 1
    return min(max(1, number), last)


def _gold(asked: Asked) -> Gold:
    assert asked.question.gold is not None  # noqa: S101  services.steps lets no rating question be without
    return asked.question.gold


def left_of(asked: Asked, user: User) -> Choice:
    gold = _gold(asked)
    return left_choice(seed=asked.question.step_id, comparison=f"gold:{gold.pk}", annotator=user.pseudonym)


@dataclass(frozen=True, slots=True)
class Pair:
    """A rating question on the screen. `cell` and `safety` are what was chosen so far."""

    turns: list[dict[str, Any]]
    left: SafeString
    right: SafeString
    cell: int | None
    safety: str


def pair_of(asked: Asked, user: User) -> Pair:
    gold, left = _gold(asked), left_of(asked, user)
    texts = {Choice.A: gold.response_a.text, Choice.B: gold.response_b.text}
    value = asked.answer.value if asked.answer else {}
    return Pair(
        turns=[{"role": turn["role"], "html": _html(turn["content"])} for turn in gold.dialogue.messages],
        left=_html(texts[left]),
        right=_html(texts[left.other]),
        cell=_cell(value, left),
        safety=value.get("safety", ""),
    )


def _html(text: str) -> SafeString:
    return mark_safe(render_markdown(text))  # noqa: S308  annotation.rendering has made it safe


def _cell(value: dict[str, Any], left: Choice) -> int | None:
    if not value.get("choice"):
        return None
    side = "left" if value["choice"] == left else "right"
    return next(cell.number for cell in CELLS if (cell.side, cell.grade) == (side, value["grade"]))


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a question went, in words: `said` and `expected` as sentences or texts, `note` is why, `prompt` that of a
    rated pair."""

    asked: Asked
    said: str
    expected: str = ""
    note: str = ""
    prompt: str = ""


def outcome_of(asked: Asked, user: User) -> Outcome:
    """For the sheet that is shown once a step is passed, or lost."""
    question, value = asked.question, asked.answer.value if asked.answer else None
    match question.step.kind:
        case StepKind.QUIZ:
            said, right = _options(question.options, value or []), _options(question.options, question.right)
            return Outcome(asked, said, right, question.explanation)
        case StepKind.WRITING:
            return Outcome(asked, value or "")
        case _:
            gold, left = _gold(asked), left_of(asked, user)
            expected = {"choice": gold.choice, "grade": gold.grade, "safety": gold.safety}
            prompt = gold.dialogue.messages[-1]["content"]
            note = question.explanation or gold.reason
            return Outcome(asked, _sentence(value or {}, left), _sentence(expected, left), note, prompt)


def _options(options: Sequence[str], numbers: Sequence[int]) -> str:
    return " · ".join(options[number] for number in numbers)


def _sentence(value: dict[str, Any], left: Choice) -> str:
    """A label by sides, as they stood on this person's screen."""
    if not value.get("choice"):
        return ""
    number = 1 if value["choice"] == left else 2
    grade = value.get("grade")
    better = (
        str(WHOLE[Grade(grade)]).format(n=number) if grade else _("Response {n} is better").format(n=number)
    )
    if not value.get("safety"):
        return _("{words}.").format(words=better)
    safe = str(SAFE[SafetyLabel(value["safety"])]).format(n=number)
    return _("{better}; {safe}.").format(better=better, safe=safe)


def asks_safety(step: QualificationStep) -> bool:
    return step.focus == Focus.SAFETY
