"""The prompt pool: looking, writing, importing, labelling. What is said of a prompt may change, its text and its side
never do."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from secrets import token_urlsafe
from typing import Any, Final

from django import forms
from django.contrib import admin
from django.db.models import F, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern
from django.utils.safestring import SafeString
from unfold.decorators import display

from annotation.admin.base import RoleAdmin, ServiceView, Step, act, person, show_errors
from annotation.admin.data import excerpt
from annotation.admin.prompt_forms import ImportForm, LabelForm, WriteForm
from annotation.core.formats.prompts import read_prompts
from annotation.core.grades import Focus
from annotation.errors import DomainError
from annotation.models import Prompt
from annotation.pooling import record_of, with_near
from annotation.services.labels import categorise_prompts, pool_prompts
from annotation.services.prompts import (
    NewPrompt,
    PromptRehearsalError,
    PromptReport,
    ResemblesError,
    import_prompts,
    write_prompt,
)
from annotation.templatetags.panel import moment

SHOWN: Final = 100  # bad rows and near-duplicates


class WriteView(ServiceView):
    template_name = "admin/annotation/prompt/write.html"
    title = "Write a prompt"
    lead = "It joins the pool and may be drawn for new dialogues and rejection sampling."
    submit = "Add"
    form_class = WriteForm
    near: Iterable[tuple[Prompt, float]] = ()

    def form_valid(self, form: Any) -> HttpResponse:
        try:
            return HttpResponseRedirect(self.act(form))
        except DomainError as error:
            self.near = error.near if isinstance(error, ResemblesError) else ()
            show_errors(form, error)
            return self.form_invalid(form)

    def act(self, form: Any) -> str:
        given = dict(form.cleaned_data)
        despite = given.pop("despite")
        by = person(self.request)
        prompt = NewPrompt(**given | {"focus": Focus(given["focus"])}, source=by.username)
        written = write_prompt(prompt=prompt, despite=despite, by=by)
        self.say("The prompt is in the pool.")
        return self.admin.address("change", written.pk)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(near=self.near, **kwargs)


class ImportView(ServiceView):
    template_name = "admin/annotation/prompt/import.html"
    title = "Import prompts"
    lead = "All of a file comes into the pool, or nothing. The same file again adds nothing."
    submit = "Import"
    form_class = ImportForm

    def form_valid(self, form: Any) -> HttpResponse:
        """The report stands above the form, on the same page: it is not kept."""
        try:
            return self._report(form, self._import(form), stored=True)
        except PromptRehearsalError as rehearsal:
            return self._report(form, rehearsal.report, stored=False)
        except DomainError as error:
            form.add_error(None, error.message)
            return self._answer(form, bad_rows=error.errors[:SHOWN], bad_n=len(error.errors))

    def _import(self, form: ImportForm) -> PromptReport:
        given = form.cleaned_data
        items = read_prompts(
            form.lines(),
            form=form.chosen(),
            focus=Focus(given["focus"]) if given["focus"] else None,
            language=given["language"],
        )
        return import_prompts(
            items=items,
            name=given["file"].name if given["file"] else "pasted",
            skip_invalid=given["skip_invalid"],
            dry_run=given["dry_run"],
            by=person(self.request),
        )

    def _report(self, form: ImportForm, report: PromptReport, *, stored: bool) -> HttpResponse:
        bad = report.bad_rows
        near = [(excerpt(n.text), excerpt(n.other), n.similarity) for n in report.near[:SHOWN]]
        return self._answer(
            ImportForm(label_suffix="") if stored else form,
            report=report,
            stored=stored,
            near=near,
            bad_rows=bad[:SHOWN],
            bad_n=len(bad),
        )

    def _answer(self, form: forms.Form, **context: Any) -> HttpResponse:
        return self.render_to_response(self.get_context_data(form=form, **context))


class CategoriseView(ServiceView):
    title = "Categorise"
    lead = "What you leave empty stays as it is. Judgments and sides are not touched."
    submit = "Label"
    form_class = LabelForm

    @cached_property
    def chosen(self) -> list[int]:
        """The selection lies in the session under its ticket: ten thousand do not fit into an address."""
        found = self.request.session.get(_ticket(self.kwargs["ticket"]))
        if found is None:
            raise Http404("This selection is gone. Select the prompts again.")
        return list(found)

    def facts(self) -> list[tuple[str, str, str]]:
        return [("Prompts", f"{len(self.chosen):,}", "that you selected")]

    def act(self, form: Any) -> str:
        changed = categorise_prompts(prompts=self.chosen, labels=form.labels(), by=person(self.request))
        del self.request.session[_ticket(self.kwargs["ticket"])]
        self.say(f"{changed:,} prompt{'s have' if changed != 1 else ' has'} new labels.")
        return self.back()


def _ticket(name: str) -> str:
    return f"prompts-{name}"


class DifficultyFilter(admin.SimpleListFilter):
    title = "difficulty"
    parameter_name = "difficulty"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("easy", "easy"), ("middle", "middle"), ("hard", "hard"), ("none", "not estimated")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Prompt]) -> QuerySet[Prompt]:
        match self.value():
            case "easy":
                return queryset.filter(difficulty__lt=1 / 3)
            case "middle":
                return queryset.filter(difficulty__gte=1 / 3, difficulty__lt=2 / 3)
            case "hard":
                return queryset.filter(difficulty__gte=2 / 3)
            case "none":
                return queryset.filter(difficulty=None)
        return queryset


class NearFilter(admin.SimpleListFilter):
    title = "near-duplicates"
    parameter_name = "near"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "has some"), ("no", "has none")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        match self.value():
            case "yes":
                return queryset.filter(near_n__gt=0)
            case "no":
                return queryset.filter(near_n=0)
        return queryset


@admin.register(Prompt)
class PromptAdmin(RoleAdmin):
    list_display = (
        "beginning",
        "focus",
        "category",
        "language",
        "hardness",
        "near",
        "in_pool",
        "split",
        "added",
    )
    list_filter = (
        "focus",
        "in_pool",
        "split",
        DifficultyFilter,
        NearFilter,
        "risk",
        "attack",
        "language",
        "category",
        "source",
    )
    search_fields = ("text", "key")
    ordering = ("-pk",)
    page_template = "admin/annotation/prompt/page.html"
    list_before_template = "admin/annotation/prompt/above.html"  # type: ignore[assignment]
    actions = ("into_pool", "out_of_pool", "categorise")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Prompt]:
        return with_near(super().get_queryset(request))

    def pages(self) -> list[URLPattern]:
        return [
            self.page("write/", WriteView.as_view(admin=self), "write"),
            self.page("import/", ImportView.as_view(admin=self), "import"),
            self.page("categorise/<slug:ticket>/", CategoriseView.as_view(admin=self), "categorise"),
            self.page("<path:object_id>/pool/", self.pool_page, "pool"),
            self.page("<path:object_id>/label/", self.label_page, "label"),
        ]

    def pool_page(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Takes a prompt out of the pool, or puts it back."""
        prompt: Prompt = self.row(request, object_id)
        wanted = not prompt.in_pool
        return act(
            request,
            lambda: pool_prompts(prompts=[prompt.pk], in_pool=wanted, by=person(request)),
            said="It is in the pool." if wanted else "It is out of the pool.",
            back=self.address("change", prompt.pk),
        )

    def label_page(self, request: HttpRequest, object_id: str) -> HttpResponse:
        prompt: Prompt = self.row(request, object_id)
        return self._select(request, [prompt.pk])

    def page_context(self, request: HttpRequest, obj: Prompt) -> dict[str, Any]:
        move = Step(
            "Take it out of the pool" if obj.in_pool else "Put it into the pool",
            self.address("pool", obj.pk),
            post=True,
        )
        return {
            "record": record_of(obj),
            "steps": [Step("Categorise…", self.address("label", obj.pk), filled=True), move],
        }

    @admin.action(description="Put into the pool", permissions=["view"])
    def into_pool(self, request: HttpRequest, queryset: QuerySet[Prompt]) -> None:
        self._pool(request, queryset, in_pool=True)

    @admin.action(description="Take out of the pool", permissions=["view"])
    def out_of_pool(self, request: HttpRequest, queryset: QuerySet[Prompt]) -> None:
        self._pool(request, queryset, in_pool=False)

    def _pool(self, request: HttpRequest, queryset: QuerySet[Prompt], *, in_pool: bool) -> None:
        changed = pool_prompts(prompts=_keys(queryset), in_pool=in_pool, by=person(request))
        where = "in" if in_pool else "out of"
        self.message_user(
            request, f"{changed:,} more {'are' if changed != 1 else 'is'} {where} the pool now."
        )

    @admin.action(description="Categorise…", permissions=["view"])
    def categorise(self, request: HttpRequest, queryset: QuerySet[Prompt]) -> HttpResponse:
        return self._select(request, _keys(queryset))

    def _select(self, request: HttpRequest, prompts: list[int]) -> HttpResponse:
        ticket = token_urlsafe(6)
        request.session[_ticket(ticket)] = prompts
        return HttpResponseRedirect(self.address("categorise", ticket))

    @display(description="Prompt")
    def beginning(self, prompt: Prompt) -> str:
        return excerpt(prompt.text)

    @display(description="Difficulty", ordering=F("difficulty").asc(nulls_first=True))
    def hardness(self, prompt: Prompt) -> str:
        return "—" if prompt.difficulty is None else f"{prompt.difficulty:.2f}"

    @display(description="Near", ordering="near_n")
    def near(self, prompt: Any) -> str:
        return f"{prompt.near_n:,}" if prompt.near_n else "—"

    @display(description="Added", ordering="created_at")
    def added(self, prompt: Prompt) -> SafeString | str:
        return moment(prompt.created_at)


def _keys(queryset: QuerySet[Prompt]) -> list[int]:
    return list(queryset.order_by("pk").values_list("pk", flat=True))
