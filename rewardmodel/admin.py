"""Reward model versions: what was trained on what, and how well it judges."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.safestring import SafeString
from unfold.decorators import display

from annotation.admin.base import RoleAdmin
from annotation.core.grades import Grade
from annotation.templatetags.panel import brief, moment
from rewardmodel.models import RewardModelVersion


@admin.register(RewardModelVersion)
class RewardModelAdmin(RoleAdmin):
    list_display = (
        "name",
        "focus",
        "recipe",
        "accuracy",
        "pairs",
        "snapshot",
        "backbone",
        "content",
        "trained",
    )
    list_filter = ("focus", "recipe")
    search_fields = ("name", "sha256", "run")
    list_select_related = ("snapshot",)
    page_template = "admin/rewardmodel/page.html"

    def page_context(self, request: HttpRequest, obj: RewardModelVersion) -> dict[str, Any]:
        return {"grades": _by_grade(obj.metrics)}

    @display(description="Accuracy, %")
    def accuracy(self, version: RewardModelVersion) -> str:
        return percent(version.metrics.get("accuracy"))

    @display(description="Pairs")
    def pairs(self, version: RewardModelVersion) -> str:
        return f"{version.metrics.get('pairs', 0):,}"

    @display(description="SHA-256")
    def content(self, version: RewardModelVersion) -> SafeString:
        return brief(version.sha256)

    @display(description="Trained", ordering="created_at")
    def trained(self, version: RewardModelVersion) -> SafeString | str:
        return moment(version.created_at)


def percent(share: float | None) -> str:
    return "—" if share is None else f"{100 * share:.1f}"


def _by_grade(metrics: dict[str, Any]) -> list[tuple[str, str, int]]:
    """Grade, accuracy in percent, pairs; strongest grade first, pairs without one last."""
    found = metrics.get("by_grade") or {}
    order = [*Grade, "none"]
    return [
        (str(grade).replace("_", " "), percent(found[grade].get("accuracy")), found[grade].get("pairs", 0))
        for grade in order
        if grade in found
    ]
