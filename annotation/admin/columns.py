"""Columns of lists whose rows are each about one comparison."""

from __future__ import annotations

from typing import Any

from django.utils.safestring import SafeString
from unfold.decorators import display

from annotation.admin.base import RoleAdmin
from annotation.admin.data import excerpt
from annotation.templatetags.panel import moment


class OfPairAdmin(RoleAdmin):
    """`list_select_related` names the comparison's batch and its dialogue's prompt."""

    @display(description="Prompt")
    def asked(self, row: Any) -> str:
        return excerpt(row.comparison.dialogue.prompt.text)

    @display(description="Focus", ordering="comparison__focus")
    def focus(self, row: Any) -> str:
        return str(row.comparison.focus)

    @display(description="Batch", ordering="comparison__batch__number")
    def batch(self, row: Any) -> str:
        return str(row.comparison.batch.name)

    @display(description="When", ordering="created_at")
    def given(self, row: Any) -> SafeString | str:
        return moment(row.created_at)
