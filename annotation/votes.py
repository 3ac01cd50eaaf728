"""What a judgment says, without who said it: the bridge from rows to annotation.core."""

from __future__ import annotations

from annotation.core.aggregate import Vote
from annotation.core.grades import Choice, Grade, SafetyLabel
from annotation.models import Judgment


def vote_of(judgment: Judgment) -> Vote:
    """The vote of a judgment that was not taken back."""
    return Vote(
        choice=Choice(judgment.choice),
        grade=Grade(judgment.grade) if judgment.grade else None,
        safety=SafetyLabel(judgment.safety) if judgment.safety else None,
        adjudicated=judgment.source == Judgment.Source.REVIEW,
    )
