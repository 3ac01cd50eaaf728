"""Instructions for annotators: a change is a new version, and old ones stay with the judgments made under them."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Max
from django.utils import timezone
from django.utils.translation import gettext as _

from annotation.core.grades import Focus
from annotation.errors import ConflictError, DomainError
from annotation.models import Comparison, Guideline, GuidelineReading, GuidelineReport, User
from annotation.services.audit import record

FOLDER = Path(__file__).resolve().parent.parent / "guidelines"


@transaction.atomic
def add_guideline(*, focus: Focus, text: str, by: User | None = None) -> Guideline:
    """The next version for a focus. The text in force, given again, adds nothing.

    Raises:
        DomainError: the text is empty.
    """
    if not text.strip():
        raise DomainError("Guidelines need a text. Nothing was stored.")
    newest = Guideline.objects.filter(focus=focus).first()
    if newest is not None and newest.text == text:
        return newest
    row = Guideline.objects.create(focus=focus, version=_last_version(focus) + 1, text=text)
    record("guideline.added", row, by=by)
    return row


@transaction.atomic
def confirm_reading(*, annotator: User, guideline: Guideline) -> GuidelineReading:
    """Somebody says that they have read this version; saying it again changes nothing."""
    return GuidelineReading.objects.get_or_create(annotator=annotator, guideline=guideline)[0]


def report_guideline(
    *, annotator: User, guideline: Guideline, uid: UUID, text: str, comparison_key: str | None = None
) -> GuidelineReport:
    """A bug in the guidelines, with the pair at hand; the same `uid` again changes nothing.

    Raises:
        DomainError: the report says nothing.
        ConflictError: somebody else used the `uid`.
    """
    if not text.strip():
        raise DomainError(_("Say what is wrong, unclear or missing. Nothing was stored."))
    # Only a pair that this person has or had in hand is named.
    pair = Comparison.objects.filter(key=comparison_key, leases__annotator=annotator).first()
    columns = {"guideline": guideline, "text": text.strip(), "comparison": pair}
    try:
        with transaction.atomic():
            return GuidelineReport.objects.get_or_create(uid=uid, annotator=annotator, defaults=columns)[0]
    except IntegrityError:
        raise ConflictError(_("This id was used already. Nothing was stored.")) from None


@transaction.atomic
def handle_report(*, report: GuidelineReport, by: User) -> None:
    """Somebody who writes the guidelines has dealt with it."""
    waiting = GuidelineReport.objects.filter(pk=report.pk, handled_at=None)
    if waiting.update(handled_by=by, handled_at=timezone.now()):
        record("guideline.reported", report.guideline, by=by, report=report.pk)


@transaction.atomic
def install_default_guidelines() -> int:
    """Add version 1 where a focus has no guidelines; returns how many were added."""
    missing = [focus for focus in Focus if not _last_version(focus)]
    for focus in missing:
        add_guideline(focus=focus, text=(FOLDER / f"{focus}.md").read_text(encoding="utf-8"))
    return len(missing)


def _last_version(focus: Focus) -> int:
    return Guideline.objects.filter(focus=focus).aggregate(last=Max("version"))["last"] or 0
