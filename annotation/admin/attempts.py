"""What was written in the tests: reviewers read it, give points and feedback, and keep the good prompts."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Final

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString
from unfold.decorators import display

from annotation.admin.base import RoleAdmin, ServiceView, person
from annotation.admin.reviews import StageFilter
from annotation.core.qualification import GOOD_POINTS, MOST_POINTS
from annotation.models import Attempt, AttemptState, Role, StepKind
from annotation.qualifying import sheet_of
from annotation.services.qualification import LONGEST_TEXT, Mark, review_attempt
from annotation.templatetags.panel import dot, moment
from annotation.templatetags.qualifying import percent

POINTS: Final = [("", "—")] + [(str(n), str(n)) for n in range(MOST_POINTS, 0, -1)]
WORDS: Final = {"submitted": "waiting"}


class TestStageFilter(StageFilter):
    """The same of written tests."""

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("reviewed", "reviewed"), ("all", "all tests")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() == "all":
            return queryset
        if self.value() == "reviewed":
            return queryset.filter(reviewed_by__isnull=False)
        return queryset.filter(state=AttemptState.SUBMITTED)


class ReviewForm(forms.Form):
    """Points, a comment and what becomes of it for each piece; made of the sheet."""

    def __init__(self, *arguments: Any, sheet: Any = (), **options: Any) -> None:
        super().__init__(*arguments, **options)
        for asked in sheet:
            if asked.answer is None:
                continue
            pk, text = asked.answer.pk, asked.answer.value
            self.fields[f"points_{pk}"] = forms.ChoiceField(
                choices=POINTS, label=f"Points, 1 to {MOST_POINTS}"
            )
            self.fields[f"comment_{pk}"] = forms.CharField(
                widget=forms.Textarea(attrs={"rows": 2}),
                required=False,
                max_length=2000,
                label="Feedback",
                help_text="Shown to whoever wrote it.",
            )
            self.fields[f"keep_{pk}"] = forms.BooleanField(
                required=False, label=f"Put it into the prompt pool, with {GOOD_POINTS} points or more"
            )
            self.fields[f"pool_{pk}"] = forms.CharField(
                widget=forms.Textarea(attrs={"rows": 3}),
                required=False,
                initial=text,
                max_length=LONGEST_TEXT,
                label="As it goes into the pool",
            )

    def mark(self, pk: int) -> Mark:
        told = self.cleaned_data
        pool = told[f"pool_{pk}"] if told[f"keep_{pk}"] else ""
        return Mark(points=int(told[f"points_{pk}"]), comment=told[f"comment_{pk}"], pool=pool)


class ReviewView(ServiceView):
    template_name = "admin/annotation/attempt/review.html"
    title = "Review"
    lead = "Give 1 to 5 points for each piece; the mean decides. Who wrote it is not shown."
    submit = "Send the review"
    form_class = ReviewForm

    @cached_property
    def attempt(self) -> Attempt:
        row: Attempt = self.admin.row(self.request, self.kwargs["object_id"])
        return row

    @cached_property
    def sheet(self) -> list[Any]:
        return sheet_of(self.attempt)

    def get_form_kwargs(self) -> dict[str, Any]:
        return {**super().get_form_kwargs(), "sheet": self.sheet}

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(original=self.attempt.step, step=self.attempt.step, **kwargs)
        context["pieces"] = [(asked, self._fields(context["form"], asked)) for asked in self.sheet]
        return context

    @staticmethod
    def _fields(form: forms.Form, asked: Any) -> dict[str, Any]:
        if asked.answer is None:
            return {}
        points, comment, keep, pool = (
            form[f"{name}_{asked.answer.pk}"] for name in ("points", "comment", "keep", "pool")
        )
        return {"verdict": [points, comment], "pool": [keep, pool], "is_kept": bool(keep.value())}

    def act(self, form: Any) -> str:
        answers = [asked.answer for asked in self.sheet if asked.answer is not None]
        marks = {answer.pk: form.mark(answer.pk) for answer in answers}
        row = review_attempt(attempt=self.attempt, by=person(self.request), marks=marks)
        self.say(f"The review is sent: {row.state} with {percent(row.score)} %.")
        return self.back()


@admin.register(Attempt)
class AttemptAdmin(RoleAdmin):
    view_role = Role.REVIEWER
    page_template = "admin/annotation/attempt/page.html"
    list_display = ("title", "focus", "who", "dotted", "percent", "ended", "reviewer")
    list_filter = (TestStageFilter, "step__focus", "step__kind")
    search_fields = ("annotator__pseudonym", "step__title")
    list_select_related = ("step", "annotator", "reviewed_by")
    ordering = ("ended_at", "pk")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Attempt]:
        """Reviewers see what was written; the answers to a quiz or a rating are not for those who may still take it."""
        rows: QuerySet[Attempt] = super().get_queryset(request)
        return rows if person(request).may(Role.RESEARCHER) else rows.filter(step__kind=StepKind.WRITING)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """What waits is reviewed here, unless it is one's own; anything else is shown."""
        row: Attempt = self.row(request, object_id)
        if row.state == AttemptState.SUBMITTED and row.annotator_id != person(request).pk:
            return self._own(ReviewView.as_view(admin=self)(request, object_id=object_id))
        return super().change_view(request, object_id, form_url, extra_context)

    def page_context(self, request: HttpRequest, obj: Attempt) -> dict[str, Any]:
        own = obj.annotator_id == person(request).pk
        return {"sheet": [] if own else sheet_of(obj), "is_own": own, "steps": []}

    @display(description="Test", ordering="step")
    def title(self, row: Attempt) -> str:
        return row.step.title

    @display(description="Focus", ordering="step__focus")
    def focus(self, row: Attempt) -> str:
        return row.step.focus

    @display(description="By", ordering="annotator__pseudonym")
    def who(self, row: Attempt) -> str:
        return row.annotator.pseudonym

    @display(description="State", ordering="state")
    def dotted(self, row: Attempt) -> SafeString:
        return dot(WORDS.get(row.state, row.state))

    @display(description="Score, %", ordering="score")
    def percent(self, row: Attempt) -> str:
        return percent(row.score)

    @display(description="Handed in", ordering="ended_at")
    def ended(self, row: Attempt) -> SafeString | str:
        return moment(row.ended_at)

    @display(description="Reviewed by", ordering="reviewed_by")
    def reviewer(self, row: Attempt) -> str:
        return row.reviewed_by.username if row.reviewed_by else "—"
