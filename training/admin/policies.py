"""Policy versions: to look at, and which server answers for each. Runs make them."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.decorators import display

from annotation.admin.base import RoleAdmin, ServiceView, act, person
from annotation.templatetags.panel import brief, moment
from training.lineage import policy_lineage
from training.models import PolicyVersion
from training.services.policies import set_endpoint, try_endpoint
from training.services.references import served_name


class EndpointForm(forms.Form):
    endpoint = forms.CharField(
        max_length=200,
        required=False,
        label="Address",
        help_text="Of a server that speaks OpenAI's chat completions, such as http://127.0.0.1:8001. Empty: none.",
    )
    endpoint_model = forms.CharField(
        max_length=500,
        required=False,
        label="Model",
        help_text="What the server calls it. Empty: the folder's path, as transformers serve wants it.",
    )


class EndpointView(ServiceView):
    template_name = "admin/training/policy/endpoint.html"
    title = "Response server"
    lead = "Annotators' live prompts are answered by the newest two policies that have a server."
    form_class = EndpointForm

    def setup(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        super().setup(request, *args, **kwargs)
        self.policy: PolicyVersion = self.admin.row(request, kwargs["object_id"])

    def get_initial(self) -> dict[str, Any]:
        return {"endpoint": self.policy.endpoint, "endpoint_model": self.policy.endpoint_model}

    def act(self, form: Any) -> str:
        set_endpoint(policy=self.policy, by=person(self.request), **form.cleaned_data)
        said = f"Response server: {self.policy.endpoint or 'none'}"
        self.admin.log_change(self.request, self.policy, said)
        self.say(f"{said}.")
        return self.admin.address("endpoint", self.policy.pk)

    def facts(self) -> list[tuple[str, str, str]]:
        return [("Asked for", served_name(self.policy), "the model's name in each request")]

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        place = self.admin.address("try", self.policy.pk) if self.policy.endpoint else ""
        return super().get_context_data(original=self.policy, try_address=place, **kwargs)

    def back(self) -> str:
        return self.admin.address("change", self.policy.pk)


@admin.register(PolicyVersion)
class PolicyAdmin(RoleAdmin):
    list_display = ("name", "parent", "adapter_on", "server", "content", "made")
    search_fields = ("name", "sha256", "run")
    list_select_related = ("parent", "adapter_on")
    fields = ("name", "parent", "adapter_on", "server", "path", "whole_hash", "run_uid", "created_at")
    readonly_fields = ("server", "whole_hash", "run_uid")
    change_form_template = "admin/training/policy/change_form.html"

    def pages(self) -> list[URLPattern]:
        endpoint = EndpointView.as_view(admin=self)
        return [
            self.page("<path:object_id>/endpoint/", endpoint, "endpoint"),
            self.page("<path:object_id>/try/", self.try_page, "try"),
        ]

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """With what lies behind the policy."""
        policy: PolicyVersion = self.row(request, object_id)
        lineage = policy_lineage(policy)
        return super().change_view(
            request, object_id, form_url, {**(extra_context or {}), "lineage": lineage}
        )

    def try_page(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask the server for one token, and say whether it came."""
        policy: PolicyVersion = self.row(request, object_id)
        said: list[str] = []
        return act(
            request,
            lambda: said.append(try_endpoint(policy=policy)),
            said=lambda: said[0],
            back=self.address("endpoint", policy.pk),
        )

    @display(description="Response server", ordering="endpoint")
    def server(self, policy: PolicyVersion) -> SafeString:
        return format_html(
            '<a href="{}">{}</a>', self.address("endpoint", policy.pk), policy.endpoint or "none; set one…"
        )

    @display(description="SHA-256", ordering="sha256")
    def content(self, policy: PolicyVersion) -> SafeString:
        return brief(policy.sha256)

    @display(description="SHA-256 of its manifest")
    def whole_hash(self, policy: PolicyVersion) -> SafeString:
        return brief(policy.sha256, 16)

    @display(description="Run")
    def run_uid(self, policy: PolicyVersion) -> SafeString:
        return brief(policy.run)

    @display(description="Made", ordering="created_at")
    def made(self, policy: PolicyVersion) -> SafeString | str:
        return moment(policy.created_at)
