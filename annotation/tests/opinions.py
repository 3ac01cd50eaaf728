"""What tests of agreement and conduct share: a week in which everybody's answers are given."""

from __future__ import annotations

from collections.abc import Sequence

from annotation.core.grades import Choice, Grade, SafetyLabel
from annotation.models import Comparison, Judgment, User
from tests.factories import make_user

SIG, BETTER, SLIGHTLY, NEGLIGIBLY = Grade
A, B = Choice

Said = tuple[Choice, Grade | None] | tuple[Choice, Grade | None, SafetyLabel] | None


def say(person: User, pairs: Sequence[Comparison], answers: Sequence[Said], **columns: object) -> None:
    """One answer a pair; None is none. Rows are written as an import writes them, many at once."""
    rows = [
        Judgment(
            comparison=pair,
            annotator=person,
            focus=pair.focus,
            choice=answer[0],
            grade=answer[1] or "",
            safety=answer[2] if len(answer) > 2 else "",
            **{"source": Judgment.Source.PERSON if answer[1] else Judgment.Source.IMPORT, **columns},
        )
        for pair, answer in zip(pairs, answers, strict=True)
        if answer is not None
    ]
    Judgment.objects.bulk_create(rows)


def crowd(count: int, name: str = "person") -> list[User]:
    return [make_user(f"{name}-{number:02}") for number in range(count)]
