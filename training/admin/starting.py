"""Starting a run: one page a kind, with a form made from its typed parameters."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from django import forms
from django.http import Http404, HttpRequest, HttpResponse

from annotation.admin.base import RoleAdmin, ServiceView, person
from training import overview
from training.core.spec import SPECS, RunKind
from training.forms import FORMS, TITLES
from training.forms.base import StartForm
from training.models import Run
from training.queries import worker_is_alive
from training.services.start import start_instead


def choose_kind(model_admin: RoleAdmin, request: HttpRequest) -> HttpResponse:
    """The kinds of run, in the order of the loop."""
    kinds = [
        (TITLES[kind], (SPECS[kind].__doc__ or "").strip(), model_admin.address("start_kind", kind))
        for kind in FORMS
    ]
    return model_admin.render(
        request, "admin/training/run/kinds.html", title="Start a run", kinds=kinds, no_worker=no_worker()
    )


def no_worker() -> bool:
    return not worker_is_alive()


class StartView(ServiceView):
    """`?from=<run>` fills the form with what another run was given; other names in the query fill one field."""

    template_name = "admin/training/run/start.html"
    submit = "Start"

    def setup(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        super().setup(request, *args, **kwargs)
        if kwargs["kind"] not in FORMS:
            raise Http404("There is no such kind of run.")
        self.kind = RunKind(kwargs["kind"])
        self.title = TITLES[self.kind]
        self.lead = (SPECS[self.kind].__doc__ or "").strip()

    def get_form_class(self) -> type[forms.Form]:
        return FORMS[self.kind]

    def get_initial(self) -> dict[str, Any]:
        asked = {name: value for name, value in self.request.GET.items() if name != "from"}
        model = self.model
        return {**(FORMS[self.kind].initial_from(model) if model else {}), **asked}

    @cached_property
    def model(self) -> Run | None:
        given = self.request.GET.get("from", "")
        run = overview.run_by_key(int(given)) if given.isdecimal() and len(given) < 19 else None
        return run if run is not None and run.kind == self.kind else None

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(no_worker=no_worker(), model=self.model, **kwargs)
        form: StartForm = context["form"]
        context["own_fields"] = [form[name] for name in form.own]
        context["spec_fields"] = [form[name] for name in form.fields if name not in form.own]
        context["missing"] = form.missing()
        return context

    def get_form(self, form_class: type[forms.Form] | None = None) -> forms.Form:
        form = super().get_form(form_class)
        model = self.model
        if model is not None and overview.is_waited_for(model):
            form.fields["instead"] = forms.BooleanField(
                required=False,
                initial=True,
                label=f"In its place in {model.iteration}",
                help_text=f"The iteration then waits for this run and not for run {model.pk}.",
            )
            form.own.append("instead")  # type: ignore[attr-defined]
        return form

    def act(self, form: Any) -> str:
        by, model = person(self.request), self.model
        if model is not None and form.cleaned_data.get("instead"):
            run = start_instead(old=model, start=lambda: form.start(by))
        else:
            run = form.start(by)
        self.say(f"Run {run.pk} is queued.")
        return self.admin.address("change", run.pk)
