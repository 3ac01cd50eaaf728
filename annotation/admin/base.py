"""What all pages of the admin share: who may what, pages beside Django's own, forms that speak to a service.

Knows roles and domain errors. What a page is about stands in the modules that import this one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.views.generic import FormView
from unfold.admin import ModelAdmin

from annotation.errors import DomainError
from annotation.models import Role, User


@dataclass(frozen=True, slots=True)
class Step:
    """Something to do with a row: a button that posts, or a link to a page that asks first."""

    label: str
    address: str
    post: bool = False
    filled: bool = False  # the next sensible thing; one a page


def person(request: HttpRequest) -> User:
    """Who asks. The admin site lets nobody in without an account."""
    if not isinstance(request.user, User):
        raise PermissionDenied
    return request.user


class RoleAdmin(ModelAdmin):
    """Permissions follow the role, so that nobody needs hand-assigned ones; None is nobody."""

    view_role: Role = Role.RESEARCHER
    add_role: Role | None = None
    change_role: Role | None = None
    delete_role: Role | None = None
    page_template = ""  # where set, it shows a row in the place of Django's form
    add_page: type[ServiceView] | None = None  # where set, it adds a row in the place of Django's form
    list_per_page = 50
    list_fullwidth = True

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self._may(request, self.view_role)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self._may(request, self.view_role)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self._may(request, self.add_role)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self._may(request, self.change_role)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self._may(request, self.delete_role)

    @staticmethod
    def _may(request: HttpRequest, role: Role | None) -> bool:
        return role is not None and isinstance(request.user, User) and request.user.may(role)

    def get_urls(self) -> list[URLPattern]:
        urls: list[URLPattern] = super().get_urls()
        return [*self.pages(), *urls]

    def pages(self) -> list[URLPattern]:
        """Addresses beside Django's own; build each with `page`."""
        return []

    def page(self, route: str, view: Callable[..., Any], name: str) -> URLPattern:
        return path(route, self.admin_site.admin_view(view), name=f"{self._prefix}_{name}")

    @property
    def _prefix(self) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}"

    def address(self, name: str, *arguments: object) -> str:
        return reverse(f"admin:{self._prefix}_{name}", args=arguments)

    def row(self, request: HttpRequest, object_id: str) -> Any:
        """The row that an address names.

        Raises:
            PermissionDenied, Http404: it may not be seen, or is not there.
        """
        if not self.has_view_permission(request):
            raise PermissionDenied
        found = self.get_object(request, unquote(object_id))
        if found is None:
            raise Http404(f"There is no such {self.opts.verbose_name}.")
        return found

    def render(self, request: HttpRequest, template: str, **context: Any) -> TemplateResponse:
        """A page in the admin's frame."""
        frame = {**self.admin_site.each_context(request), "opts": self.opts, "model_admin": self}
        return TemplateResponse(request, template, {**frame, **context})

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if self.add_page is None:
            return self._own(super().add_view(request, form_url, extra_context))
        if not self.has_add_permission(request):
            raise PermissionDenied
        return self._own(self.add_page.as_view(admin=self)(request))

    @staticmethod
    def _own(response: object) -> HttpResponse:
        assert isinstance(response, HttpResponse)  # noqa: S101  what Django says less precisely
        return response

    def page_context(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        """What `page_template` shows of a row."""
        return {}

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        if not self.page_template:
            return self._own(super().change_view(request, object_id, form_url, extra_context))
        obj = self.row(request, object_id)
        context = self.page_context(request, obj)
        return self.render(request, self.page_template, title=str(obj), original=obj, row=obj, **context)


def act(
    request: HttpRequest, do: Callable[[], object], *, said: str | Callable[[], str], back: str
) -> HttpResponse:
    """Call a service on POST and say what came of it; what it refuses becomes a message."""
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    try:
        do()
    except DomainError as error:
        messages.error(request, error.message)
    else:
        messages.success(request, said if isinstance(said, str) else said())
    return HttpResponseRedirect(back)


class ServiceView(FormView[forms.Form]):
    """A page with a form whose answer goes to a service. What the service refuses is said on the form."""

    template_name = "admin/margin/form.html"
    form_class: type[forms.Form] = forms.Form
    admin: RoleAdmin = None  # type: ignore[assignment]  # given to as_view()
    title = ""
    lead = ""  # one sentence: what happens on submit
    submit = "Save"

    def blocked(self) -> str:
        """Why there is nothing to do here, if so."""
        return ""

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if reason := self.blocked():
            messages.warning(request, reason)
            return HttpResponseRedirect(self.back())
        return super().get(request, *args, **kwargs)

    def act(self, form: Any) -> str:
        """Call the service and return where to go; `messages` say what was done."""
        raise NotImplementedError

    def facts(self) -> list[tuple[str, str, str]]:
        """Name, value and explanation of what is at stake."""
        return []

    def get_form_kwargs(self) -> dict[str, Any]:
        return {**super().get_form_kwargs(), "label_suffix": ""}

    def form_valid(self, form: forms.Form) -> HttpResponse:
        try:
            return HttpResponseRedirect(self.act(form))
        except DomainError as error:
            show_errors(form, error)
            return self.form_invalid(form)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        frame = self.admin.admin_site.each_context(self.request)
        own = {
            "opts": self.admin.opts,
            "title": self.title,
            "lead": self.lead,
            "submit": self.submit,
            "facts": self.facts(),
            "back": self.back(),
        }
        return super().get_context_data(**frame, **own, **kwargs)

    def back(self) -> str:
        return self.admin.address("changelist")

    def say(self, text: str) -> None:
        messages.success(self.request, text)


def show_errors(form: forms.Form, error: DomainError) -> None:
    """Each complaint at its field; what belongs to no field stands above the form."""
    homeless = not error.errors
    for problem in error.errors:
        field = str(problem.get("field", "")).split(".", maxsplit=1)[0]
        if field in form.fields:
            form.add_error(field, str(problem.get("reason", "")))
        else:
            homeless = True
    if homeless:
        form.add_error(None, error.message)
