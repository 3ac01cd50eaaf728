"""Access tokens and the accounts of programs. A token's text is shown once, to whoever made it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern
from django.utils import timezone
from django.utils.cache import add_never_cache_headers
from django.utils.safestring import SafeString
from unfold.decorators import display

from annotation.access import every_token_for, service_accounts_for
from annotation.admin.base import RoleAdmin, ServiceView, Step, act, person, show_errors
from annotation.core.scopes import LEAST_ROLE, SENTENCES, Scope
from annotation.errors import DomainError
from annotation.models import AccessToken, Role, User
from annotation.services.tokens import LIFETIME, add_service_account, make_token, revoke_token
from annotation.templatetags.panel import dot, moment

LIFETIMES: Final = {"30": "30 days", "90": "90 days", "365": "a year", "": "without end"}


class TokenForm(forms.Form):
    name = forms.CharField(max_length=100, help_text="What it is for.")
    account = forms.ChoiceField(required=False, help_text="Whose account it acts for.")
    scopes = forms.MultipleChoiceField(required=False, widget=forms.CheckboxSelectMultiple)
    days = forms.ChoiceField(
        choices=list(LIFETIMES.items()), initial=str(LIFETIME.days), required=False, label="Works for"
    )

    def __init__(self, *args: Any, by: User, accounts: list[User], **options: Any) -> None:
        super().__init__(*args, **options)
        may = [scope for scope in Scope if by.may(Role(LEAST_ROLE[scope]))]
        self.fields["scopes"].choices = [(s.value, f"{SENTENCES[s]} ({s})") for s in may]  # type: ignore[attr-defined]
        own = ("", f"{by.username} (your own)")
        named = [(str(account.pk), account.username) for account in accounts]
        self.fields["account"].choices = [own, *named]  # type: ignore[attr-defined]
        if not accounts:
            del self.fields["account"]


class MakeView(ServiceView):
    template_name = "admin/annotation/accesstoken/form.html"
    title = "Make an access token"
    lead = "A program that shows it may do what you tick, and never more than the account's role. It is shown once."
    submit = "Make it and show it"
    form_class = TokenForm

    def get_form_kwargs(self) -> dict[str, Any]:
        by = person(self.request)
        return {**super().get_form_kwargs(), "by": by, "accounts": list(service_accounts_for(by))}

    def form_valid(self, form: forms.Form) -> HttpResponse:
        by, told = person(self.request), form.cleaned_data
        accounts = {str(account.pk): account for account in service_accounts_for(by)}
        try:
            row, text = make_token(
                user=accounts.get(told.get("account") or "", by),
                name=told["name"],
                scopes=[Scope(scope) for scope in told["scopes"]],
                expires_at=_end(told["days"]),
                by=by,
            )
        except DomainError as error:
            show_errors(form, error)
            return self.form_invalid(form)
        return show_token(self.admin, self.request, row, text)


def _end(days: str) -> datetime | None:
    return timezone.now() + timedelta(days=int(days)) if days else None


def show_token(page_of: RoleAdmin, request: HttpRequest, row: AccessToken, text: str) -> HttpResponse:
    """The only page that ever holds the text; it is in no session, no message and no log."""
    template = "admin/annotation/accesstoken/made.html"
    response = page_of.render(request, template, title=row.name, row=row, text=text)
    add_never_cache_headers(response)
    return response


class AccountForm(forms.Form):
    name = forms.CharField(max_length=140, help_text="Of the program; the account is called service:name.")
    role = forms.ChoiceField(
        choices=[(role.value, role.value) for role in Role if role is not Role.ANNOTATOR],
        initial=Role.RESEARCHER,
        help_text="Its tokens never do more than this.",
    )


class AccountView(ServiceView):
    title = "Add an account for a program"
    lead = "It has no password and signs in nowhere; it acts by the tokens that you make for it next."
    submit = "Add it"
    form_class = AccountForm

    def blocked(self) -> str:
        may = person(self.request).may(Role.ADMINISTRATOR)
        return "" if may else "Only an administrator adds accounts for programs."

    def act(self, form: Any) -> str:
        told = form.cleaned_data
        account = add_service_account(name=told["name"], role=Role(told["role"]), by=person(self.request))
        self.say(f"{account.username} is added. Make a token for it here.")
        return self.admin.address("add")


def state_of(row: AccessToken) -> str:
    if row.revoked_at:
        return "revoked"
    return "expired" if row.expires_at and row.expires_at <= timezone.now() else "works"


@admin.register(AccessToken)
class TokenAdmin(RoleAdmin):
    view_role = add_role = Role.REVIEWER
    add_page = MakeView
    page_template = "admin/annotation/accesstoken/page.html"
    list_before_template = "admin/annotation/accesstoken/above.html"  # type: ignore[assignment]
    list_display = ("name", "dotted", "begins_with", "account", "allowed", "ends", "used")
    search_fields = ("name", "prefix", "user__username")

    def get_queryset(self, request: HttpRequest) -> QuerySet[AccessToken]:
        return every_token_for(person(request))

    def pages(self) -> list[URLPattern]:
        return [
            self.page("accounts/add/", AccountView.as_view(admin=self), "account"),
            self.page("<path:object_id>/revoke/", self.revoke_page, "revoke"),
        ]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> TemplateResponse:
        governs = person(request).may(Role.ADMINISTRATOR)
        context: dict[str, Any] = {**(extra_context or {}), "governs": governs}
        return super().changelist_view(request, context)

    def revoke_page(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row: AccessToken = self.row(request, object_id)
        return act(
            request,
            lambda: revoke_token(token=row, by=person(request)),
            said="The token works no more.",
            back=self.address("change", row.pk),
        )

    def page_context(self, request: HttpRequest, obj: AccessToken) -> dict[str, Any]:
        state = state_of(obj)
        revoke = Step("Revoke", self.address("revoke", obj.pk), post=True)
        scopes = [(scope, SENTENCES[Scope(scope)]) for scope in obj.scopes]
        return {"state": state, "scopes": scopes, "steps": [revoke] if state == "works" else []}

    @display(description="State")
    def dotted(self, row: AccessToken) -> SafeString:
        return dot(state_of(row))

    @display(description="Begins")
    def begins_with(self, row: AccessToken) -> str:
        return f"{row.prefix}…"

    @display(description="Account", ordering="user__username")
    def account(self, row: AccessToken) -> str:
        return row.user.username

    @display(description="May")
    def allowed(self, row: AccessToken) -> str:
        return ", ".join(row.scopes)

    @display(description="Ends", ordering="expires_at")
    def ends(self, row: AccessToken) -> SafeString | str:
        return moment(row.expires_at) if row.expires_at else "never"

    @display(description="Last used", ordering="last_used_at")
    def used(self, row: AccessToken) -> SafeString | str:
        return moment(row.last_used_at) if row.last_used_at else "never"
