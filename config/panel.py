"""The admin site: who gets in, and where those go who do not.

Knows roles and addresses. What is on the pages stands in each app's admin.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from unfold.sites import UnfoldAdminSite

from annotation.models import Role, User

# What reviewers come for, and the words that its lists load; each page asks for its own role besides.
REVIEWING = (
    "index",
    "jsi18n",
    "annotation_pass_",
    "annotation_guidelinereport_",
    "annotation_attempt_",
    "annotation_review_",
    "rewardmodel_pairscore_changelist",
)


class PanelSite(UnfoldAdminSite):
    """Open to researchers and administrators, and to reviewers where flags and reports wait for them. The role
    decides; `is_staff` is not asked."""

    index_template = "training/week.html"

    def has_permission(self, request: HttpRequest) -> bool:
        user = request.user
        if not isinstance(user, User):
            return False
        return user.may(Role.RESEARCHER) or (user.may(Role.REVIEWER) and _is_reviewing(request))

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """The week, for those who run the loop; reviewers begin with the flags."""
        if isinstance(request.user, User) and request.user.may(Role.RESEARCHER):
            return super().index(request, extra_context)
        return HttpResponseRedirect(reverse("admin:annotation_pass_changelist"))

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """One door for everybody: the site's sign-in page. Who is in already, but may not come here, is told so."""
        if self.has_permission(request):
            return HttpResponseRedirect(reverse("admin:index"))
        if request.user.is_authenticated:
            raise PermissionDenied(
                "This is for researchers and reviewers. Ask an administrator for the role."
            )
        wanted = request.GET.get(REDIRECT_FIELD_NAME) or reverse("admin:index")
        return redirect_to_login(wanted, str(settings.LOGIN_URL))


def _is_reviewing(request: HttpRequest) -> bool:
    match = request.resolver_match
    return match is not None and (match.url_name or "").startswith(REVIEWING)
