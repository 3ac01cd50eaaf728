"""Policy versions: to look at. Runs make them."""

from __future__ import annotations

from django.contrib import admin
from django.utils.safestring import SafeString
from unfold.decorators import display

from annotation.admin.base import RoleAdmin
from annotation.templatetags.panel import brief, moment
from training.models import PolicyVersion


@admin.register(PolicyVersion)
class PolicyAdmin(RoleAdmin):
    list_display = ("name", "parent", "adapter_on", "endpoint", "content", "made")
    search_fields = ("name", "sha256", "run")
    list_select_related = ("parent", "adapter_on")
    fields = ("name", "parent", "adapter_on", "endpoint", "path", "whole_hash", "run_uid", "created_at")
    readonly_fields = ("whole_hash", "run_uid")

    @display(description="SHA-256", ordering="sha256")
    def content(self, policy: PolicyVersion) -> SafeString:
        return brief(policy.sha256)

    @display(description="SHA-256 of its manifest")
    def whole_hash(self, policy: PolicyVersion) -> SafeString:
        return brief(policy.sha256, 16)

    @display(description="Run")
    def run_uid(self, policy: PolicyVersion) -> SafeString:
        return brief(policy.run)

    @display(description="Made", ordering="created_at")
    def made(self, policy: PolicyVersion) -> SafeString | str:
        return moment(policy.created_at)
