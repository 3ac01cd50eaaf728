"""What the loop adds to a batch's page: its iteration, and training from its snapshots."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.urls import URLPattern, reverse
from django.utils.text import slugify

from annotation.admin.base import Step, person
from annotation.admin.batches import BatchAdmin, OfBatchView
from annotation.core.grades import Focus
from annotation.core.plan import Plan
from annotation.core.states import BatchState
from annotation.models import Batch, Snapshot
from annotation.overview import snapshots_of
from annotation.queries import batch_progress
from training import overview
from training.core.spec import RunKind
from training.forms.fields import NO_POLICY, NO_SNAPSHOT, RowField
from training.queries import newest_policies
from training.services.sampling import sample_week
from training.services.start import start_train_reward_model


class TrainForm(forms.Form):
    snapshot = RowField(overview.snapshots(), none=NO_SNAPSHOT, help_text="What both learn from.")
    backbone = RowField(
        overview.whole_policies(), none=NO_POLICY, help_text="The policy they are initialised from."
    )


class TrainView(OfBatchView):
    title = "Train reward models"
    lead = "Two runs with the default parameters, one a focus."
    submit = "Train both"
    form_class = TrainForm

    def get_form(self, form_class: type[forms.Form] | None = None) -> forms.Form:
        form = super().get_form(form_class)
        field: Any = form.fields["snapshot"]
        field.queryset = field.queryset.filter(batches=self.batch)
        return form

    def blocked(self) -> str:
        return "" if snapshots_of(self.batch) else NO_SNAPSHOT

    def act(self, form: Any) -> str:
        snapshot, backbone = form.cleaned_data["snapshot"], form.cleaned_data["backbone"]
        runs = [
            start_train_reward_model(
                name=overview.free_name(f"{focus}-{slugify(snapshot.name)[:60]}", RunKind.TRAIN_REWARD_MODEL),
                snapshot=snapshot,
                backbone=backbone,
                params={"focus": focus},
                by=person(self.request),
            )
            for focus in Focus
        ]
        self.say(f"Runs {' and '.join(str(run.pk) for run in runs)} are queued.")
        return reverse("admin:training_run_changelist")


class SampleView(OfBatchView):
    """Sample pairs for a batch as its plan says."""

    title = "Sample pairs"
    lead = "One run, as the plan of the batch says. Its pairs join the queue when it ends."
    submit = "Start the run"

    def blocked(self) -> str:
        if self.batch.state == BatchState.SEALED:
            return f"{self.batch} is sealed and takes no new pairs."
        return "" if newest_policies() else NO_POLICY

    def facts(self) -> list[tuple[str, str, str]]:
        plan = Plan.from_json(self.batch.plan)
        names = plan.policies or tuple(policy.name for policy in newest_policies())
        there = batch_progress(self.batch).comparisons
        wanted = (
            f"of {self.batch.target:,} wanted" if self.batch.target else "no target: as many as a run takes"
        )
        return [
            ("Policies", ", ".join(names), "whose answers are compared"),
            ("Temperatures", f"{plan.coolest:g} to {plan.hottest:g}", "two of the range a pair"),
            ("Comparisons", f"{there:,}", wanted),
        ]

    def act(self, form: Any) -> str:
        run = sample_week(
            batch=self.batch,
            policies=newest_policies(),
            params={},
            seed=self.batch.seed,
            by=person(self.request),
        )
        self.say(f"Run {run.pk} is queued.")
        return reverse("admin:training_run_change", args=(run.pk,))


class LoopBatchAdmin(BatchAdmin):
    page_template = "admin/training/batch.html"

    def pages(self) -> list[URLPattern]:
        return [
            *super().pages(),
            self.page("<path:object_id>/train/", TrainView.as_view(admin=self), "train"),
            self.page("<path:object_id>/sample/", SampleView.as_view(admin=self), "sample"),
        ]

    def page_context(self, request: HttpRequest, obj: Batch) -> dict[str, Any]:
        return {**super().page_context(request, obj), "iteration": overview.iteration_of(obj)}

    def steps(self, batch: Batch, snapshots: list[Snapshot]) -> list[Step]:
        """Where an iteration has the batch, going on there is the next thing."""
        steps = super().steps(batch, snapshots)
        if batch.state != BatchState.SEALED and newest_policies():
            steps.append(Step("Sample pairs…", self.address("sample", batch.pk)))
        if overview.has_reward_model():
            score = reverse("admin:training_run_start_kind", args=(RunKind.SCORE_PAIRS,))
            steps.append(Step("Score pairs…", f"{score}?batch={batch.pk}"))
        iteration = overview.iteration_of(batch)
        if snapshots:
            train = self.address("train", batch.pk)
            steps.insert(0, Step("Train reward models…", train, filled=iteration is None))
        if iteration is None or not batch.sealed_at:
            return steps
        place = reverse("admin:training_iteration_change", args=(iteration.pk,))
        others = [Step(step.label, step.address, step.post) for step in steps]
        return [Step(f"Go on with {iteration}", place, filled=True), *others]


admin.site.unregister(Batch)
admin.site.register(Batch, LoopBatchAdmin)
