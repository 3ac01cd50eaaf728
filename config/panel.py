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


class PanelSite(UnfoldAdminSite):
    """Open to researchers and administrators. The role decides; `is_staff` is not asked."""

    index_template = "training/week.html"

    def has_permission(self, request: HttpRequest) -> bool:
        return isinstance(request.user, User) and request.user.may(Role.RESEARCHER)

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """One door for everybody: the site's sign-in page. Who is in already, but may not come here, is told so."""
        if self.has_permission(request):
            return HttpResponseRedirect(reverse("admin:index"))
        if request.user.is_authenticated:
            raise PermissionDenied("This is for researchers. Ask an administrator for the role.")
        wanted = request.GET.get(REDIRECT_FIELD_NAME) or reverse("admin:index")
        return redirect_to_login(wanted, str(settings.LOGIN_URL))
