"""The addresses of the data's API, below /api/v1/."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from annotation.api import snapshots, workbench

app_name = "api"
urlpatterns: list[URLPattern | URLResolver] = [
    path("comparisons/next", workbench.next_pairs, name="next"),
    path("judgments", workbench.judgments, name="judgments"),
    path("judgments/<uuid:uid>/retract", workbench.retract, name="retract"),
    path("snapshots", snapshots.SnapshotList.as_view(), name="snapshots"),
    path("snapshots/<int:pk>", snapshots.SnapshotDetail.as_view(), name="snapshot"),
    path("snapshots/<int:pk>/download", snapshots.SnapshotDownload.as_view(), name="snapshot-download"),
]
