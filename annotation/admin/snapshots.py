"""Frozen datasets: what is in them, how far they are, how they differ; asked for and withdrawn here."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, reverse
from django.utils.safestring import SafeString
from unfold.decorators import display

from annotation.admin.base import RoleAdmin, ServiceView, Step, act, person
from annotation.admin.snapshot_forms import FORMAT_WORDS, FormatsForm, RecipeForm, WithdrawForm
from annotation.core.states import SnapshotState
from annotation.errors import DomainError
from annotation.models import Role, Snapshot
from annotation.overview import sealed_batches
from annotation.services.snapshots import add_formats, request_snapshot, retry_snapshot, withdraw_rows
from annotation.snapshots import (
    changes_between,
    files_of,
    missing_formats,
    others_than,
    progress_of,
    rows_touched,
    summary_of,
)
from annotation.templatetags.panel import brief, dot, moment

ONE = ("min_judgments", 1)  # asks for nothing
UNWRITTEN = (SnapshotState.WAITING, SnapshotState.WRITING)


class RequestView(ServiceView):
    """A recipe. What is asked for is written by a worker, so the next page shows how far it is."""

    template_name = "admin/annotation/snapshot/recipe.html"
    title = "Write a snapshot"
    lead = "A dataset of the aggregated comparisons, named by its content. The same recipe is written once."
    submit = "Write"
    form_class = RecipeForm

    def blocked(self) -> str:
        return (
            "" if sealed_batches() else "No week is sealed yet: a snapshot holds only what no longer changes."
        )

    def get_initial(self) -> dict[str, Any]:
        return {"batches": [str(batch.number) for batch in sealed_batches()]}

    def act(self, form: Any) -> str:
        given = form.cleaned_data
        snapshot = request_snapshot(
            recipe=given["recipe"], name=given["name"], formats=given["formats"], by=person(self.request)
        )
        self.say(f"Snapshot {snapshot} is {snapshot.state}.")
        return _place(snapshot)


class OfSnapshotView(ServiceView):
    """A form about one snapshot."""

    @cached_property
    def snapshot(self) -> Snapshot:
        row: Snapshot = self.admin.row(self.request, self.kwargs["object_id"])
        return row

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(original=self.snapshot, **kwargs)

    def back(self) -> str:
        return self.admin.address("change", self.snapshot.pk)

    def blocked(self) -> str:
        ready = self.snapshot.state == SnapshotState.READY
        return (
            "" if ready else f"{self.snapshot} is {self.snapshot.state}: this can be done once it is ready."
        )


class FormatsView(OfSnapshotView):
    title = "Add formats"
    lead = "The same rows in the shape that a library reads. A worker writes them beside the files that are there."
    submit = "Add"
    form_class = FormatsForm

    def act(self, form: Any) -> str:
        add_formats(snapshot=self.snapshot, formats=form.cleaned_data["formats"], by=person(self.request))
        self.say("They are being written.")
        return self.back()


class WithdrawView(OfSnapshotView):
    title = "Withdraw rows"
    lead = (
        "A new version is written without them, and carries the reason. From that moment this version's files are not "
        "given out any more."
    )
    submit = "Go on"
    form_class = WithdrawForm
    counted: dict[str, int] | None = None

    def facts(self) -> list[tuple[str, str, str]]:
        if self.counted is None:
            return []
        return [
            ("Judgments that go", f"{self.counted['judgments']:,}", "and are not read for the new version"),
            (
                "Pairs they are on",
                f"{self.counted['pairs']:,}",
                f"of a snapshot of {self.snapshot.rows:,} rows",
            ),
        ]

    def form_valid(self, form: Any) -> HttpResponse:
        if form.cleaned_data["sure"]:
            return super().form_valid(form)
        given = form.cleaned_data
        self.counted = rows_touched(self.snapshot, annotators=given["annotators"], prompts=given["prompts"])
        form.add_error("sure", "This is what would go. Tick it to withdraw them.")
        return self.form_invalid(form)

    def act(self, form: Any) -> str:
        given = form.cleaned_data
        new = withdraw_rows(
            snapshot=self.snapshot,
            annotators=given["annotators"],
            prompts=given["prompts"],
            reason=given["reason"],
            by=person(self.request),
        )
        self.say(f"{self.snapshot} is withdrawn. {new} takes its place.")
        return _place(new)


@admin.register(Snapshot)
class SnapshotAdmin(RoleAdmin):
    add_role = Role.RESEARCHER
    list_display = ("named", "dotted", "rows", "margin_table", "weeks", "content", "written")
    list_filter = ("state", "margin_table")
    search_fields = ("name", "sha256")
    page_template = "admin/annotation/snapshot/page.html"
    add_page = RequestView

    def get_queryset(self, request: HttpRequest) -> QuerySet[Snapshot]:
        rows: QuerySet[Snapshot] = super().get_queryset(request).prefetch_related("batches")
        return rows

    def pages(self) -> list[URLPattern]:
        return [
            self.page("<path:object_id>/live/", self.live_page, "live"),
            self.page("<path:object_id>/changes/", self.changes_page, "changes"),
            self.page("<path:object_id>/formats/", FormatsView.as_view(admin=self), "formats"),
            self.page("<path:object_id>/withdraw/", WithdrawView.as_view(admin=self), "withdraw"),
            self.page("<path:object_id>/retry/", self.retry_page, "retry"),
        ]

    def page_context(self, request: HttpRequest, obj: Snapshot) -> dict[str, Any]:
        return {
            "groups": _groups(obj.counts),
            "files": files_of(obj),
            "recipe": _recipe_in_words(obj.recipe),
            "newer": getattr(obj, "replaced_by", None),
            "steps": self.steps(obj),
            **_live(obj),
        }

    def steps(self, snapshot: Snapshot) -> list[Step]:
        match snapshot.state:
            case SnapshotState.FAILED:
                return [Step("Try again", self.address("retry", snapshot.pk), post=True, filled=True)]
            case SnapshotState.READY:
                return [
                    Step("Add formats…", self.address("formats", snapshot.pk), filled=True),
                    Step("Compare…", self.address("changes", snapshot.pk)),
                    Step("Withdraw rows…", self.address("withdraw", snapshot.pk)),
                ]
            case SnapshotState.WITHDRAWN:
                return [Step("Compare…", self.address("changes", snapshot.pk))]
        return []

    def live_page(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """How far it is; once there is more to show than that, the whole page comes anew."""
        row: Snapshot = self.row(request, object_id)
        context = _live(row)
        response = TemplateResponse(request, "admin/annotation/snapshot/live.html", {"row": row, **context})
        if not context["active"] or request.GET.get("state", row.state) != row.state:
            response["HX-Refresh"] = "true"
        return response

    def changes_page(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row: Snapshot = self.row(request, object_id)
        others = others_than(row)
        chosen = next((one for one in others if str(one.pk) == request.GET.get("since")), None)
        context: dict[str, Any] = {"row": row, "original": row, "others": others, "since": chosen}
        if chosen is not None:
            try:
                context["changes"] = summary_of(changes_between(chosen, row))
            except DomainError as error:
                context["error"] = error.message
        title = f"Differences: {row}"
        return self.render(request, "admin/annotation/snapshot/changes.html", title=title, **context)

    def retry_page(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row: Snapshot = self.row(request, object_id)
        return act(
            request,
            lambda: retry_snapshot(snapshot=row, by=person(request)),
            said=f"{row} waits to be written again.",
            back=self.address("change", row.pk),
        )

    @display(description="Name", ordering="name")
    def named(self, snapshot: Snapshot) -> str:
        return str(snapshot)

    @display(description="State", ordering="state")
    def dotted(self, snapshot: Snapshot) -> SafeString:
        return dot(snapshot.state)

    @display(description="Weeks")
    def weeks(self, snapshot: Snapshot) -> str:
        return ", ".join(batch.name for batch in reversed(snapshot.batches.all()))

    @display(description="SHA-256", ordering="sha256")
    def content(self, snapshot: Snapshot) -> SafeString | str:
        return brief(snapshot.sha256) if snapshot.sha256 else "—"

    @display(description="Written", ordering="written_at")
    def written(self, snapshot: Snapshot) -> SafeString | str:
        return moment(snapshot.written_at)


def _live(snapshot: Snapshot) -> dict[str, Any]:
    wanted = missing_formats(snapshot) if snapshot.state == SnapshotState.READY else []
    return {
        "active": snapshot.state in UNWRITTEN or bool(wanted),
        "progress": progress_of(snapshot),
        "wanted": [FORMAT_WORDS.get(name, name) for name in wanted],
    }


def _groups(counts: dict[str, int]) -> dict[str, list[tuple[str, int]]]:
    """ "split: train" and its like, gathered under their first word."""
    groups: dict[str, list[tuple[str, int]]] = {}
    for name, count in counts.items():
        group, _, word = name.partition(": ")
        groups.setdefault(group, []).append((word, count))
    return groups


def _recipe_in_words(recipe: dict[str, Any]) -> list[tuple[str, str]]:
    """What it asks for beside weeks and margins, which the page shows anyway."""
    words = []
    for name, value in recipe.items():
        if name in ("batches", "margin_table", "up_to") or value in (None, [], 0, {}) or (name, value) == ONE:
            continue
        if isinstance(value, dict):
            text = ", ".join(f"{key.replace('_', ' ')} {number:g}" for key, number in value.items())
        elif isinstance(value, list):
            text = ", ".join(map(str, value[:20])) + (
                f" and {len(value) - 20} more" if len(value) > 20 else ""
            )
        else:
            text = str(value)
        words.append((name.replace("_", " "), text))
    return words


def _place(snapshot: Snapshot) -> str:
    return reverse("admin:annotation_snapshot_change", args=(snapshot.pk,))
