"""Frozen datasets: what is in them, and where they lie."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from unfold.decorators import display

from annotation.admin.base import RoleAdmin
from annotation.models import Snapshot
from annotation.templatetags.panel import brief, moment


@admin.register(Snapshot)
class SnapshotAdmin(RoleAdmin):
    list_display = ("name", "rows", "margin_table", "weeks", "content", "written")
    list_filter = ("margin_table",)
    search_fields = ("name", "sha256")
    page_template = "admin/annotation/snapshot/page.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Snapshot]:
        rows: QuerySet[Snapshot] = super().get_queryset(request).prefetch_related("batches")
        return rows

    def page_context(self, request: HttpRequest, obj: Snapshot) -> dict[str, Any]:
        return {"groups": _groups(obj.counts), "files": _files(obj)}

    @display(description="Weeks")
    def weeks(self, snapshot: Snapshot) -> str:
        return ", ".join(batch.name for batch in reversed(snapshot.batches.all()))

    @display(description="SHA-256", ordering="sha256")
    def content(self, snapshot: Snapshot) -> SafeString:
        return brief(snapshot.sha256)

    @display(description="Written", ordering="created_at")
    def written(self, snapshot: Snapshot) -> SafeString | str:
        return moment(snapshot.created_at)


def _groups(counts: dict[str, int]) -> dict[str, list[tuple[str, int]]]:
    """ "split: train" and its like, gathered under their first word."""
    groups: dict[str, list[tuple[str, int]]] = {}
    for name, count in counts.items():
        group, _, word = name.partition(": ")
        groups.setdefault(group, []).append((word, count))
    return groups


def _files(snapshot: Snapshot) -> list[tuple[str, int | None]]:
    """Names and sizes in bytes; None where a file is gone."""
    folder = Path(settings.MARGIN_HOME) / snapshot.path
    places = [folder / name for name in ("data.jsonl", "manifest.json")]
    return [(place.name, place.stat().st_size if place.is_file() else None) for place in places]
