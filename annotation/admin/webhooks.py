"""Webhooks: who is told of events, how that goes, and the log. A secret is shown once, to whoever made it."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from django import forms
from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.urls import URLPattern
from django.utils.cache import add_never_cache_headers
from django.utils.safestring import SafeString
from unfold.decorators import display

from annotation.admin.base import RoleAdmin, ServiceView, Step, act, person, show_errors
from annotation.core.addresses import LONGEST_URL
from annotation.core.events import CHOICES, SENTENCES
from annotation.errors import DomainError, NotFoundError
from annotation.models import Role, Webhook
from annotation.services.webhooks import (
    LONGEST_NAME,
    change_webhook,
    create_webhook,
    delete_webhook,
    ping_webhook,
    replay_delivery,
    rotate_secret,
)
from annotation.templatetags.panel import dot, moment
from annotation.webhooks import delivery_of, is_stuck, last_delivered, log_page

LOG_LENGTH: Final = 50


class WebhookForm(forms.Form):
    name = forms.CharField(max_length=LONGEST_NAME, help_text="What it is for.")
    url = forms.CharField(
        max_length=LONGEST_URL,
        label="Address",
        widget=forms.URLInput(attrs={"placeholder": "https://hooks.example.org/margin"}),
        help_text="Of the public internet, with https. Redirects are not followed.",
    )
    events = forms.MultipleChoiceField(
        choices=[(event.value, f"{SENTENCES[event]} ({event})") for event in CHOICES],
        required=False,
        widget=forms.CheckboxSelectMultiple,
    )


class AddView(ServiceView):
    template_name = "admin/annotation/webhook/form.html"
    title = "Add a webhook"
    lead = "An address is told of events as they happen. You get a secret to check the messages with; it is shown once."
    submit = "Add it and show the secret"
    form_class = WebhookForm

    def form_valid(self, form: forms.Form) -> HttpResponse:
        try:
            row, secret = create_webhook(**form.cleaned_data, by=person(self.request))
        except DomainError as error:
            show_errors(form, error)
            return self.form_invalid(form)
        return show_secret(self.admin, self.request, row, secret)


class _RowView(ServiceView):
    """A form about one webhook."""

    def setup(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        super().setup(request, *args, **kwargs)
        self.webhook: Webhook = self.admin.row(request, kwargs["object_id"])

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(original=self.webhook, **kwargs)

    def back(self) -> str:
        return self.admin.address("change", self.webhook.pk)


class EditView(_RowView):
    template_name = "admin/annotation/webhook/form.html"
    title = "Change"
    lead = "Holds for what happens from now on. What waits already goes to the new address."
    form_class = WebhookForm

    def get_initial(self) -> dict[str, Any]:
        return {"name": self.webhook.name, "url": self.webhook.url, "events": self.webhook.events}

    def act(self, form: Any) -> str:
        change_webhook(webhook=self.webhook, **form.cleaned_data, by=person(self.request))
        self.say("Changed.")
        return self.back()


class DeleteView(_RowView):
    title = "Delete"
    lead = "It is told nothing more, and the log of what it was told is forgotten."
    submit = "Delete it"

    def act(self, form: Any) -> str:
        delete_webhook(webhook=self.webhook, by=person(self.request))
        self.say(f"{self.webhook.name} is deleted.")
        return self.admin.address("changelist")


def show_secret(page_of: RoleAdmin, request: HttpRequest, row: Webhook, secret: str) -> HttpResponse:
    """The only page that ever holds the secret; it is in no session, no message and no log."""
    template = "admin/annotation/webhook/secret.html"
    response = page_of.render(request, template, title=str(row), row=row, secret=secret)
    add_never_cache_headers(response)
    return response


@admin.register(Webhook)
class WebhookAdmin(RoleAdmin):
    add_role = Role.RESEARCHER
    add_page = AddView
    page_template = "admin/annotation/webhook/page.html"
    list_before_template = "admin/annotation/webhook/above.html"  # type: ignore[assignment]
    list_display = ("name", "dotted", "url", "told_of", "added")
    search_fields = ("name", "url")

    def pages(self) -> list[URLPattern]:
        one = "<path:object_id>"
        return [
            self.page(f"{one}/edit/", EditView.as_view(admin=self), "edit"),
            self.page(f"{one}/remove/", DeleteView.as_view(admin=self), "remove"),
            self.page(f"{one}/ping/", self.ping_page, "ping"),
            self.page(f"{one}/on/", self.on_page, "on"),
            self.page(f"{one}/off/", self.off_page, "off"),
            self.page(f"{one}/secret/", self.secret_page, "secret"),
            self.page(f"{one}/replay/<uuid:uid>/", self.replay_page, "replay"),
        ]

    def page_context(self, request: HttpRequest, obj: Webhook) -> dict[str, Any]:
        before = request.GET.get("before", "")
        rows, more = log_page(
            obj, before=int(before) if before.isdecimal() and len(before) < 19 else None, length=LOG_LENGTH
        )
        return {
            "steps": self.steps(obj, is_new=not rows and not before),
            "events": [(event, SENTENCES[event]) for event in CHOICES if event in obj.events],
            "log": rows,
            "older": rows[-1].pk if more else None,
            "is_newest": not before,
            "old_signs": len(obj.secrets) > 1,
            "stuck": is_stuck(obj),
            "delivered_at": last_delivered(obj),
        }

    def steps(self, webhook: Webhook, *, is_new: bool) -> list[Step]:
        pk = webhook.pk
        first = (
            Step("Send a test", self.address("ping", pk), post=True, filled=is_new)
            if webhook.active
            else Step("Switch on", self.address("on", pk), post=True, filled=True)
        )
        off = [Step("Switch off", self.address("off", pk), post=True)] if webhook.active else []
        return [
            first,
            Step("Change…", self.address("edit", pk)),
            *off,
            Step("New secret", self.address("secret", pk), post=True),
            Step("Delete…", self.address("remove", pk)),
        ]

    def ping_page(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row: Webhook = self.row(request, object_id)
        said = "A test is on its way. Load the page again to see what came of it."
        return act(request, lambda: ping_webhook(webhook=row), said=said, back=self.address("change", row.pk))

    def on_page(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._switch(
            request, object_id, active=True, said="Switched on. What was waiting is sent now."
        )

    def off_page(self, request: HttpRequest, object_id: str) -> HttpResponse:
        said = "Switched off. It is told nothing new; what waits already is kept."
        return self._switch(request, object_id, active=False, said=said)

    def _switch(self, request: HttpRequest, object_id: str, *, active: bool, said: str) -> HttpResponse:
        row: Webhook = self.row(request, object_id)
        return act(
            request,
            lambda: change_webhook(webhook=row, active=active, by=person(request)),
            said=said,
            back=self.address("change", row.pk),
        )

    def secret_page(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row: Webhook = self.row(request, object_id)
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        return show_secret(self, request, row, rotate_secret(webhook=row, by=person(request)))

    def replay_page(self, request: HttpRequest, object_id: str, uid: UUID) -> HttpResponse:
        row: Webhook = self.row(request, object_id)
        try:
            delivery = delivery_of(row, uid)
        except NotFoundError as error:
            raise Http404(error.message) from None
        said = "It is sent again, as a message of its own."
        return act(
            request,
            lambda: replay_delivery(delivery=delivery),
            said=said,
            back=self.address("change", row.pk),
        )

    @display(description="State", ordering="active")
    def dotted(self, webhook: Webhook) -> SafeString:
        return dot(webhook.standing)

    @display(description="Events")
    def told_of(self, webhook: Webhook) -> str:
        return ", ".join(webhook.events) or "all"

    @display(description="Added", ordering="created_at")
    def added(self, webhook: Webhook) -> SafeString | str:
        return moment(webhook.created_at)
