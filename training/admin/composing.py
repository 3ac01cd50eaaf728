"""Composing an iteration on a page: a new one from a recipe, or one that branches off from another."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from django import forms
from django.http import HttpRequest

from annotation.admin.base import ServiceView, person
from training import overview
from training.core.recipe import PRESETS, Recipe
from training.core.states import StepState
from training.forms.fields import NO_POLICY, RowField
from training.models import Iteration
from training.services.iterations import create_iteration, fork_iteration, steps_of
from training.services.iterations.compose import read_recipe

AREA = {"rows": 6, "spellcheck": "false"}


def _params(required: bool = False) -> forms.JSONField:
    return forms.JSONField(
        required=required,
        initial=dict,
        label="Parameters",
        widget=forms.Textarea(attrs=AREA),
        help_text='By kind of run, where they differ from the defaults: {"sample": {"prompts": 64}}.',
    )


def _steps() -> forms.JSONField:
    return forms.JSONField(
        required=False,
        label="Own recipe",
        widget=forms.Textarea(attrs=AREA),
        help_text='In place of the recipe above: {"steps": [{"kind": "gatt"}, …]}. See docs/iterations.md.',
    )


class ComposeForm(forms.Form):
    """What both pages ask for."""

    def clean_params(self) -> dict[str, dict[str, Any]]:
        given = self.cleaned_data["params"] or {}
        if not isinstance(given, dict) or not all(isinstance(value, dict) for value in given.values()):
            raise forms.ValidationError("Give an object of objects, one a kind of run.")
        return given


class BeginForm(ComposeForm):
    batch = RowField(
        overview.batches_without_iteration(),
        none="There is no batch that no iteration has. Plan one first.",
        help_text="The week that it begins with.",
    )
    policy = RowField(overview.policies(), none=NO_POLICY, help_text="The newest policy; it samples.")
    base = RowField(
        overview.whole_policies(), none=NO_POLICY, help_text="Where fine-tuning starts (section 3.2.3)."
    )
    seed = forms.IntegerField(min_value=0, max_value=2**31 - 1, initial=0)
    recipe = forms.ChoiceField(
        required=False,
        choices=[(name, name) for name in PRESETS],
        help_text="rejection: reward models, rejection sampling, fine-tuning. full: ghost attention, context "
        "distillation and PPO too.",
    )
    steps = _steps()
    params = _params()
    automatic = forms.BooleanField(
        required=False, help_text="Each step starts by itself when the one before has ended well."
    )


class BeginView(ServiceView):
    title = "Begin an iteration"
    lead = "One turn of the loop: from this week's judgments to the next policy. Nothing starts yet."
    submit = "Begin"
    form_class = BeginForm

    def act(self, form: Any) -> str:
        given = dict(form.cleaned_data)
        own, preset = given.pop("steps"), given.pop("recipe") or "rejection"
        recipe = read_recipe(own) if own else PRESETS[preset]
        iteration = create_iteration(**given, recipe=recipe, by=person(self.request))
        self.say(f"{iteration} begins with {iteration.batch}.")
        return self.admin.address("plan", iteration.pk)


class ForkForm(ComposeForm):
    at = forms.ChoiceField(
        label="From step",
        help_text="It does this step and those behind it itself; what came before is shared.",
    )
    params = _params()
    steps = _steps()
    seed = forms.IntegerField(
        required=False, min_value=0, max_value=2**31 - 1, help_text="Empty: the same seed."
    )
    automatic = forms.BooleanField(
        required=False, help_text="Each step starts by itself when the one before has ended well."
    )


class ForkView(ServiceView):
    title = "Fork"
    lead = "A new iteration on the same week, with other parameters from one step on. Nothing starts yet."
    submit = "Fork"
    form_class = ForkForm

    def setup(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        super().setup(request, *args, **kwargs)
        self.iteration: Iteration = self.admin.row(request, kwargs["object_id"])
        self.title = f"Fork {self.iteration}"

    @cached_property
    def places(self) -> list[str]:
        """Steps all of whose predecessors are done."""
        steps = steps_of(self.iteration)
        done = next((k for k, step in enumerate(steps) if step.state != StepState.DONE), len(steps) - 1)
        return [step.name for step in steps[: done + 1]]

    def get_form(self, form_class: type[forms.Form] | None = None) -> forms.Form:
        form = super().get_form(form_class)
        field: Any = form.fields["at"]
        field.choices = [(name, name) for name in self.places]
        field.initial = self.places[-1]
        form.fields["automatic"].initial = self.iteration.automatic
        return form

    def act(self, form: Any) -> str:
        given = dict(form.cleaned_data)
        own = given.pop("steps")
        recipe: Recipe | None = read_recipe(own) if own else None
        fork = fork_iteration(iteration=self.iteration, recipe=recipe, **given, by=person(self.request))
        self.say(f"{fork} branches off from {self.iteration} at {fork.source_step}.")
        return self.admin.address("plan", fork.pk)

    def back(self) -> str:
        return self.admin.address("change", self.iteration.pk)
