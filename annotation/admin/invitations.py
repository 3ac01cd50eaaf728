"""Invitations: links that let somebody make an account. A link is shown once, to whoever made it."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, reverse
from django.utils import timezone
from django.utils.cache import add_never_cache_headers
from django.utils.safestring import SafeString
from unfold.decorators import display

from annotation.admin.base import RoleAdmin, ServiceView, Step, act, person, show_errors
from annotation.admin.people import LanguagesField
from annotation.errors import DomainError
from annotation.models import Invitation, Role
from annotation.models.fields import choices_of
from annotation.services.invitations import (
    LONGEST_DAYS,
    create_invitation,
    renew_invitation,
    revoke_invitation,
)
from annotation.templatetags.panel import dot, moment


class InviteForm(forms.Form):
    name = forms.CharField(max_length=150, help_text="Whom it is for; they are greeted by it.")
    role = forms.ChoiceField(choices=choices_of(Role), initial=Role.ANNOTATOR)
    languages = LanguagesField(label="Languages")
    days = forms.IntegerField(min_value=1, max_value=LONGEST_DAYS, initial=7, label="Days the link works")


class InviteView(ServiceView):
    title = "Invite somebody"
    lead = "You get a link that makes one account. It is shown once: send it to them, and to nobody else."
    submit = "Make the link"
    form_class = InviteForm

    def form_valid(self, form: forms.Form) -> HttpResponse:
        told = {**form.cleaned_data, "role": Role(form.cleaned_data["role"])}
        try:
            row, token = create_invitation(by=person(self.request), **told)
        except DomainError as error:
            show_errors(form, error)
            return self.form_invalid(form)
        return show_link(self.admin, self.request, row, token)


def show_link(page_of: RoleAdmin, request: HttpRequest, row: Invitation, token: str) -> HttpResponse:
    """The only page that ever holds the link; it is in no session, no message and no log."""
    link = request.build_absolute_uri(reverse("frontend:join-link", args=(token,)))
    response = page_of.render(
        request, "admin/annotation/invitation/link.html", title=str(row), row=row, link=link
    )
    add_never_cache_headers(response)
    response["Referrer-Policy"] = "same-origin"
    return response


def state_of(row: Invitation) -> str:
    if row.used_at:
        return "used"
    if row.revoked_at:
        return "revoked"
    return "open" if row.expires_at > timezone.now() else "expired"


class StateFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(word, word) for word in ("open", "used", "expired", "revoked")]

    def queryset(self, request: HttpRequest, queryset: Any) -> QuerySet[Any]:
        unused: QuerySet[Any] = queryset.filter(used_at=None, revoked_at=None)
        match self.value():
            case "open":
                return queryset.usable()  # type: ignore[no-any-return]
            case "used":
                return queryset.exclude(used_at=None)  # type: ignore[no-any-return]
            case "revoked":
                return queryset.filter(used_at=None).exclude(revoked_at=None)  # type: ignore[no-any-return]
            case "expired":
                return unused.filter(expires_at__lte=timezone.now())
        return queryset  # type: ignore[no-any-return]


@admin.register(Invitation)
class InvitationAdmin(RoleAdmin):
    view_role = add_role = Role.ADMINISTRATOR
    add_page = InviteView
    page_template = "admin/annotation/invitation/page.html"
    list_display = ("name", "role", "dotted", "begins_with", "made", "by", "ends", "account")
    list_filter = (StateFilter, "role")
    search_fields = ("name",)
    list_select_related = ("created_by", "used_by")

    def pages(self) -> list[URLPattern]:
        return [
            self.page("<path:object_id>/revoke/", self.revoke_page, "revoke"),
            self.page("<path:object_id>/renew/", self.renew_page, "renew"),
        ]

    def revoke_page(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row: Invitation = self.row(request, object_id)
        return act(
            request,
            lambda: revoke_invitation(invitation=row, by=person(request)),
            said="The link works no more.",
            back=self.address("change", row.pk),
        )

    def renew_page(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row: Invitation = self.row(request, object_id)
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        try:
            fresh, token = renew_invitation(invitation=row, by=person(request))
        except DomainError as error:
            messages.error(request, error.message)
            return HttpResponseRedirect(self.address("change", row.pk))
        return show_link(self, request, fresh, token)

    def page_context(self, request: HttpRequest, obj: Invitation) -> dict[str, Any]:
        state = state_of(obj)
        renew = Step("Make a new link", self.address("renew", obj.pk), post=True, filled=state == "expired")
        revoke = Step("Revoke", self.address("revoke", obj.pk), post=True)
        steps = {"open": [revoke, renew], "expired": [renew]}.get(state, [])
        return {"state": state, "steps": steps}

    @display(description="State")
    def dotted(self, row: Invitation) -> SafeString:
        return dot(state_of(row))

    @display(description="Link begins")
    def begins_with(self, row: Invitation) -> str:
        return f"{row.prefix}…"

    @display(description="Made", ordering="created_at")
    def made(self, row: Invitation) -> SafeString | str:
        return moment(row.created_at)

    @display(description="By")
    def by(self, row: Invitation) -> str:
        return row.created_by.username if row.created_by else "—"

    @display(description="Ends", ordering="expires_at")
    def ends(self, row: Invitation) -> SafeString | str:
        return moment(row.expires_at)

    @display(description="Account")
    def account(self, row: Invitation) -> str:
        return row.used_by.username if row.used_by else "—"
