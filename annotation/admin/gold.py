"""Attention checks: which there are, how people do on them, and what may become one."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Final

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.decorators import display

from annotation.admin.base import RoleAdmin, ServiceView, Step, act, person
from annotation.admin.data import excerpt
from annotation.admin.labels import choice_field, grade_field, in_words, safety_field, vote_words
from annotation.checking import (
    adjudicated_vote,
    candidates,
    doubtful,
    is_doubtful,
    pair_with,
    promising_batches,
    votes_on,
    with_shares,
)
from annotation.core.attention import GoldAnswer, unanimous
from annotation.core.grades import Choice, Focus, Grade, SafetyLabel
from annotation.models import Batch, Comparison, Gold
from annotation.services.gold import (
    WIDEST_TOLERANCE,
    activate_gold,
    add_gold,
    promote_unanimous,
    retire_gold,
)
from annotation.templatetags.panel import dot, moment

SHOWN: Final = 50  # candidates on the page
MOST: Final = 500  # promoted at once
DOUBTFUL: Final = "people disagree with this check"


class CheckForm(forms.Form):
    choice = choice_field()
    grade = grade_field("any strength")
    tolerance = forms.IntegerField(
        min_value=0,
        max_value=WIDEST_TOLERANCE,
        initial=1,
        help_text="Steps of the scale of eight by which an answer may be off.",
    )
    safety = safety_field("any label")
    reason = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 3}),
        max_length=2000,
        required=False,
        help_text="Annotators read it where the week gives feedback. Which response stands on which side differs "
        "from person to person: speak of the better one and the other, not of A and B.",
    )


class MakeView(ServiceView):
    template_name = "admin/annotation/gold/make.html"
    title = "Make it a check"
    lead = "People are given the pair unannounced, and their answers are held against yours. The pair itself stays."
    submit = "Make it a check"
    form_class = CheckForm

    @cached_property
    def pair(self) -> Comparison:
        found = pair_with(self.kwargs["pk"])
        if found is None:
            raise Http404("There is no such comparison.")
        return found

    def blocked(self) -> str:
        return "It is a check, or one was made of it already." if gold_of(self.pair) else ""

    def get_form(self, form_class: type[forms.Form] | None = None) -> forms.Form:
        form = super().get_form(form_class)
        if self.pair.focus != Focus.SAFETY:
            del form.fields["safety"]
        return form

    def get_initial(self) -> dict[str, Any]:
        """What a reviewer settled, or people agreed on."""
        vote = adjudicated_vote(self.pair) or unanimous(votes_on(self.pair), fewest=1)
        return {} if vote is None else {"choice": vote.choice, "grade": vote.grade, "safety": vote.safety}

    def act(self, form: Any) -> str:
        given = form.cleaned_data
        gold = add_gold(
            comparison=self.pair,
            answer=GoldAnswer(
                choice=Choice(given["choice"]),
                grade=Grade(given["grade"]) if given["grade"] else None,
                safety=SafetyLabel(given["safety"]) if given.get("safety") else None,
                tolerance=given["tolerance"],
            ),
            reason=given["reason"],
            by=person(self.request),
        )
        self.say("It is a check from now on, in every week but its own.")
        return self.admin.address("change", gold.pk)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(pair=self.pair, **kwargs)


class PromoteForm(forms.Form):
    limit = forms.IntegerField(
        min_value=1,
        max_value=MOST,
        initial=20,
        label="Pairs",
        help_text="The first of the list, in its order.",
    )


class PromoteView(ServiceView):
    template_name = "admin/annotation/gold/promote.html"
    title = "Promote pairs to checks"
    lead = (
        "Pairs that at least three people judged clearly and alike. They stay data; from the next week on they are "
        "checks too."
    )
    submit = "Promote"
    form_class = PromoteForm

    @cached_property
    def batches(self) -> list[Batch]:
        return promising_batches()

    @cached_property
    def batch(self) -> Batch | None:
        wanted = self.request.GET.get("batch", "")
        if not wanted:
            return self.batches[0] if self.batches else None
        if (found := next((batch for batch in self.batches if str(batch.pk) == wanted), None)) is None:
            raise Http404("There is no such week with judgments.")
        return found

    def blocked(self) -> str:
        return "" if self.batch else "No week has been judged yet: there is nothing to promote."

    def act(self, form: Any) -> str:
        if self.batch is None:
            raise Http404(self.blocked())
        count = promote_unanimous(batch=self.batch, limit=form.cleaned_data["limit"], by=person(self.request))
        self.say(f"{count} pair{'s are checks' if count != 1 else ' is a check'} from now on.")
        return self.back()

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        found = candidates(self.batch, SHOWN) if self.batch else []
        rows = [(one, excerpt(one.comparison.dialogue.prompt.text), vote_words(one.vote)) for one in found]
        return super().get_context_data(
            batches=self.batches, batch=self.batch, rows=rows, shown=SHOWN, **kwargs
        )


def gold_of(pair: Comparison) -> Gold | None:
    """The check that a pair is, or that was made of it."""
    return pair.gold or getattr(pair, "promoted_to", None)


class DoubtfulFilter(admin.SimpleListFilter):
    title = "doubt"
    parameter_name = "doubt"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", DOUBTFUL)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return doubtful(queryset) if self.value() else queryset


@admin.register(Gold)
class GoldAdmin(RoleAdmin):
    list_display = ("asked", "focus", "expected", "origin", "dotted", "answered", "share", "added")
    list_filter = ("active", DoubtfulFilter, "focus", "origin")
    search_fields = ("dialogue__prompt__text", "reason")
    list_before_template = "admin/annotation/gold/above.html"  # type: ignore[assignment]
    page_template = "admin/annotation/gold/page.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Gold]:
        whole = ("dialogue__prompt", "response_a", "response_b", "created_by", "source")
        return with_shares(super().get_queryset(request).select_related(*whole))

    def pages(self) -> list[URLPattern]:
        return [
            self.page("make/<int:pk>/", MakeView.as_view(admin=self), "make"),
            self.page("promote/", PromoteView.as_view(admin=self), "promote"),
            self.page("<path:object_id>/retire/", self.retire_page, "retire"),
            self.page("<path:object_id>/activate/", self.activate_page, "activate"),
        ]

    def retire_page(self, request: HttpRequest, object_id: str) -> HttpResponse:
        gold: Gold = self.row(request, object_id)
        said = "It is drawn no more, and answers to it count no longer."
        return act(
            request,
            lambda: retire_gold(gold=gold, by=person(request)),
            said=said,
            back=self.address("change", gold.pk),
        )

    def activate_page(self, request: HttpRequest, object_id: str) -> HttpResponse:
        gold: Gold = self.row(request, object_id)
        return act(
            request,
            lambda: activate_gold(gold=gold, by=person(request)),
            said="It is drawn again.",
            back=self.address("change", gold.pk),
        )

    def page_context(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        verb = "retire" if obj.active else "activate"
        is_in_doubt = is_doubtful(careful=obj.careful_n, right=obj.careful_right_n)
        step = Step(
            verb.capitalize(), self.address(verb, obj.pk), post=True, filled=is_in_doubt and obj.active
        )
        return {
            "pair": obj,
            "steps": [step],
            "expected": self.expected(obj),
            "share": _percent(obj.right_n, obj.answered_n),
            "doubt": DOUBTFUL if is_in_doubt else "",
        }

    @display(description="Prompt")
    def asked(self, gold: Gold) -> str:
        return excerpt(gold.dialogue.prompt.text)

    @display(description="Expected")
    def expected(self, gold: Gold) -> str:
        return in_words(gold.choice, gold.grade, gold.safety, gold.tolerance)

    @display(description="State", ordering="active")
    def dotted(self, gold: Gold) -> SafeString:
        return dot("active" if gold.active else "retired")

    @display(description="Answered", ordering="answered_n")
    def answered(self, gold: Any) -> str:
        return f"{gold.answered_n:,}"

    @display(description="Right", ordering="right_n")
    def share(self, gold: Any) -> SafeString | str:
        share = _percent(gold.right_n, gold.answered_n)
        if not is_doubtful(careful=gold.careful_n, right=gold.careful_right_n):
            return share
        return format_html('{} <span class="m-state" data-tone="warn">{}</span>', share, DOUBTFUL)

    @display(description="Added", ordering="created_at")
    def added(self, gold: Gold) -> SafeString | str:
        return moment(gold.created_at)


def _percent(part: int, whole: int) -> str:
    return f"{round(100 * part / whole)} %" if whole else "—"
