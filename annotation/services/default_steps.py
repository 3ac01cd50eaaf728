"""The tests that come with the house, as an example and a beginning: written for its own guidelines."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Final

from django.db import transaction

from annotation.core.grades import Focus
from annotation.core.qualification import parse_options
from annotation.models import QualificationStep, StepKind
from annotation.qualifying import free_gold
from annotation.services.steps import QuestionDraft, StepDraft, activate_step, add_question, create_step

FOLDER: Final = Path(__file__).resolve().parent.parent / "steps"
MOST_PAIRS: Final = 10


@transaction.atomic
def install_default_steps() -> int:
    """Add the steps where a focus has none, and put them in force; returns how many were added.

    The rating step needs pairs with a known label, and is left out where there are none.
    """
    added = 0
    for focus in Focus:
        path = FOLDER / f"{focus}.toml"
        if path.exists() and not QualificationStep.objects.filter(focus=focus).exists():
            told = tomllib.loads(path.read_text(encoding="utf-8"))
            added += sum(_install(focus, dict(step)) for step in told["step"])
    return added


def _install(focus: Focus, told: dict[str, Any]) -> bool:
    kind = StepKind(told.pop("kind"))
    questions = [_question(q) for q in told.pop("question", [])]
    if kind is StepKind.RATING:
        questions = [QuestionDraft(gold=gold) for gold in free_gold(focus).order_by("pk")[:MOST_PAIRS]]
    if not questions:
        return False
    step = create_step(focus=focus, kind=kind, draft=StepDraft(**told), by=None)
    for draft in questions:
        add_question(step=step, draft=draft, by=None)
    activate_step(step=step, by=None)
    return True


def _question(told: dict[str, Any]) -> QuestionDraft:
    options, right = parse_options(told["options"]) if "options" in told else ([], [])
    return QuestionDraft(
        text=told["text"],
        options=tuple(options),
        right=tuple(right),
        explanation=told.get("explanation", ""),
    )
