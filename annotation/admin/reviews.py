"""What annotators raise: flags on pairs, reports on the guidelines. Reviewers deal with them here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern
from django.utils.safestring import SafeString
from unfold.decorators import display

from annotation.admin.base import RoleAdmin, Step, act, person
from annotation.admin.columns import OfPairAdmin
from annotation.admin.data import excerpt
from annotation.core.passes import FLAGS, PassReason
from annotation.core.states import BatchState, ComparisonState
from annotation.models import GuidelineReport, Pass, Role
from annotation.services.guidelines import handle_report
from annotation.services.passes import handle_flag
from annotation.templatetags.panel import moment


class StageFilter(admin.SimpleListFilter):
    """What waits, unless something else is asked for."""

    title = "stage"
    parameter_name = "stage"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("handled", "dealt with"), ("all", "all")]

    def choices(self, changelist: Any) -> Iterator[Any]:
        first, *others = super().choices(changelist)
        yield {**first, "display": "waiting"}
        yield from others

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() == "all":
            return queryset
        return queryset.filter(handled_at__isnull=self.value() != "handled")


class FlagStageFilter(StageFilter):
    """Skips wait for nobody."""

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("handled", "dealt with"), ("skips", "skips"), ("back", "taken back"), ("all", "all")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        if self.value() == "all":
            return queryset
        if self.value() == "back":
            return queryset.filter(retracted=True)
        standing = queryset.filter(retracted=False)
        if self.value() == "skips":
            return standing.exclude(reason__in=list(FLAGS))
        if self.value() == "handled":
            return standing.filter(handled_at__isnull=False)
        return queryset.waiting()


@admin.register(Pass)
class PassAdmin(OfPairAdmin):
    view_role = Role.REVIEWER
    list_display = ("why", "asked", "comment_start", "focus", "batch", "who", "given", "handled")
    list_filter = (FlagStageFilter, "reason", "comparison__batch")
    search_fields = ("comment", "comparison__key", "comparison__dialogue__prompt__text")
    list_select_related = ("annotator", "handled_by", "comparison__batch", "comparison__dialogue__prompt")
    page_template = "admin/annotation/pass/page.html"

    def pages(self) -> list[URLPattern]:
        return [
            self.page("<path:object_id>/restore/", self.restore_page, "restore"),
            self.page("<path:object_id>/keep-out/", self.keep_out_page, "keep_out"),
        ]

    def restore_page(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._handle(request, object_id, restore=True, said="The pair is back in the queue.")

    def keep_out_page(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._handle(
            request,
            object_id,
            restore=False,
            said="The pair stays out: nobody is given it, no export holds it.",
        )

    def _handle(self, request: HttpRequest, object_id: str, *, restore: bool, said: str) -> HttpResponse:
        flag: Pass = self.row(request, object_id)
        return act(
            request,
            lambda: handle_flag(flag=flag, by=person(request), restore=restore),
            said=said,
            back=self.address("changelist"),
        )

    def page_context(self, request: HttpRequest, obj: Pass) -> dict[str, Any]:
        return {
            "pair": obj.comparison,
            "is_flag": PassReason(obj.reason).is_flag,
            "is_out": obj.comparison.state == ComparisonState.WITHDRAWN,
            "steps": self.steps(obj),
        }

    def steps(self, flag: Pass) -> list[Step]:
        sealed = flag.comparison.batch.state == BatchState.SEALED
        if sealed or flag.retracted or flag.handled_at or not PassReason(flag.reason).is_flag:
            return []
        is_out = flag.comparison.state == ComparisonState.WITHDRAWN
        return [
            Step("Restore" if is_out else "Leave in the queue", self.address("restore", flag.pk), post=True),
            Step("Keep out" if is_out else "Take out", self.address("keep_out", flag.pk), post=True),
        ]

    @display(description="Reason", ordering="reason")
    def why(self, row: Pass) -> str:
        return f"{row.get_reason_display()}{' (taken back)' if row.retracted else ''}"

    @display(description="Comment")
    def comment_start(self, row: Pass) -> str:
        return excerpt(row.comment) or "—"

    @display(description="By", ordering="annotator__pseudonym")
    def who(self, row: Pass) -> str:
        return row.annotator.pseudonym

    @display(description="Dealt with", ordering="handled_at")
    def handled(self, row: Pass) -> SafeString | str:
        return moment(row.handled_at)


@admin.register(GuidelineReport)
class GuidelineReportAdmin(RoleAdmin):
    view_role = Role.REVIEWER
    list_display = ("start", "version", "who", "given", "handled")
    list_filter = (StageFilter, "guideline__focus")
    search_fields = ("text",)
    list_select_related = ("guideline", "annotator", "handled_by")
    page_template = "admin/annotation/guidelinereport/page.html"

    def pages(self) -> list[URLPattern]:
        return [self.page("<path:object_id>/handle/", self.handle_page, "handle")]

    def handle_page(self, request: HttpRequest, object_id: str) -> HttpResponse:
        report: GuidelineReport = self.row(request, object_id)
        return act(
            request,
            lambda: handle_report(report=report, by=person(request)),
            said="The report is dealt with.",
            back=self.address("changelist"),
        )

    def page_context(self, request: HttpRequest, obj: GuidelineReport) -> dict[str, Any]:
        mark = Step("Mark as dealt with", self.address("handle", obj.pk), post=True, filled=True)
        return {"pair": obj.comparison, "steps": [] if obj.handled_at else [mark]}

    @display(description="Report")
    def start(self, row: GuidelineReport) -> str:
        return excerpt(row.text)

    @display(description="Guidelines", ordering="guideline")
    def version(self, row: GuidelineReport) -> str:
        return str(row.guideline)

    @display(description="By", ordering="annotator__pseudonym")
    def who(self, row: GuidelineReport) -> str:
        return row.annotator.pseudonym

    @display(description="When", ordering="created_at")
    def given(self, row: GuidelineReport) -> SafeString | str:
        return moment(row.created_at)

    @display(description="Dealt with", ordering="handled_at")
    def handled(self, row: GuidelineReport) -> SafeString | str:
        return moment(row.handled_at)
