"""Instructions for annotators: a change is a new version, and old ones stay with the judgments made under them."""

from __future__ import annotations

from pathlib import Path

from django.db import transaction
from django.db.models import Max

from annotation.core.grades import Focus
from annotation.errors import DomainError
from annotation.models import Guideline

FOLDER = Path(__file__).resolve().parent.parent / "guidelines"


@transaction.atomic
def add_guideline(*, focus: Focus, text: str) -> Guideline:
    """The next version for a focus. The text in force, given again, adds nothing.

    Raises:
        DomainError: the text is empty.
    """
    if not text.strip():
        raise DomainError("Guidelines need a text. Nothing was stored.")
    newest = Guideline.objects.filter(focus=focus).first()
    if newest is not None and newest.text == text:
        return newest
    return Guideline.objects.create(focus=focus, version=_last_version(focus) + 1, text=text)


@transaction.atomic
def install_default_guidelines() -> int:
    """Add version 1 where a focus has no guidelines; returns how many were added."""
    missing = [focus for focus in Focus if not _last_version(focus)]
    for focus in missing:
        add_guideline(focus=focus, text=(FOLDER / f"{focus}.md").read_text(encoding="utf-8"))
    return len(missing)


def _last_version(focus: Focus) -> int:
    return Guideline.objects.filter(focus=focus).aggregate(last=Max("version"))["last"] or 0
