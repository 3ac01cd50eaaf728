"""The last answers: what a person sees, and a program reads, when a request could not be served.

Programs, which ask below /api/, get problem details from the API's one place; people get a page that says what
happened, what was kept and what to do.
"""

from __future__ import annotations

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string

from annotation.api.problems import StaleFormError, json_problem
from annotation.errors import DomainError


class InternalError(DomainError):
    code = "internal"
    status = 500


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    if _is_program(request):
        return json_problem(DomainError("The request cannot be read."))
    return render(request, "400.html", status=400)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    if _is_program(request):
        return json_problem(PermissionDenied())
    # Only a sentence that our own code wrote for people is shown.
    reason = str(exception) if isinstance(exception, PermissionDenied) else ""
    return render(request, "403.html", {"reason": reason}, status=403)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    if _is_program(request):
        return json_problem(Http404())
    return render(request, "404.html", status=404)


def server_error(request: HttpRequest) -> HttpResponse:
    if _is_program(request):
        return json_problem(InternalError("Something broke on our side. It is logged; nothing was changed."))
    # Without the request: whatever broke may break the page again.
    return HttpResponse(render_to_string("500.html"), status=500)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """The CSRF_FAILURE_VIEW setting."""
    if _is_program(request):
        return json_problem(
            StaleFormError("The CSRF token is missing or old. Reload the page and try again.")
        )
    return render(request, "403_csrf.html", status=403)


def _is_program(request: HttpRequest) -> bool:
    return request.path.startswith("/api/")
