"""What the tests of people's conduct share: one judgment after the other. Ada is person 1, Ben 2, Cleo 3."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from annotation.core.conduct import Deed
from annotation.core.grades import Focus, Grade

ADA, BEN, CLEO = 1, 2, 3
START = datetime(2026, 3, 2, 9, tzinfo=UTC)


def deed(comparison: int, annotator: int, choice: str = "a", **options: object) -> Deed:
    plain = Deed(
        comparison,
        annotator,
        choice,
        grade=Grade.BETTER,
        safety=None,
        left=None,
        active_ms=None,
        len_a=100,
        len_b=100,
        at=START + timedelta(minutes=comparison),
        focus=Focus.HELPFULNESS,
    )
    return replace(plain, **options)  # type: ignore[arg-type]
