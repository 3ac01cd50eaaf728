"""Passing a pair on unjudged, and taking that back."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest, JsonResponse
from django.utils import timezone

from annotation.api.bodies import Body, Comment, Key, Milliseconds, Retraction
from annotation.api.lean import lean_view, read_body, stored_answer
from annotation.core.passes import PassReason
from annotation.models import Role, User
from annotation.services.passes import pass_on, retract_pass


class PassBody(Body):
    uid: UUID
    comparison: Key
    reason: PassReason
    comment: Comment = ""
    active_ms: Milliseconds | None = None


@lean_view("POST", Role.ANNOTATOR)
def passes(request: HttpRequest, annotator: User) -> JsonResponse:
    """Skip or flag one pair. 201 when it is new, 200 when this uid was stored before."""
    began = timezone.now()
    body = read_body(request, PassBody)
    row = pass_on(
        annotator=annotator,
        comparison_key=body.comparison,
        uid=body.uid,
        reason=body.reason,
        comment=body.comment.strip(),
        active_ms=body.active_ms,
    )
    return stored_answer(row, began)


@lean_view("POST", Role.ANNOTATOR)
def retract(request: HttpRequest, annotator: User, uid: UUID) -> JsonResponse:
    """Take a skip or a flag back; its pair returns to its annotator."""
    read_body(request, Retraction)
    return stored_answer(retract_pass(annotator=annotator, uid=uid), timezone.now())
