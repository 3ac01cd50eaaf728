"""The instructions for annotators: old versions stay, a change is a new one."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.utils.safestring import SafeString
from unfold.decorators import display

from annotation.admin.base import RoleAdmin, ServiceView, person
from annotation.admin.data import prose
from annotation.core.grades import Focus
from annotation.models import Guideline, Role
from annotation.models.fields import choices_of
from annotation.queries import guidelines_in_force
from annotation.services.guidelines import add_guideline
from annotation.templatetags.panel import moment


class GuidelineForm(forms.Form):
    focus = forms.ChoiceField(choices=choices_of(Focus))
    text = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 24}),
        strip=False,
        help_text="Markdown. Annotators see it at once.",
    )


class NewVersionView(ServiceView):
    title = "New version of the guidelines"
    lead = "The new version is in force at once. Judgments keep the version under which they were made."
    submit = "Put in force"
    form_class = GuidelineForm

    def get_initial(self) -> dict[str, Any]:
        wanted = self.request.GET.get("focus", Focus.HELPFULNESS)
        newest = {row.focus: row.text for row in guidelines_in_force()}
        return {"focus": wanted, "text": newest.get(wanted, "")}

    def act(self, form: Any) -> str:
        given, by = form.cleaned_data, person(self.request)
        row = add_guideline(focus=Focus(given["focus"]), text=given["text"], by=by)
        self.say(f"{row} is in force.")
        return self.admin.address("change", row.pk)


@admin.register(Guideline)
class GuidelineAdmin(RoleAdmin):
    add_role = Role.RESEARCHER
    add_page = NewVersionView
    list_display = ("name", "added")
    list_filter = ("focus",)
    fields = ("focus", "version", "whole", "created_at")
    readonly_fields = ("whole",)

    @display(description="Guidelines", ordering="focus")
    def name(self, row: Guideline) -> str:
        return str(row)

    @display(description="Text")
    def whole(self, row: Guideline) -> SafeString:
        return prose(row.text)

    @display(description="Added", ordering="created_at")
    def added(self, row: Guideline) -> SafeString | str:
        return moment(row.created_at)
