"""The forms of snapshots: a recipe, further formats, a withdrawal.

Knows the fields of core.recipe.Recipe. Services have the last word on what may be.
"""

from __future__ import annotations

import re
from typing import Any, Final

from django import forms
from pydantic import ValidationError

from annotation.core.aggregate import AggregationRule
from annotation.core.exports import judgments
from annotation.core.exports.registry import EXPORTS
from annotation.core.grades import Focus, Grade, MarginTable
from annotation.core.recipe import LARGEST_MARGIN, Recipe
from annotation.overview import sealed_batches

MARGIN_WORDS: Final = {
    MarginTable.NONE: "none: every grade counts the same",
    MarginTable.SMALL: "small: 1, 2/3, 1/3, 0 from significantly to negligibly better",
    MarginTable.LARGE: "large: 3, 2, 1, 0",
    MarginTable.OWN: "own: the four numbers below",
}

AGGREGATION_WORDS: Final = {
    AggregationRule.MAJORITY: "majority: one row a pair, what more than half chose",
    AggregationRule.ADJUDICATED: "adjudicated: the reviewer's label where there is one, else the majority",
    AggregationRule.DAWID_SKENE: "Dawid-Skene: the likelier choice, given how reliable each person is",
    AggregationRule.EACH: "each: every judgment is a row of its own",
}

FORMAT_WORDS: Final = {
    name: title.replace("`", "")
    for name, title in (
        *((form.name, form.title) for form in EXPORTS.values()),
        (judgments.FORMAT.name, judgments.FORMAT.title),
    )
    if name != "native"
}


class WordsField(forms.CharField):
    """Words separated by commas, blanks or line ends."""

    def __init__(self, rows: int = 0, **options: Any) -> None:
        if rows:
            options["widget"] = forms.Textarea(attrs={"rows": rows})
        super().__init__(required=False, max_length=400_000, **options)

    def to_python(self, value: Any) -> Any:
        return [word for word in re.split(r"[,\s]+", super().to_python(value) or "") if word]


class PhrasesField(WordsField):
    """Names that may have blanks in them, separated by commas."""

    def to_python(self, value: Any) -> Any:
        text = forms.CharField.to_python(self, value) or ""
        return [word for part in text.split(",") if (word := part.strip())]


class RecipeForm(forms.Form):
    batches = forms.MultipleChoiceField(
        label="Weeks", help_text="Sealed ones. Reward models learn from everything so far (section 3.2.2)."
    )
    margin_table = forms.ChoiceField(
        choices=list(MARGIN_WORDS.items()),
        initial=MarginTable.SMALL,
        help_text="The margin m(r) by grade that stands beside each row (Table 27).",
    )
    aggregation = forms.ChoiceField(
        choices=list(AGGREGATION_WORDS.items()),
        initial=AggregationRule.MAJORITY,
        help_text="How several judgments of a pair become rows.",
    )
    focus = forms.ChoiceField(
        choices=[("", "both"), *((focus.value, focus.value) for focus in Focus)], required=False
    )
    languages = WordsField(help_text="Codes, as in en, zh. Empty: any.")
    categories = PhrasesField(help_text="Topics and risk categories of the prompts, by commas. Empty: any.")
    min_agreement = forms.FloatField(
        min_value=0,
        max_value=100,
        initial=0,
        label="Least agreement in percent",
        help_text="Of the people behind a row; under Dawid-Skene the probability of its choice.",
    )
    min_judgments = forms.IntegerField(min_value=1, initial=1, label="Fewest judgments of a row")
    without_annotators = WordsField(
        2, label="Without these people", help_text="Pseudonyms, by commas or lines."
    )
    without_prompts = WordsField(2, label="Without these prompts", help_text="Keys, by commas or lines.")
    formats = forms.MultipleChoiceField(
        choices=list(FORMAT_WORDS.items()),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        label="Further formats",
        help_text="Beside JSON lines and Parquet. More can be added later.",
    )
    name = forms.CharField(
        max_length=100, required=False, help_text="Empty: named by its last week and its margins."
    )

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        weeks: Any = self.fields["batches"]
        weeks.choices = [(str(batch.number), batch.name) for batch in sealed_batches()]
        weeks.widget.attrs["size"] = min(8, max(2, len(weeks.choices)))
        for grade in Grade:
            self.fields[f"margin_{grade.value}"] = forms.FloatField(
                required=False,
                min_value=0,
                max_value=LARGEST_MARGIN,
                label=f"Own margin: {grade.value.replace('_', ' ')}",
            )
        own = [f"margin_{grade.value}" for grade in Grade]
        self.order_fields(["batches", "aggregation", "focus", "margin_table", *own])

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if not self.errors:
            try:
                given["recipe"] = Recipe.model_validate(self._recipe(given))
            except ValidationError as error:
                raise forms.ValidationError([problem["msg"] for problem in error.errors()]) from None
        return given

    def _recipe(self, given: dict[str, Any]) -> dict[str, Any]:
        own = given["margin_table"] == MarginTable.OWN
        margins = {grade.value: given.get(f"margin_{grade.value}") for grade in Grade}
        if own and None in margins.values():
            raise forms.ValidationError("Give all four own margins.")
        return {
            "batches": [int(number) for number in given["batches"]],
            "focuses": [given["focus"]] if given["focus"] else [],
            "languages": given["languages"],
            "categories": given["categories"],
            "min_agreement": given["min_agreement"] / 100,
            "min_judgments": given["min_judgments"],
            "aggregation": given["aggregation"],
            "margin_table": given["margin_table"],
            "margins": margins if own else None,
            "without_annotators": given["without_annotators"],
            "without_prompts": given["without_prompts"],
        }


class FormatsForm(forms.Form):
    formats = forms.MultipleChoiceField(
        choices=list(FORMAT_WORDS.items()), widget=forms.CheckboxSelectMultiple, label="Formats"
    )


class WithdrawForm(forms.Form):
    annotators = WordsField(3, label="People", help_text="Pseudonyms whose judgments go, by commas or lines.")
    prompts = WordsField(3, help_text="Keys of prompts whose rows go, by commas or lines.")
    reason = forms.CharField(max_length=2000, help_text="The new version and its card carry it.")
    sure = forms.BooleanField(
        required=False,
        label="Withdraw them now",
        help_text="Without it you are only told how many go.",
    )
