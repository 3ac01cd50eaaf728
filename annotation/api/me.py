"""A person's own settings, and whether they are given safety pairs."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, JsonResponse
from django.utils.translation import gettext as _

from annotation.api.bodies import Body
from annotation.api.lean import lean_view, read_body
from annotation.api.problems import InvalidRequestError
from annotation.core.preferences import complaint
from annotation.models import Role, User
from annotation.services.people import set_preferences, set_safety_consent


class PreferencesBody(Body):
    keys: dict[str, Any]
    blur: bool
    break_minutes: int
    together: bool


class ConsentBody(Body):
    consent: bool


@lean_view("POST", Role.ANNOTATOR)
def preferences(request: HttpRequest, annotator: User) -> JsonResponse:
    """Store all of them at once."""
    given = read_body(request, PreferencesBody).model_dump()
    wrong: list[dict[str, object]] = [
        {"field": name, "reason": reason}
        for name, value in given.items()
        if (reason := complaint(name, value))
    ]
    if wrong:
        raise InvalidRequestError(_("These preferences cannot be stored. Nothing was changed."), errors=wrong)
    return JsonResponse({"preferences": set_preferences(annotator=annotator, preferences=given)})


@lean_view("POST", Role.ANNOTATOR)
def safety(request: HttpRequest, annotator: User) -> JsonResponse:
    """Agree to be given safety pairs, or stop; what was in hand and not judged then goes back to others."""
    agreed = read_body(request, ConsentBody).consent
    set_safety_consent(annotator=annotator, agreed=agreed)
    return JsonResponse({"consent": agreed})
