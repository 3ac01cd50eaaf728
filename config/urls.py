"""Every address of the site."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.decorators import login_required
from django.urls import include, path
from django.views.i18n import set_language
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.permissions import IsAuthenticated

from config.health import healthz

urlpatterns = [
    path("healthz", healthz),
    path("language", set_language, name="language"),
    path("", include("frontend.urls")),
    path("admin/", admin.site.urls),
    path("api/v1/", include("annotation.api.urls")),
    path("api/v1/", include("rewardmodel.api.urls")),
    path("api/v1/", include("training.api.urls")),
    path("api/v1/schema", SpectacularAPIView.as_view(permission_classes=[IsAuthenticated]), name="schema"),
    path(
        "api/v1/docs",
        login_required(
            # Its script comes from a second request to the same address: the policy forbids inline scripts.
            SpectacularSwaggerSplitView.as_view(
                url_name="schema",
                template_name="frontend/api_docs.html",
                permission_classes=[IsAuthenticated],
            )
        ),
        name="api-docs",
    ),
]
handler400 = "frontend.errors.bad_request"
handler403 = "frontend.errors.forbidden"
handler404 = "frontend.errors.not_found"
handler500 = "frontend.errors.server_error"
