"""Importing a file, step by step: bring it, say how it is read, check it whole, import it.

What was said so far lies in the session under a ticket; the file lies under its hash. Nobody else has either.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import asdict, replace
from functools import cached_property
from secrets import token_urlsafe
from typing import Any, Final

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern

from annotation.access import batches_for
from annotation.admin.base import RoleAdmin, ServiceView, person
from annotation.admin.import_forms import ReadForm, UploadForm
from annotation.admin.import_steps import LISTED, Outcome, Ticket, first_items, import_whole, rehearse
from annotation.core.audit import safe_cell
from annotation.core.formats.prompt_sets import PROMPT_SETS
from annotation.core.formats.registry import FORMATS
from annotation.core.states import BatchState
from annotation.errors import DomainError, InvalidImportError
from annotation.services.imports import Look, Source, bad_rows, look_into
from annotation.services.uploads import keep_upload

BATCHES: Final = 50


class UploadView(ServiceView):
    template_name = "admin/annotation/import/upload.html"
    title = "Import"
    lead = "Bring judgments that people gave elsewhere, or prompts. You see what becomes of them before it is stored."
    submit = "Look at it"
    form_class = UploadForm

    def act(self, form: Any) -> str:
        file = form.cleaned_data["file"]
        kept = keep_upload(pieces=file.chunks(), name=file.name or "")
        look = look_into(
            path=kept.path, name=kept.name, form=form.cleaned_data["form"], max_file=settings.IMPORT_LIMIT
        )
        if not look.form:
            messages.warning(
                self.request, "Its first rows look like no format that is known here. Choose one."
            )
        ticket = token_urlsafe(12)
        said = Ticket(**asdict(kept), form=look.form or next(iter(FORMATS)), mapping=_dump(look))
        keep(self.request, ticket, said)
        return self.admin.address("import_read", ticket)


def keep(request: HttpRequest, ticket: str, said: Ticket) -> None:
    """Remember what was said; what an earlier reading came to no longer holds."""
    request.session[_key(ticket, "said")] = asdict(said)
    request.session.pop(_key(ticket, "checked"), None)


def _key(ticket: str, step: str) -> str:
    return f"import-{ticket}-{step}"


def _dump(look: Look) -> dict[str, Any] | None:
    return look.mapping.model_dump(mode="json") if look.mapping else None


class OfTicketView(ServiceView):
    """A page about one file that was brought."""

    @cached_property
    def said(self) -> Ticket:
        found = self.request.session.get(_key(self.ticket, "said"))
        if found is None:
            raise Http404("This import is gone. Bring the file again.")
        return Ticket(**found)

    @property
    def ticket(self) -> str:
        return str(self.kwargs["ticket"])

    def address(self, name: str) -> str:
        return self.admin.address(name, self.ticket)

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """A file that is no longer kept, or cannot be read, sends back to the beginning."""
        try:
            answer = super().dispatch(request, *args, **kwargs)
            # Rendered here, since the page reads the file too.
            return answer.render() if isinstance(answer, TemplateResponse) else answer
        except DomainError as error:
            messages.error(request, error.message)
            return HttpResponseRedirect(self.admin.address("import"))


class ReadView(OfTicketView):
    """How the file is read, and its first rows as they will be."""

    template_name = "admin/annotation/import/read.html"
    title = "How is it read?"
    submit = "Check the whole file"
    form_class = ReadForm

    @cached_property
    def look(self) -> Look:
        return self.said.look()

    def get_form_kwargs(self) -> dict[str, Any]:
        options = super().get_form_kwargs()
        del options["label_suffix"]
        found = batches_for(person(self.request)).exclude(state=BatchState.SEALED).order_by("number")
        return {
            **options,
            "form": self.said.form,
            "mapping": self.said.source().mapping or self.look.mapping,
            "seen": self.look.seen,
            "batches": found[:BATCHES],
        }

    def get_initial(self) -> dict[str, Any]:
        chosen = {"batch": self.said.batch} if self.said.batch else {}
        return {"ties": self.said.ties, **chosen}

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        form = request.POST.get("form", "")
        if form != self.said.form and form in (*FORMATS, *PROMPT_SETS):
            # What was sent besides belongs to the fields of the format before.
            other = replace(self.said, form=form, mapping=None)
            keep(request, self.ticket, replace(other, mapping=_dump(other.look())))
            return HttpResponseRedirect(self.address("import_read"))
        return super().post(request, *args, **kwargs)

    def act(self, form: Any) -> str:
        mapping = form.mapping()
        said = replace(
            self.said,
            mapping=mapping.model_dump(mode="json") if mapping else None,
            ties=form.ties(),
            batch=form.cleaned_data.get("batch", ""),
        )
        keep(self.request, self.ticket, said)
        if form.is_unseen:
            messages.warning(self.request, "Look at what the answers mean: they are another question's now.")
        elif self.request.POST.get("do") == "check":
            outcome = rehearse(said, person(self.request))
            self.request.session[_key(self.ticket, "checked")] = asdict(outcome)
            return self.address("import_check")
        return self.address("import_read")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        form = PROMPT_SETS.get(self.said.form) or FORMATS[self.said.form]
        return super().get_context_data(
            said=self.said,
            format=form,
            items=first_items(self.said, self.look),
            table=[(given.replace("`", ""), becomes.replace("`", "")) for given, becomes in form.mapping],
            **kwargs,
        )

    def back(self) -> str:
        return self.admin.address("import")


class OutcomeView(OfTicketView):
    """What an import would do, or did."""

    step = ""

    @cached_property
    def outcome(self) -> Outcome:
        found = self.request.session.get(_key(self.ticket, self.step))
        if found is None:
            raise Http404("The file was not checked yet, or not imported.")
        return Outcome(**found)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(
            said=self.said, outcome=self.outcome, more=self.outcome.bad_n > LISTED, **kwargs
        )


class CheckView(OutcomeView):
    """Its button imports what was checked, without the bad rows that it names."""

    template_name = "admin/annotation/import/check.html"
    title = "What an import would do"
    step = "checked"

    def act(self, form: Any) -> str:
        outcome = import_whole(self.said, person(self.request), skip_invalid=bool(self.outcome.bad_n))
        self.request.session[_key(self.ticket, "done")] = asdict(outcome)
        return self.address("import_done")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(listing=self.address("import_bad_rows"), **kwargs)

    def back(self) -> str:
        return self.address("import_read")


class DoneView(OutcomeView):
    template_name = "admin/annotation/import/done.html"
    title = "Imported"
    step = "done"
    http_method_names = ["get", "head"]

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        batch = batches_for(person(self.request)).filter(pk=self.outcome.batch or 0).first()
        return super().get_context_data(batch=batch, **kwargs)


class BadRowsView(OfTicketView):
    """Every bad row as CSV, in a stream."""

    http_method_names = ["get", "head"]

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        answer = StreamingHttpResponse(_table(self.said.source()), content_type="text/csv; charset=utf-8")
        answer["Content-Disposition"] = 'attachment; filename="bad-rows.csv"'
        return answer


class _Echo:
    """What csv writes to; it gives back each line."""

    def write(self, line: str) -> str:
        return line


def _table(source: Source) -> Iterator[str]:
    writer = csv.writer(_Echo())
    yield writer.writerow(["line", "reason"])
    try:
        for row in bad_rows(source):
            yield writer.writerow([row.line, safe_cell(row.reason)])
    except InvalidImportError as error:
        yield writer.writerow(["", safe_cell(error.message)])


def import_pages(admin: RoleAdmin) -> list[URLPattern]:
    """The pages, for the admin of batches: before those of a batch, whose addresses begin with anything."""
    steps = (
        ("", ReadView, "import_read"),
        ("check/", CheckView, "import_check"),
        ("done/", DoneView, "import_done"),
        ("bad-rows.csv", BadRowsView, "import_bad_rows"),
    )
    return [
        admin.page("import/", UploadView.as_view(admin=admin), "import"),
        *(
            admin.page(f"import/<slug:ticket>/{end}", view.as_view(admin=admin), name)
            for end, view, name in steps
        ),
    ]
