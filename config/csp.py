"""A looser content security policy for the admin, and only there.

Alpine, which the admin's theme runs on, evaluates the expressions in its attributes ('unsafe-eval'), and theme
and htmx set colours and widths in style elements and attributes ('unsafe-inline' for styles). Inline scripts
stay forbidden there too: markup that slips into a page still runs nothing. All other pages keep the strict
policy of the settings.
"""

from __future__ import annotations

from collections.abc import Callable

from csp.constants import SELF, UNSAFE_EVAL, UNSAFE_INLINE
from django.http import HttpRequest, HttpResponseBase

LOOSER = {"script-src": [SELF, UNSAFE_EVAL], "style-src": [SELF, UNSAFE_INLINE]}


class AdminPolicyMiddleware:
    """Marks the admin's responses; stands below django-csp's middleware, which writes the header."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        match = request.resolver_match
        if match is not None and "admin" in match.app_names:
            setattr(response, "_csp_replace", LOOSER)  # noqa: B010  the attribute that django-csp reads
        return response
