"""The week: plan, open, seal, write the snapshot. Each button is a thin door to a service."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern
from django.utils.safestring import SafeString
from unfold.decorators import display

from annotation.admin.base import ServiceView, Step, act, person
from annotation.admin.batch_facts import plan_in_words
from annotation.admin.batch_forms import ZONES, OfferForm, PlanForm, initial_from, initial_of
from annotation.admin.imports import import_pages
from annotation.admin.quality import QualityPages
from annotation.admin.snapshots import RequestView
from annotation.core.states import BatchState
from annotation.models import Batch, Role, Snapshot
from annotation.overview import (
    counts_by_focus,
    newest_batch,
    seal_preview,
    sealed_up_to,
    snapshots_of,
    story_of,
    with_counts,
)
from annotation.services.batches import (
    change_offer,
    create_batch,
    open_batch,
    propose_batch,
    seal_batch,
)
from annotation.templatetags.panel import dot, moment


class PlanView(ServiceView):
    template_name = "admin/annotation/batch/plan.html"
    title = "Plan a batch"
    lead = "A planned batch takes pairs; annotators see it once it is open."
    submit = "Plan"
    form_class = PlanForm

    @cached_property
    def previous(self) -> Batch | None:
        return newest_batch()

    def get_initial(self) -> dict[str, Any]:
        return initial_from(propose_batch(after=self.previous))

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(zones=ZONES, previous=self.previous, **kwargs)

    def act(self, form: Any) -> str:
        own = {name: form.cleaned_data[name] for name in ("name", "overlap", "holdout", "seed")}
        batch = create_batch(**own, offer=form.offer(), guidelines=form.guidelines(), by=person(self.request))
        self.say(f"{batch} is planned.")
        return self.admin.address("change", batch.pk)


class OfBatchView(ServiceView):
    """A form about one batch."""

    @cached_property
    def batch(self) -> Batch:
        row: Batch = self.admin.row(self.request, self.kwargs["object_id"])
        return row

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(original=self.batch, **kwargs)

    def back(self) -> str:
        return self.admin.address("change", self.batch.pk)


class ChangeOfferView(OfBatchView):
    template_name = "admin/annotation/batch/plan.html"
    title = "Change the batch"
    lead = "What annotators are offered, from now on. What they have done already stays."
    submit = "Change"
    form_class = OfferForm

    def blocked(self) -> str:
        if self.batch.state != BatchState.SEALED:
            return ""
        return f"{self.batch} is sealed: nothing in it changes any more."

    def get_initial(self) -> dict[str, Any]:
        return initial_of(self.batch)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(zones=ZONES, **kwargs)

    def act(self, form: Any) -> str:
        change_offer(
            batch=self.batch,
            offer=form.offer(),
            guidelines=form.guidelines(),
            by=person(self.request),
        )
        self.say(f"{self.batch} is changed.")
        return self.back()


class SealView(OfBatchView):
    title = "Seal the batch"
    lead = "Sealing cannot be undone: what is in the batch stays as it is from then on."
    submit = "Seal"

    def blocked(self) -> str:
        if self.batch.state == BatchState.OPEN:
            return ""
        return f"{self.batch} is {self.batch.state}. Only an open batch can be sealed."

    def facts(self) -> list[tuple[str, str, str]]:
        n = seal_preview(self.batch)
        rows = [
            ("Comparisons frozen", n.judged, f"of {n.comparisons:,}; they become data"),
            ("Judgments frozen", n.judgments, "they can no longer be changed or taken back"),
            ("Held out for testing", n.held_out, "about; whole prompts are drawn"),
            ("Judged by fewer people than planned", n.incomplete, "kept as they are"),
            ("Without a judgment", n.unjudged, "left out of every snapshot"),
            ("Withdrawn", n.withdrawn, "skipped or flagged by people; left out"),
            ("In somebody's hands now", n.in_hands, "what is sent for them afterwards is refused"),
        ]
        return [(name, f"{value:,}", why) for name, value, why in rows]

    def act(self, form: Any) -> str:
        batch = seal_batch(batch=self.batch, by=person(self.request))
        self.say(f"{batch} is sealed.")
        return self.back()


class WriteSnapshotView(RequestView):
    """A snapshot of everything up to this week, unless other weeks are chosen."""

    @cached_property
    def batch(self) -> Batch:
        row: Batch = self.admin.row(self.request, self.kwargs["object_id"])
        return row

    def blocked(self) -> str:
        if self.batch.state == BatchState.SEALED:
            return ""
        return f"Seal {self.batch} first: a snapshot holds only what no longer changes."

    def get_initial(self) -> dict[str, Any]:
        return {"batches": [str(batch.number) for batch in sealed_up_to(self.batch)]}

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(original=self.batch, **kwargs)

    def back(self) -> str:
        return self.admin.address("change", self.batch.pk)


@admin.register(Batch)
class BatchAdmin(QualityPages):
    add_role = Role.RESEARCHER
    list_display = ("name", "dotted", "pairs", "complete", "judgments", "overlap", "opened", "sealed")
    list_filter = ("state",)
    search_fields = ("name",)
    page_template = "admin/annotation/batch/page.html"
    add_page = PlanView

    def get_queryset(self, request: HttpRequest) -> QuerySet[Batch]:
        return with_counts(super().get_queryset(request))

    def pages(self) -> list[URLPattern]:
        return [
            *import_pages(self),
            self.page("<path:object_id>/open/", self.open_page, "open"),
            self.page("<path:object_id>/offer/", ChangeOfferView.as_view(admin=self), "offer"),
            self.page("<path:object_id>/seal/", SealView.as_view(admin=self), "seal"),
            self.page("<path:object_id>/snapshot/", WriteSnapshotView.as_view(admin=self), "snapshot"),
            *self.quality_pages(),
        ]

    def open_page(self, request: HttpRequest, object_id: str) -> HttpResponse:
        batch: Batch = self.row(request, object_id)
        return act(
            request,
            lambda: open_batch(batch=batch, by=person(request)),
            said=f"{batch} is open: annotators get its comparisons.",
            back=self.address("change", batch.pk),
        )

    def page_context(self, request: HttpRequest, obj: Batch) -> dict[str, Any]:
        story = story_of(obj)
        snapshots = snapshots_of(obj)
        return {
            "counts": counts_by_focus(obj),
            "plan": plan_in_words(obj),
            "story": story,
            "sealing": next((e.detail for e in reversed(story) if e.state == BatchState.SEALED), {}),
            "snapshots": snapshots,
            "steps": [*self.steps(obj, snapshots), *self.quality_steps(obj)],
        }

    def steps(self, batch: Batch, snapshots: list[Snapshot]) -> list[Step]:
        """What can be done with the batch, the next sensible thing first and filled."""
        change = Step("Change…", self.address("offer", batch.pk))
        if batch.state == BatchState.PLANNED:
            return [Step("Open", self.address("open", batch.pk), post=True, filled=True), change]
        if batch.state == BatchState.OPEN:
            return [Step("Seal…", self.address("seal", batch.pk), filled=True), change]
        label = "Write another snapshot" if snapshots else "Write snapshot"
        return [Step(label, self.address("snapshot", batch.pk), filled=not snapshots)]

    @display(description="State", ordering="state")
    def dotted(self, batch: Batch) -> SafeString:
        return dot(batch.state)

    @display(description="Comparisons", ordering="comparisons_n")
    def pairs(self, batch: Any) -> str:
        return f"{batch.comparisons_n:,}"

    @display(description="Complete", ordering="complete_n")
    def complete(self, batch: Any) -> str:
        share = f" · {100 * batch.complete_n // batch.comparisons_n} %" if batch.comparisons_n else ""
        return f"{batch.complete_n:,}{share}"

    @display(description="Judgments", ordering="judgments_n")
    def judgments(self, batch: Any) -> str:
        return f"{batch.judgments_n:,}"

    @display(description="Opened", ordering="opened_at")
    def opened(self, batch: Batch) -> SafeString | str:
        return moment(batch.opened_at)

    @display(description="Sealed", ordering="sealed_at")
    def sealed(self, batch: Batch) -> SafeString | str:
        return moment(batch.sealed_at)
