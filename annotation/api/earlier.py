"""A person's own earlier judgments, to be looked at and changed while their week is open."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpRequest, JsonResponse

from annotation.access import last_judgment_of, open_judgment_of
from annotation.api.items import item_of, left_of
from annotation.api.lean import lean_view
from annotation.models import Judgment, Role, User


@lean_view("GET", Role.ANNOTATOR)
def last(request: HttpRequest, annotator: User) -> JsonResponse:
    """The newest judgment that counts, in a week that is open; `item` is null where there is none."""
    judgment = last_judgment_of(annotator)
    return JsonResponse({"item": None} if judgment is None else _shown(judgment, annotator))


@lean_view("GET", Role.ANNOTATOR)
def one(request: HttpRequest, annotator: User, uid: UUID) -> JsonResponse:
    return JsonResponse(_shown(open_judgment_of(annotator, uid), annotator))


def _shown(judgment: Judgment, annotator: User) -> dict[str, Any]:
    """The pair, and what was said of it by sides of the screen."""
    comparison = judgment.comparison
    on_left = judgment.choice == left_of(comparison, annotator)
    answer = {
        "uid": str(judgment.uid),
        "side": "left" if on_left else "right",
        "grade": judgment.grade,
        "safety": judgment.safety or None,
        "comment": judgment.comment,
        "active_ms": judgment.active_ms or 0,
    }
    return {"item": item_of(comparison, annotator, None), "answer": answer}
