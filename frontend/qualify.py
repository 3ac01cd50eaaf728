"""The tests that annotators take: the way to each focus, a step and its rules, the sheet, the result.

Thin: what is true comes from annotation.qualifying, what is done from services.qualification. No page needs a script.
"""

from __future__ import annotations

from math import ceil
from typing import Any, Final, cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from annotation.access import require_role
from annotation.core.grades import Focus
from annotation.core.qualification import Standing, is_over
from annotation.errors import DomainError, ForbiddenError, NotFoundError
from annotation.models import Attempt, AttemptState, Role, StepKind, User
from annotation.qualifying import StepPlace, attempt_for, preview_of, sheet_of, step_for, way_to, ways_of
from annotation.services.qualification import (
    close_overdue_attempts,
    save_answers,
    start_attempt,
    submit_attempt,
)
from frontend.scale import CELLS, SAFETY
from frontend.sheets import asks_safety, number_in, outcome_of, pair_of, read_answers

BINS: Final = [
    bin_ for bin_ in SAFETY if bin_.action
]  # the fourth cannot be chosen, and nothing here would say so


@require_GET
@login_required
@never_cache
def qualify(request: HttpRequest) -> HttpResponse:
    """The steps of each focus, and where this person stands."""
    user = cast("User", request.user)
    close_overdue_attempts(annotator=user)
    return render(request, "frontend/qualify.html", {"ways": ways_of(user)})


@require_http_methods(["GET", "POST"])
@login_required
@never_cache
def step(request: HttpRequest, pk: int) -> HttpResponse:
    """What a step asks for, before its clock runs; POST begins it."""
    user = cast("User", request.user)
    close_overdue_attempts(annotator=user)
    found = _found(user, pk)
    if request.method == "POST":
        try:
            attempt = start_attempt(annotator=user, step=found.step)
        except DomainError as error:
            messages.error(request, error.message)
            return redirect("frontend:qualify-step", pk)
        return redirect("frontend:attempt", attempt.pk)
    context = {"found": found, "way": way_to(user, Focus(found.step.focus))}
    return render(request, "frontend/step.html", context)


def _found(user: User, pk: int) -> StepPlace:
    try:
        return step_for(user, pk)
    except NotFoundError as error:
        raise Http404(error.message) from None


def _attempt(user: User, pk: int) -> Attempt:
    try:
        attempt = attempt_for(user, pk)
        if attempt.state == AttemptState.OPEN and is_over(attempt.deadline, timezone.now()):
            close_overdue_attempts(annotator=user)
            attempt = attempt_for(user, pk)
    except NotFoundError as error:
        raise Http404(error.message) from None
    return attempt


@require_http_methods(["GET", "POST"])
@login_required
@never_cache
def attempt(request: HttpRequest, pk: int) -> HttpResponse:
    """The sheet while it is open, and the result from then on; POST saves what was answered."""
    user = cast("User", request.user)
    found = _attempt(user, pk)
    if request.method == "POST":
        return _save(request, user, found)
    if found.state == AttemptState.OPEN and found.deadline and timezone.now() >= found.deadline:
        found = submit_attempt(attempt=found)
        messages.warning(request, _("The time was up: it was handed in as you had saved it."))
    if found.state != AttemptState.OPEN:
        return _result(request, user, found)
    sheet = sheet_of(found)
    given = sum(asked.given for asked in sheet)
    context = {
        "attempt": found,
        "step": found.step,
        "sheet": sheet,
        "given": given,
        "enough": found.step.kind != StepKind.WRITING or given >= found.step.fewest,
        "seconds": ceil((found.deadline - timezone.now()).total_seconds()) if found.deadline else None,
    }
    if "check" in request.GET:
        return render(request, "frontend/attempt_check.html", context)
    return _sheet(request, user, context)


def _sheet(request: HttpRequest, user: User, context: dict[str, Any]) -> HttpResponse:
    """All questions of a quiz or a writing step, or one pair of a rating."""
    if context["step"].kind != StepKind.RATING:
        return render(request, "frontend/attempt.html", context)
    sheet = context["sheet"]
    number = number_in(request.GET, len(sheet))
    pair = {
        "asked": sheet[number - 1],
        "pair": pair_of(sheet[number - 1], user),
        "cells": CELLS,
        "bins": BINS if asks_safety(context["step"]) else [],
    }
    return render(request, "frontend/attempt_pair.html", {**context, **pair})


def _save(request: HttpRequest, user: User, found: Attempt) -> HttpResponse:
    page = reverse("frontend:attempt", args=(found.pk,))
    sheet = sheet_of(found)
    try:
        save_answers(attempt=found, values=read_answers(request.POST, found.step, sheet, user))
        if request.POST.get("go") == "submit" and all(asked.given for asked in sheet_of(found)):
            submit_attempt(attempt=found)
            return redirect(page)
    except DomainError as error:
        messages.error(request, error.message)
        return redirect(page)
    return redirect(page + _onward(request, number_in(request.POST, len(sheet)), len(sheet)))


def _onward(request: HttpRequest, number: int, last: int) -> str:
    """Where saving leads to, as a query: the next pair, the one before, the look back over all, or the same place."""
    go = request.POST.get("go")
    if go == "submit" or (go == "next" and number >= last):
        return "?check"
    if go == "next":
        return f"?question={number + 1}"
    if go == "previous":
        return f"?question={max(1, number - 1)}"
    messages.success(request, _("Saved."))
    return f"?question={number}" if "question" in request.POST else ""


@require_POST
@login_required
def hand_in(request: HttpRequest, pk: int) -> HttpResponse:
    """Hand a sheet in as it stands."""
    found = _attempt(cast("User", request.user), pk)
    try:
        submit_attempt(attempt=found)
    except DomainError as error:
        messages.error(request, error.message)
    return redirect("frontend:attempt", pk)


def _result(request: HttpRequest, user: User, found: Attempt) -> HttpResponse:
    way = way_to(user, Focus(found.step.focus))
    place = next((s for s in way.steps if s.step.pk == found.step_id), None) if way else None
    context = {
        "attempt": found,
        "step": found.step,
        "way": way,
        "found": place,
        "outcomes": [outcome_of(asked, user) for asked in sheet_of(found)] if _tells(found, place) else [],
    }
    return render(request, "frontend/attempt_result.html", context)


def _tells(found: Attempt, place: StepPlace | None) -> bool:
    """Whether answers are shown: never between tries, for they would be learnt. A reviewer's words always are."""
    if found.step.kind == StepKind.WRITING:
        return found.reviewed_by_id is not None
    lost = place is not None and place.place.standing is Standing.BARRED
    return found.state == AttemptState.PASSED or (found.state == AttemptState.FAILED and lost)


@require_GET
@login_required
@never_cache
def preview(request: HttpRequest, pk: int) -> HttpResponse:
    """A step as its takers find it, for those who build it."""
    user = cast("User", request.user)
    try:
        require_role(user, Role.RESEARCHER)
        found, sheet = preview_of(pk)
    except (ForbiddenError, NotFoundError) as error:
        raise Http404(error.message) from None
    context = {"step": found, "sheet": sheet, "given": 0, "is_preview": True, "seconds": None}
    if not sheet:
        return render(request, "frontend/attempt.html", context)
    return _sheet(request, user, context)
