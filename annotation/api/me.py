"""Who asks; a person's own settings, and whether they are given safety pairs."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, JsonResponse
from django.utils.translation import gettext as _
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.api.auth import token_of
from annotation.api.bodies import Body
from annotation.api.kit.schema import operation
from annotation.api.kit.views import ApiView
from annotation.api.lean import lean_view, read_body
from annotation.api.problems import InvalidRequestError
from annotation.api.tokens import EXAMPLE as TOKEN
from annotation.api.tokens import TokenSerializer
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


class MeSerializer(serializers.ModelSerializer[User]):
    """The account, and the token that came with the request; null: a browser's session."""

    token = TokenSerializer(allow_null=True)

    class Meta:
        model = User
        fields = ["username", "pseudonym", "role", "is_service", "token"]


class Me(ApiView):
    """Read who you are."""

    role = Role.ANNOTATOR
    any_scope = True
    example = {
        "username": "rosa",
        "pseudonym": "annotator-1f2e3d4c5b",
        "role": "researcher",
        "is_service": False,
        "token": TOKEN,
    }

    @operation("me_read", answer=MeSerializer)
    def get(self, request: Request) -> Response:
        """Read who you are, and what the token that you sent may do. Every token may ask this."""
        person = self.person
        person.token = token_of(request._request)  # type: ignore[attr-defined]
        return Response(MeSerializer(person).data)


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
