"""The way in for whoever was invited: a link, once.

The link's token never stays in an address: opening it leaves only its hash in the visitor's session, so that no
history, no referrer and no log line of a later page holds it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Final

from django import forms
from django.contrib.auth import login
from django.contrib.auth.password_validation import password_validators_help_texts
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_safe

from annotation.errors import DomainError, NotFoundError
from annotation.services.invitations import find_invitation, hash_of, join

SESSION_KEY: Final = "invitation"


def _without_token(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Whatever comes of a request, what is logged of it names no token, and no page that follows is told of it."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            response = view(request, *args, **kwargs)
        finally:
            request.path = "/join/*"  # what Django's log lines name
        response["Referrer-Policy"] = "no-referrer"
        return response

    return guarded


@_without_token
@require_safe
@never_cache
def open_link(request: HttpRequest, token: str) -> HttpResponse:
    """Take the token out of the address. Nothing is used up: whatever looks at links in advance may do so."""
    try:
        invitation = find_invitation(token_hash=hash_of(token))
    except NotFoundError:
        return _turned_away(request)
    request.session[SESSION_KEY] = invitation.token_hash
    return redirect("frontend:join")


class JoinForm(forms.Form):
    username = forms.CharField(max_length=150)
    password = forms.CharField(max_length=4096, strip=False)
    again = forms.CharField(max_length=4096, strip=False)

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if "password" in data and "again" in data and data["password"] != data["again"]:
            self.add_error("again", _("The two passwords differ."))
        return data


@sensitive_post_parameters("password", "again")
@require_http_methods(["GET", "POST"])
@never_cache
def join_page(request: HttpRequest) -> HttpResponse:
    """Choose a user name and a password; then signed in, and at home."""
    try:
        invitation = find_invitation(token_hash=str(request.session.get(SESSION_KEY, "")))
    except NotFoundError:
        return _turned_away(request)
    form = JoinForm(request.POST or None)
    context = {"form": form, "invitation": invitation, "rules": password_validators_help_texts()}
    if request.user.is_authenticated or request.method == "GET" or not form.is_valid():
        return render(request, "frontend/join.html", context)
    try:
        user = join(
            token_hash=invitation.token_hash,
            username=form.cleaned_data["username"],
            password=form.cleaned_data["password"],
        )
    except NotFoundError:
        return _turned_away(request)
    except DomainError as error:
        for problem in error.errors:
            form.add_error(str(problem["field"]), str(problem["reason"]))
        return render(request, "frontend/join.html", context)
    login(request, user)
    request.session.pop(SESSION_KEY, None)
    return redirect("frontend:home")


def _turned_away(request: HttpRequest) -> HttpResponse:
    """One answer for every link that does not work."""
    return render(request, "frontend/join_gone.html", status=404)
