"""The addresses of the data's API, below /api/v1/."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from annotation.api import earlier, guidelines, me, passes, snapshots, workbench

app_name = "api"
urlpatterns: list[URLPattern | URLResolver] = [
    path("comparisons/next", workbench.next_pairs, name="next"),
    path("judgments", workbench.judgments, name="judgments"),
    path("judgments/<uuid:uid>/retract", workbench.retract, name="retract"),
    path("judgments/last", earlier.last, name="judgment-last"),
    path("judgments/<uuid:uid>", earlier.one, name="judgment"),
    path("passes", passes.passes, name="passes"),
    path("passes/<uuid:uid>/retract", passes.retract, name="pass-retract"),
    path("guidelines/<int:pk>/read", guidelines.read, name="guideline-read"),
    path("guidelines/<int:pk>/reports", guidelines.reports, name="guideline-reports"),
    path("guidelines/<slug:focus>", guidelines.guideline, name="guideline"),
    path("me/preferences", me.preferences, name="preferences"),
    path("me/safety", me.safety, name="safety"),
    path("snapshots", snapshots.SnapshotList.as_view(), name="snapshots"),
    path("snapshots/<int:pk>", snapshots.SnapshotDetail.as_view(), name="snapshot"),
    path("snapshots/<int:pk>/download", snapshots.SnapshotDownload.as_view(), name="snapshot-download"),
]
