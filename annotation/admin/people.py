"""People: researchers see who there is and pause whose work needs a word; administrators say who may what. Passwords
are set and never shown."""

from __future__ import annotations

import re
from functools import cached_property
from typing import Any, Final

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Model
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, reverse
from django.utils.safestring import SafeString
from unfold.decorators import display
from unfold.forms import AdminPasswordChangeForm, UserCreationForm
from unfold.widgets import UnfoldAdminTextInputWidget

from annotation.admin.base import RoleAdmin, ServiceView, Step, act, person
from annotation.core.grades import Focus
from annotation.errors import DomainError
from annotation.models import AuditEvent, Role, User
from annotation.models.fields import choices_of
from annotation.people import certificate_with, record_of
from annotation.services.certificates import grant_certificate, revoke_certificate
from annotation.services.people import change_role, note_account, pause_person, resume_person, set_account
from annotation.templatetags.panel import dot, moment, words

GOVERNED: Final = ("role", "is_active")  # what services.people alone changes
_LANGUAGE: Final = re.compile(r"[a-z]{2,3}(-[a-z0-9]{2,8})*", re.IGNORECASE)


class LanguagesField(forms.CharField):
    """Codes of languages, separated by commas; stored as a list."""

    def __init__(self, **options: Any) -> None:
        options.setdefault(
            "help_text", "Codes such as en, zh, pt-br, separated by commas; empty: any language."
        )
        super().__init__(required=False, max_length=200, **options)

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        codes = [code.strip().lower() for code in str(value or "").split(",") if code.strip()]
        for code in codes:
            if not _LANGUAGE.fullmatch(code) or len(code) > 16:
                raise ValidationError(f"“{code}” is no code of a language.")
        return list(dict.fromkeys(codes))

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool((initial or []) != self.to_python(data))


class NewUserForm(UserCreationForm):
    class Meta:
        model = User
        fields = ("username", "role")


class UserForm(forms.ModelForm[User]):
    languages = LanguagesField(label="Languages", widget=UnfoldAdminTextInputWidget)

    class Meta:
        model = User
        fields = ("username", "first_name", "last_name", "email", "languages", "role", "is_active")


class OfPersonView(ServiceView):
    """A form about one person."""

    needed = Role.ADMINISTRATOR

    @cached_property
    def user(self) -> User:
        if not person(self.request).may(self.needed):
            raise PermissionDenied
        row: User = self.admin.row(self.request, self.kwargs["object_id"])
        return row

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(original=self.user, **kwargs)

    def back(self) -> str:
        return self.admin.address("change", self.user.pk)


class ReasonForm(forms.Form):
    reason = forms.CharField(widget=forms.Textarea(attrs={"rows": 4}), max_length=2000)


class PauseView(OfPersonView):
    title = "Pause"
    lead = (
        "They are given no more pairs, what they hold unjudged goes to others, and they are told the reason."
    )
    submit = "Pause"
    form_class = ReasonForm
    needed = Role.RESEARCHER

    def blocked(self) -> str:
        return f"{self.user} is paused already." if self.user.paused_at else ""

    def act(self, form: Any) -> str:
        pause_person(person=self.user, reason=form.cleaned_data["reason"], by=person(self.request))
        self.say(f"{self.user} is paused.")
        return self.back()


class VouchForm(forms.Form):
    focus = forms.ChoiceField(choices=choices_of(Focus))
    reason = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 3}), max_length=2000, help_text="Why without the tests."
    )
    days = forms.IntegerField(
        min_value=0, max_value=3650, initial=180, help_text="How long it counts; 0: without end."
    )


class VouchView(OfPersonView):
    title = "Vouch for"
    lead = "A certificate without the tests: they may be given the pairs of the focus."
    submit = "Give the certificate"
    form_class = VouchForm

    def act(self, form: Any) -> str:
        told = form.cleaned_data
        grant_certificate(
            annotator=self.user,
            focus=Focus(told["focus"]),
            by=person(self.request),
            reason=told["reason"],
            days=told["days"],
        )
        self.say(f"{self.user} is certified for {told['focus']}.")
        return self.back()


class RevokeView(OfPersonView):
    title = "Revoke a certificate"
    lead = "Passes from before count no more: they take the tests again. Pairs in their hands go to others."
    submit = "Revoke"
    form_class = ReasonForm

    def act(self, form: Any) -> str:
        row = certificate_with(self.kwargs["certificate"], self.user)
        if row is None:
            raise Http404
        revoke_certificate(certificate=row, by=person(self.request), reason=form.cleaned_data["reason"])
        self.say(f"The certificate for {row.focus} is revoked.")
        return self.back()


@admin.register(User)
class UserAdmin(RoleAdmin, DjangoUserAdmin[User]):  # type: ignore[misc]  # unfold is untyped
    add_role = change_role = Role.ADMINISTRATOR
    form = UserForm
    add_form = NewUserForm
    change_password_form = AdminPasswordChangeForm
    page_template = "admin/annotation/user/page.html"
    list_display = ("username", "pseudonym", "role", "account", "seen")
    list_filter = ("role", "is_active", "imported", ("paused_at", admin.EmptyFieldListFilter))
    search_fields = ("username", "pseudonym", "email")
    ordering = ("imported", "username")
    filter_horizontal = ()
    fieldsets = ((None, {"fields": UserForm.Meta.fields}),)
    add_fieldsets: Any = (
        (None, {"fields": ("username", "role", "usable_password", "password1", "password2")}),
    )
    readonly_fields = ()

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Whoever stands for an imported or simulated annotator never gets to sign in."""
        if isinstance(obj, User) and obj.imported:
            return False
        return super().has_change_permission(request, obj)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Nobody locks themselves out, or the house without an administrator."""
        fields = super().get_readonly_fields(request, obj)
        own = obj is not None and obj.pk == request.user.pk
        return (*fields, *GOVERNED) if own else fields

    def pages(self) -> list[URLPattern]:
        return [
            self.page("<path:object_id>/pause/", PauseView.as_view(admin=self), "pause"),
            self.page("<path:object_id>/resume/", self.resume_page, "resume"),
            self.page("<path:object_id>/vouch/", VouchView.as_view(admin=self), "vouch"),
            self.page(
                "<path:object_id>/certificates/<int:certificate>/revoke/",
                RevokeView.as_view(admin=self),
                "revoke",
            ),
        ]

    def resume_page(self, request: HttpRequest, object_id: str) -> HttpResponse:
        user: User = self.row(request, object_id)
        return act(
            request,
            lambda: resume_person(person=user, by=person(request)),
            said=f"{user} is at work again.",
            back=self.address("change", user.pk),
        )

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """The person's page; with `?edit` the form for those who may change it."""
        if request.method == "POST" or "edit" in request.GET:
            form_page = super(RoleAdmin, self).change_view
            return self._own(form_page(request, object_id, form_url, extra_context))
        return super().change_view(request, object_id, form_url, extra_context)

    def response_post_save_change(self, request: HttpRequest, obj: Any) -> HttpResponseRedirect:
        return HttpResponseRedirect(self.address("change", obj.pk))

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: Any) -> None:
        by = person(request)
        if not change:
            super().save_model(request, obj, form, change)
            note_account(person=obj, by=by, is_new=True, fields=[])
            return
        wanted = {name: getattr(obj, name) for name in GOVERNED if name in form.changed_data}
        for name in wanted:
            setattr(obj, name, form.initial[name])
        super().save_model(request, obj, form, change)
        try:
            if "role" in wanted:
                change_role(person=obj, role=Role(wanted["role"]), by=by)
            if "is_active" in wanted:
                set_account(person=obj, is_open=wanted["is_active"], by=by)
        except DomainError as error:
            messages.error(request, error.message)

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """What Django's forms change goes into the audit too, by the names of the fields."""
        parts = message if isinstance(message, list) else []
        fields = [str(name) for part in parts for name in part.get("changed", {}).get("fields", [])]
        if others := sorted(set(fields) - {"Role", "Active"}):
            note_account(person=obj, by=person(request), is_new=False, fields=others)
        return super().log_change(request, obj, message)

    def page_context(self, request: HttpRequest, obj: User) -> dict[str, Any]:
        record = record_of(obj)
        governs = person(request).may(Role.ADMINISTRATOR) and not obj.imported
        return {
            "record": record,
            "history": [(event, _detail(event)) for event in record.history],
            "governs": governs,
            "invitation": getattr(obj, "invitation", None),
            "steps": self.steps(request, obj, governs=governs),
        }

    def steps(self, request: HttpRequest, user: User, *, governs: bool) -> list[Step]:
        steps = []
        if not user.imported and person(request).may(Role(user.role)):
            paused = Step("Resume", self.address("resume", user.pk), post=True, filled=True)
            steps.append(paused if user.paused_at else Step("Pause…", self.address("pause", user.pk)))
        if governs:
            steps += [
                Step("Vouch for…", self.address("vouch", user.pk)),
                Step("Change…", f"{self.address('change', user.pk)}?edit"),
                Step("Set a new password…", reverse("admin:auth_user_password_change", args=(user.pk,))),
            ]
        return steps

    @display(description="Account", ordering="is_active")
    def account(self, user: User) -> SafeString | str:
        if user.imported:
            return "imported"
        if not user.is_active:
            return dot("closed")
        return dot("paused") if user.paused_at else dot("at work")

    @display(description="Last seen", ordering="last_login")
    def seen(self, user: User) -> SafeString | str:
        return moment(user.last_login)


def _detail(event: AuditEvent) -> str:
    """What an audit line says beside its action, in a line."""
    shown = {name: value for name, value in event.detail.items() if value not in ("", None, [], {})}
    return " · ".join(f"{words(name)}: {_plain(value)}" for name, value in shown.items())


def _plain(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
