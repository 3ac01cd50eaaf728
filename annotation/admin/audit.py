"""The audit: who did what when, to be read, searched and exported. Nothing here changes it."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from datetime import date
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, reverse

from annotation.admin.base import RoleAdmin
from annotation.auditing import HOUSE, PAGE, Search, actors, events, every_event
from annotation.core import audit
from annotation.models import AuditEvent

COLUMNS = ("at", "actor", "action", "object type", "object", "name", "detail")


class SearchForm(forms.Form):
    group = forms.ChoiceField(
        choices=[("", "everything"), *audit.GROUPS.items()], required=False, label="About"
    )
    actor = forms.TypedChoiceField(coerce=int, empty_value=None, required=False, label="By")
    since = forms.DateField(required=False, widget=forms.DateInput(attrs={"type": "date"}))
    until = forms.DateField(required=False, widget=forms.DateInput(attrs={"type": "date"}))
    text = forms.CharField(required=False, max_length=200, label="Name")

    def __init__(self, given: Any) -> None:
        super().__init__(given, label_suffix="")
        people = [(str(user.pk), user.username) for user in actors()]
        self.fields["actor"].choices = [("", "anybody"), (str(HOUSE), "the house"), *people]  # type: ignore[attr-defined]

    def search(self) -> Search:
        """What is asked for; a part that makes no sense is left out."""
        self.full_clean()
        return Search(**{name: value for name, value in self.cleaned_data.items() if value not in (None, "")})

    def query(self) -> str:
        """The search as it stands in an address."""
        found = {name: getattr(self.search(), name) for name in self.fields}
        return urlencode({name: value for name, value in found.items() if value not in (None, "")})


@admin.register(AuditEvent)
class AuditEventAdmin(RoleAdmin):
    def pages(self) -> list[URLPattern]:
        return [self.page("export/", self.export_page, "export")]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> TemplateResponse:
        self._check_may(request)
        form = SearchForm(request.GET)
        before = request.GET.get("before", "")
        last = int(before) if before.isdecimal() and len(before) < 18 else None
        found = events(form.search(), before=last, limit=PAGE + 1)
        query = form.query()
        older = urlencode({"before": found[PAGE - 1].pk}) if len(found) > PAGE else ""
        links = Links(request)
        return self.render(
            request,
            "admin/annotation/auditevent/list.html",
            title="Audit",
            form=form,
            lines=[
                (
                    row,
                    *audit.sentence(row.action, row.actor_name),
                    links.to(row),
                    audit.detail_words(row.detail),
                )
                for row in found[:PAGE]
            ],
            older="&".join(filter(None, (query, older))) if older else "",
            newest=f"?{query}" if last is not None else "",
            export=f"{self.address('export')}?{query}",
            is_narrowed=bool(query),
        )

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """A line has no page of its own."""
        raise PermissionDenied

    def export_page(self, request: HttpRequest) -> StreamingHttpResponse:
        self._check_may(request)
        rows = every_event(SearchForm(request.GET).search())
        response = StreamingHttpResponse(csv_lines(rows), content_type="text/csv; charset=utf-8")
        response["Content-Disposition"] = f'attachment; filename="audit-{date.today():%Y-%m-%d}.csv"'  # noqa: DTZ011
        return response

    def _check_may(self, request: HttpRequest) -> None:
        if not self.has_view_permission(request):
            raise PermissionDenied


class Links:
    """Where an object's page is, if there is one that this person may see."""

    def __init__(self, request: HttpRequest) -> None:
        self.routes = {
            str(model._meta.model_name): f"admin:{model._meta.app_label}_{model._meta.model_name}_change"
            for model, shown in admin.site._registry.items()
            if shown.has_view_permission(request)
        }

    def to(self, row: AuditEvent) -> str:
        route = self.routes.get(row.object_type)
        return reverse(route, args=(row.object_id,)) if route else ""


class _Line:
    """A file that hands back each line instead of keeping it."""

    def write(self, text: str) -> str:
        return text


def csv_lines(rows: Iterable[AuditEvent]) -> Iterator[str]:
    """The rows as CSV, in which no cell is a formula."""
    writer = csv.writer(_Line())
    yield writer.writerow(COLUMNS)
    for row in rows:
        cells = (
            row.at.isoformat(timespec="seconds"),
            row.actor_name or audit.HOUSE,
            row.action,
            row.object_type,
            row.object_id,
            row.object_name,
            audit.detail_words(row.detail),
        )
        yield writer.writerow(audit.safe_cell(cell) for cell in cells)
