"""The addresses of live prompts, below /api/v1/."""

from __future__ import annotations

from django.urls import URLPattern, path

from training.api import live

app_name = "live"
urlpatterns: list[URLPattern] = [
    path("live", live.live, name="live"),
    path("live/<uuid:uid>/stop", live.stop, name="stop"),
    path("live/<uuid:uid>/drop", live.drop, name="drop"),
]
