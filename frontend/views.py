"""The annotators' pages. Thin: what is true comes from queries, what is done from services by way of the API."""

from __future__ import annotations

from typing import cast
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import LoginView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_GET, require_POST

from annotation.core.grades import Focus
from annotation.core.progress import FEWEST_SHARED
from annotation.errors import DomainError
from annotation.history import history_of
from annotation.models import Role, User
from annotation.progress import PACE_DAYS, progress_of
from annotation.queries import annotator_day, guideline_story, last_sealed_batch, open_batch, to_review
from annotation.reviewing import count_disputes, feedback_for, returned_to, why_returned
from annotation.services.passes import retract_pass
from annotation.services.people import set_safety_consent
from annotation.services.reviews import put_away_feedback
from frontend.bench import bench_context
from frontend.loop import loop_now


class SignInView(LoginView):
    template_name = "frontend/sign_in.html"
    redirect_authenticated_user = True


@require_GET
@login_required
@never_cache
def home(request: HttpRequest) -> HttpResponse:
    """This week, what waits, how it goes, and the way in."""
    user = cast("User", request.user)
    batch = open_batch()
    shown = batch or last_sealed_batch()
    day = annotator_day(user, shown)
    context = {
        "batch": shown,
        "is_open": batch is not None,
        "day": day,
        "waiting": sum(day.waiting.values()),
        "progress": progress_of(user, shown),
        "returned": returned_to(user),
        "pace_days": PACE_DAYS,
        "fewest_shared": FEWEST_SHARED,
        "review": to_review() if user.may(Role.REVIEWER) else None,
        "disputes": count_disputes(user) if user.may(Role.REVIEWER) else 0,
        "loop": loop_now() if user.may(Role.RESEARCHER) else None,
    }
    return render(request, "frontend/home.html", context)


@require_POST
@login_required
def safety(request: HttpRequest) -> HttpResponse:
    """Agree to be given safety pairs, or stop."""
    agreed = request.POST.get("consent") == "yes"
    set_safety_consent(annotator=cast("User", request.user), agreed=agreed)
    if agreed:
        messages.success(request, _("You get safety pairs too from now on. You can stop here at any time."))
    else:
        messages.success(request, _("You get no more safety pairs. What you have judged stays as it is."))
    return redirect("frontend:home")


@require_GET
@login_required
@never_cache
def mine(request: HttpRequest) -> HttpResponse:
    """What this person said, newest first."""
    focus = request.GET.get("focus", "")
    wanted = {
        "focus": focus if focus in list(Focus) else "",
        # No text holds a NUL, and PostgreSQL refuses to look for one.
        "text": request.GET.get("text", "").replace("\0", "").strip()[:200],
    }
    user, after = cast("User", request.user), request.GET.get("after", "")
    page = history_of(user, **wanted, after=after)
    context = {
        "page": page,
        **wanted,
        "focuses": Focus,
        "is_first": not after,
        "returned": returned_to(user) if not (after or any(wanted.values())) else [],
        "feedback": feedback_for([entry.row.pk for entry in page.entries if entry.is_judgment]),
    }
    return render(request, "frontend/mine.html", context)


@require_POST
@login_required
def put_away(request: HttpRequest, pk: int) -> HttpResponse:
    """Somebody has read what came back to them and leaves their judgment as it is."""
    try:
        put_away_feedback(annotator=cast("User", request.user), review=pk)
    except DomainError as error:
        messages.error(request, error.message)
    else:
        messages.success(request, _("Your judgment stays as it is."))
    return redirect("frontend:mine")


@require_POST
@login_required
def take_back(request: HttpRequest, uid: UUID) -> HttpResponse:
    """Take a skip or a flag back."""
    try:
        retract_pass(annotator=cast("User", request.user), uid=uid)
    except DomainError as error:
        messages.error(request, error.message)
    else:
        messages.success(request, _("Taken back: the pair waits for you again."))
    return redirect("frontend:mine")


@require_GET
@login_required
def guidelines(request: HttpRequest) -> HttpResponse:
    """The version in force for each focus, and the ones before it with what each changed."""
    return render(request, "frontend/guidelines.html", {"stories": guideline_story()})


@require_GET
@login_required
@never_cache
@ensure_csrf_cookie
def rate(request: HttpRequest) -> HttpResponse:
    """The workbench: an empty bench, which its script fills from the API."""
    user, reopen = cast("User", request.user), request.GET.get("reopen", "")
    context = {**bench_context(user, reopen), "asked": why_returned(user, reopen) if reopen else ""}
    return render(request, "frontend/rate.html", context)
