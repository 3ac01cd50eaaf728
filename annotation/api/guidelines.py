"""The guidelines beside the pair: reading them, confirming that, reporting what is wrong with them."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest, JsonResponse
from django.utils import timezone
from django.utils.translation import gettext as _

from annotation.api.bodies import Body, Comment, Empty, Key
from annotation.api.lean import lean_view, read_body, stored_answer
from annotation.core.worddiff import difference_html
from annotation.errors import NotFoundError
from annotation.models import Guideline, Role, User
from annotation.queries import guideline_in_force, guideline_with, last_read
from annotation.rendering import render_markdown
from annotation.services.guidelines import confirm_reading, report_guideline


class ReportBody(Body):
    uid: UUID
    text: Comment
    comparison: Key | None = None


@lean_view("GET", Role.ANNOTATOR)
def guideline(request: HttpRequest, annotator: User, focus: str) -> JsonResponse:
    """The version in force, and what changed since the one that this person confirmed last."""
    row = guideline_in_force(focus)
    if row is None:
        raise NotFoundError(_("No guidelines are written for this focus yet."))
    earlier = last_read(annotator, focus)
    changed = earlier is not None and earlier.pk != row.pk
    return JsonResponse(
        {
            "id": row.pk,
            "version": row.version,
            "html": render_markdown(row.text),
            "read": earlier is not None and earlier.pk == row.pk,
            "difference": difference_html(earlier.text, row.text) or None if earlier and changed else None,
            "since": earlier.version if earlier and changed else None,
        }
    )


@lean_view("POST", Role.ANNOTATOR)
def read(request: HttpRequest, annotator: User, pk: int) -> JsonResponse:
    read_body(request, Empty)
    confirm_reading(annotator=annotator, guideline=_guideline(pk))
    return JsonResponse({"read": True})


@lean_view("POST", Role.ANNOTATOR)
def reports(request: HttpRequest, annotator: User, pk: int) -> JsonResponse:
    began = timezone.now()
    body = read_body(request, ReportBody)
    row = report_guideline(
        annotator=annotator,
        guideline=_guideline(pk),
        uid=body.uid,
        text=body.text,
        comparison_key=body.comparison,
    )
    return stored_answer(row, began)


def _guideline(pk: int) -> Guideline:
    row = guideline_with(pk)
    if row is None:
        raise NotFoundError(_("There is no such version of the guidelines."))
    return row
