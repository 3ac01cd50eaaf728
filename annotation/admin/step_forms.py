"""The forms by which researchers build the tests: a step's numbers, and a question of each kind."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from django import forms
from django.http import Http404

from annotation.admin.base import ServiceView, person
from annotation.admin.data import excerpt
from annotation.core.grades import Focus
from annotation.core.qualification import format_options, parse_options
from annotation.models import Gold, QualificationStep, Question, StepKind
from annotation.models.fields import choices_of
from annotation.qualifying import free_gold, questions_of
from annotation.services.steps import (
    QuestionDraft,
    StepDraft,
    add_question,
    change_question,
    change_step,
    create_step,
)

KINDS = [
    (StepKind.QUIZ, "quiz: questions with options, scored at once"),
    (StepKind.RATING, "rating: pairs held against references, scored at once"),
    (StepKind.WRITING, "writing: a reviewer gives 1 to 5 points for each piece"),
]


class DraftForm(forms.Form):
    """The fields of services.steps.StepDraft; shares are asked for in per cent."""

    title = forms.CharField(max_length=100)
    intro = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 8}),
        required=False,
        label="Introduction",
        help_text="Markdown, shown before the clock starts.",
    )
    minutes = forms.IntegerField(min_value=0, max_value=600, initial=0, help_text="Time limit; 0: none.")
    pass_percent = forms.FloatField(
        min_value=1,
        max_value=100,
        initial=80,
        label="To pass, %",
        help_text="Of right answers, or of points: more than 4 of 5 is 81, more than 26 of 31 is 87.",
    )
    fewest = forms.IntegerField(
        min_value=0,
        max_value=200,
        initial=0,
        label="Fewest pieces",
        help_text="Writing: how many must be written of those offered; 0: all.",
    )
    attempts = forms.IntegerField(
        min_value=0, max_value=100, initial=2, label="Tries", help_text="0: any number."
    )
    wait_hours = forms.IntegerField(
        min_value=0, max_value=10_000, initial=24, label="Hours between tries", help_text="0: at once."
    )
    valid_days = forms.IntegerField(
        min_value=0, max_value=3650, initial=0, label="Days a pass counts", help_text="0: without end."
    )

    def draft(self) -> StepDraft:
        told = {k: v for k, v in self.cleaned_data.items() if k in StepDraft.__dataclass_fields__}
        return StepDraft(**told, pass_share=round(self.cleaned_data["pass_percent"] / 100, 6))


class NewStepForm(DraftForm):
    focus = forms.ChoiceField(choices=choices_of(Focus))
    kind = forms.ChoiceField(choices=KINDS)
    field_order = ("focus", "kind", "title")


class NewStepView(ServiceView):
    title = "Add a step"
    lead = (
        "It stands at the end of its focus, and is not in force before it has questions and you put it there."
    )
    submit = "Add"
    form_class = NewStepForm

    def get_initial(self) -> dict[str, Any]:
        return {"focus": self.request.GET.get("focus", Focus.HELPFULNESS)}

    def act(self, form: Any) -> str:
        row = create_step(
            focus=Focus(form.cleaned_data["focus"]),
            kind=StepKind(form.cleaned_data["kind"]),
            draft=form.draft(),
            by=person(self.request),
        )
        self.say(f"{row} is added. Now its questions.")
        return self.admin.address("change", row.pk)


class OfStepView(ServiceView):
    """A form about one step."""

    @cached_property
    def step(self) -> QualificationStep:
        row: QualificationStep = self.admin.row(self.request, self.kwargs["object_id"])
        return row

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(original=self.step, **kwargs)

    def back(self) -> str:
        return self.admin.address("change", self.step.pk)


class ChangeStepView(OfStepView):
    title = "Change a step"
    lead = (
        "Time, pass mark and fewest pieces change only until somebody has tried it: then make a new version."
    )
    form_class = DraftForm

    def get_initial(self) -> dict[str, Any]:
        row = self.step
        told = {name: getattr(row, name) for name in StepDraft.__dataclass_fields__}
        return {**told, "pass_percent": round(100 * row.pass_share, 4)}

    def act(self, form: Any) -> str:
        change_step(step=self.step, draft=form.draft(), by=person(self.request))
        self.say(f"{self.step} is changed.")
        return self.back()


class TextForm(forms.Form):
    """A writing task; the base of the other kinds."""

    text = forms.CharField(widget=forms.Textarea(attrs={"rows": 4}), help_text="Markdown.")
    explanation = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 3}),
        required=False,
        help_text="Shown once the step is passed, or no tries are left.",
    )

    def draft(self) -> QuestionDraft:
        return QuestionDraft(**self.cleaned_data)


class QuizForm(TextForm):
    options = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 5}),
        help_text="One a line; begin those that are right with an asterisk (*).",
    )
    field_order = ("text", "options", "explanation")

    def clean_options(self) -> tuple[tuple[str, ...], tuple[int, ...]]:
        try:
            options, right = parse_options(self.cleaned_data["options"])
        except ValueError as error:
            raise forms.ValidationError(str(error)) from error
        return tuple(options), tuple(right)

    def draft(self) -> QuestionDraft:
        told = dict(self.cleaned_data)
        options, right = told.pop("options")
        return QuestionDraft(**told, options=options, right=right)


class GoldField(forms.ModelChoiceField):  # type: ignore[type-arg]  # not generic at run time
    def label_from_instance(self, obj: Gold) -> str:
        label = " · ".join(filter(None, [obj.choice.upper(), obj.grade, obj.safety])).replace("_", " ")
        return f"{excerpt(obj.dialogue.prompt.text)} ({label})"


class RatingForm(TextForm):
    gold = GoldField(
        queryset=None,
        label="Pair with a known label",
        help_text="Attention checks in use of this focus that the step does not ask for yet.",
    )
    text = forms.CharField(required=False, label="Note", help_text="Shown above the pair; seldom needed.")
    field_order = ("gold", "text", "explanation")


FORMS: dict[str, type[TextForm]] = {
    StepKind.QUIZ: QuizForm,
    StepKind.RATING: RatingForm,
    StepKind.WRITING: TextForm,
}


class QuestionView(OfStepView):
    """A question of the step, new or not."""

    submit = "Save"

    @cached_property
    def question(self) -> Question | None:
        if "question" not in self.kwargs:
            return None
        return question_of(self.step, self.kwargs["question"])

    @property
    def title(self) -> str:  # type: ignore[override]  # made of what is edited
        return f"Question {self.question.position}" if self.question else "Add a question"

    def get_form_class(self) -> type[forms.Form]:
        return FORMS[self.step.kind]

    def get_form(self, form_class: type[forms.Form] | None = None) -> forms.Form:
        form = super().get_form(form_class)
        if "gold" in form.fields:
            taken = {q.gold_id for q in questions_of(self.step) if q.gold_id and q != self.question}
            form.fields["gold"].queryset = free_gold(self.step.focus).exclude(pk__in=taken)  # type: ignore[attr-defined]
        return form

    def get_initial(self) -> dict[str, Any]:
        row = self.question
        if row is None:
            return {}
        options = format_options(row.options, row.right)
        return {"text": row.text, "options": options, "gold": row.gold_id, "explanation": row.explanation}

    def act(self, form: Any) -> str:
        by = person(self.request)
        if self.question is None:
            row = add_question(step=self.step, draft=form.draft(), by=by)
            self.say(f"Question {row.position} is added.")
        else:
            row = change_question(question=self.question, draft=form.draft(), by=by)
            self.say(f"Question {row.position} is changed.")
        return self.back()


def question_of(step: QualificationStep, pk: int) -> Question:
    found = next((question for question in questions_of(step) if question.pk == pk), None)
    if found is None:
        raise Http404("There is no such question.")
    return found
