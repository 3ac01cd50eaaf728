"""People: researchers see who there is, administrators say who may what. Passwords are set and never shown."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.db.models import Model
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.decorators import display
from unfold.forms import AdminPasswordChangeForm, UserCreationForm

from annotation.admin.base import RoleAdmin
from annotation.models import Role, User
from annotation.templatetags.panel import moment


class NewUserForm(UserCreationForm):
    class Meta:
        model = User
        fields = ("username", "role")


class UserForm(forms.ModelForm[User]):
    class Meta:
        model = User
        fields = ("username", "first_name", "last_name", "email", "role", "is_active")


@admin.register(User)
class UserAdmin(RoleAdmin, DjangoUserAdmin[User]):  # type: ignore[misc]  # unfold is untyped
    add_role = change_role = Role.ADMINISTRATOR
    form = UserForm
    add_form = NewUserForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("username", "pseudonym", "role", "account", "seen")
    list_filter = ("role", "is_active", "imported")
    search_fields = ("username", "pseudonym", "email")
    ordering = ("imported", "username")
    filter_horizontal = ()
    fieldsets = (
        (None, {"fields": ("username", "first_name", "last_name", "email", "role", "is_active")}),
        ("On record", {"fields": ("pseudonym", "account", "new_password", "last_login", "date_joined")}),
    )
    add_fieldsets: Any = (
        (None, {"fields": ("username", "role", "usable_password", "password1", "password2")}),
    )
    readonly_fields = ("pseudonym", "account", "new_password", "last_login", "date_joined")

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Whoever stands for an imported or simulated annotator never gets to sign in."""
        if isinstance(obj, User) and obj.imported:
            return False
        return super().has_change_permission(request, obj)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Nobody locks themselves out, or the house without an administrator."""
        fields = super().get_readonly_fields(request, obj)
        own = obj is not None and obj.pk == request.user.pk
        return (*fields, "role", "is_active") if own else fields

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Who may not set a password is not shown the way there."""
        sets = super().get_fieldsets(request, obj)
        if obj is None or self.has_change_permission(request, obj):
            return sets
        return [
            (name, {**options, "fields": [field for field in options["fields"] if field != "new_password"]})
            for name, options in sets
        ]

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: Any) -> None:
        obj.is_staff = Role(obj.role).includes(Role.RESEARCHER)
        super().save_model(request, obj, form, change)

    @display(description="Account", ordering="is_active")
    def account(self, user: User) -> str:
        if user.imported:
            return "imported"
        return "signs in" if user.is_active else "closed"

    @display(description="Password")
    def new_password(self, user: User) -> SafeString:
        place = reverse("admin:auth_user_password_change", args=(user.pk,))
        return format_html('<a href="{}">Set a new one</a>', place)

    @display(description="Last seen", ordering="last_login")
    def seen(self, user: User) -> SafeString | str:
        return moment(user.last_login)
