"""The annotators' pages. Thin: what is true comes from queries, what is done from services by way of the API."""

from __future__ import annotations

from typing import cast

from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import LoginView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_GET

from annotation.models import Role, User
from annotation.queries import annotator_day, guidelines_in_force, last_sealed_batch, open_batch
from frontend.loop import loop_now
from frontend.scale import CELLS, SAFETY


class SignInView(LoginView):
    template_name = "frontend/sign_in.html"
    redirect_authenticated_user = True


@require_GET
@login_required
@never_cache
def home(request: HttpRequest) -> HttpResponse:
    """This week, what waits, and the way in."""
    user = cast("User", request.user)
    batch = open_batch()
    shown = batch or last_sealed_batch()
    day = annotator_day(user, shown)
    return render(
        request,
        "frontend/home.html",
        {
            "batch": shown,
            "is_open": batch is not None,
            "day": day,
            "waiting": sum(day.waiting.values()),
            "loop": loop_now() if user.may(Role.RESEARCHER) else None,
        },
    )


@require_GET
@login_required
def guidelines(request: HttpRequest) -> HttpResponse:
    return render(request, "frontend/guidelines.html", {"guidelines": guidelines_in_force()})


@require_GET
@login_required
@never_cache
@ensure_csrf_cookie
def rate(request: HttpRequest) -> HttpResponse:
    """The workbench: an empty bench, which its script fills from the API."""
    versions = {guideline.focus: guideline.pk for guideline in guidelines_in_force()}
    context = {"guideline_ids": versions, "cells": CELLS, "safety": SAFETY}
    return render(request, "frontend/rate.html", context)
