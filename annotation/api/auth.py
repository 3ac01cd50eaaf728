"""Who asks: a browser by its session, a program by an access token in the Authorization header.

Tokens are taken from that header alone: an address ends up in logs and histories.
"""

from __future__ import annotations

from typing import Final

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.deprecation import MiddlewareMixin
from rest_framework.authentication import CSRFCheck, SessionAuthentication
from rest_framework.request import Request

from annotation.api.problems import StaleFormError, json_problem
from annotation.errors import DomainError
from annotation.models import AccessToken, User
from annotation.services.tokens import use_token

BELOW: Final = "/api/"
CHALLENGE: Final = 'Bearer realm="Margin"'


class TokenMiddleware(MiddlewareMixin):
    """Signs the sender of `Authorization: Bearer` in for one request, whatever cookies it brings. Such a request needs
    no CSRF token: no browser adds the header by itself."""

    def process_request(self, request: HttpRequest) -> HttpResponseBase | None:
        request.access_token = None  # type: ignore[attr-defined]
        scheme, _, text = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not request.path.startswith(BELOW):
            return None
        try:
            token = use_token(text.strip())
        except DomainError as error:
            return json_problem(error)
        person = token.user

        async def auser() -> User:
            return person

        request.user = person
        request.auser = auser
        request.access_token = token  # type: ignore[attr-defined]
        request._dont_enforce_csrf_checks = True  # type: ignore[attr-defined]  # as Django's own tests do
        return None


def token_of(request: HttpRequest) -> AccessToken | None:
    """The token that the request came with; None: a session, or nobody."""
    found: AccessToken | None = getattr(request, "access_token", None)
    return found


class DoorAuthentication(SessionAuthentication):
    """What the middlewares found; a session has to bring its CSRF token."""

    def authenticate(self, request: Request) -> tuple[User, AccessToken | None] | None:
        token = token_of(request._request)
        if token is not None:
            return token.user, token
        found = super().authenticate(request)
        return None if found is None else (found[0], None)

    def enforce_csrf(self, request: Request) -> None:
        # Django's request and not DRF's, whose forms are looked for by parsing, and so using up, a body of any kind.
        check = CSRFCheck(lambda _: HttpResponse())
        check.process_request(request._request)
        if check.process_view(request._request, lambda _: HttpResponse(), (), {}) is not None:
            raise StaleFormError("The CSRF token is missing or old. Reload the page and try again.")

    def authenticate_header(self, request: Request) -> str:
        return CHALLENGE
