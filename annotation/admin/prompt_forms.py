"""The forms of the prompt pool: writing one prompt, importing a file, labelling many."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from django import forms
from django.core.exceptions import ValidationError

from annotation.core.categories import AttackStyle, RiskCategory
from annotation.core.formats.fields import RowError
from annotation.core.formats.lines import open_lines
from annotation.core.formats.prompts import (
    LONGEST,
    MAX_LABEL,
    MOST_TURNS,
    PromptForm,
    form_of,
    language_code,
)
from annotation.core.grades import Focus
from annotation.models.fields import choices_of
from annotation.services.labels import Labels

LARGEST: Final = 20 * 1024**2  # bytes of a file, packed and unpacked
LONGEST_PASTE: Final = 500_000  # characters
NOTHING: Final = "-"
NOT_SAID: Final = [("", "—")]


class LanguageField(forms.CharField):
    """A code of a language."""

    def __init__(self, **options: Any) -> None:
        super().__init__(required=False, max_length=16, **options)

    def clean(self, value: Any) -> str:
        text = str(super().clean(value))
        try:
            return text if text == NOTHING else language_code(text)
        except RowError as error:
            raise ValidationError("Use a code such as en or zh-hans.") from error


class WriteForm(forms.Form):
    text = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 8}),
        max_length=LONGEST,
        label="Prompt",
        help_text="The first thing that a user says, as they would say it.",
    )
    focus = forms.ChoiceField(choices=choices_of(Focus))
    category = forms.CharField(max_length=MAX_LABEL, required=False, label="Topic")
    risk = forms.ChoiceField(
        choices=NOT_SAID + choices_of(RiskCategory), required=False, label="Risk category"
    )
    attack = forms.ChoiceField(
        choices=NOT_SAID + choices_of(AttackStyle), required=False, label="Attack style"
    )
    language = LanguageField(help_text="A code such as en or zh-hans.")
    turns = forms.IntegerField(
        min_value=1,
        max_value=MOST_TURNS,
        initial=1,
        help_text="User turns that its dialogues are meant to have.",
    )
    licence = forms.CharField(max_length=100, required=False)
    despite = forms.BooleanField(required=False, label="Add it all the same")


class ImportForm(forms.Form):
    file = forms.FileField(
        required=False,
        help_text=f"JSON lines or CSV with a header, UTF-8, plain or gzip, up to {LARGEST // 1024**2} MB.",
    )
    pasted = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 8, "spellcheck": "false"}),
        required=False,
        strip=False,
        max_length=LONGEST_PASTE,
        label="Or paste the lines",
    )
    form = forms.ChoiceField(
        choices=[("", "as the file's name or first line says"), ("jsonl", "JSON lines"), ("csv", "CSV")],
        required=False,
        label="Form",
    )
    focus = forms.ChoiceField(
        choices=[("", "each row states it"), *choices_of(Focus)],
        required=False,
        help_text="Of rows that do not state one.",
    )
    language = LanguageField(help_text="Of rows that do not state one.")
    skip_invalid = forms.BooleanField(
        required=False, label="Leave bad rows out", help_text="Without it one bad row stops the import."
    )
    dry_run = forms.BooleanField(
        required=False, label="Only check", help_text="Says what would happen and stores nothing."
    )

    def clean_file(self) -> Any:
        file = self.cleaned_data["file"]
        if file is not None and (file.size or 0) > LARGEST:
            raise ValidationError(
                f"It has more than {LARGEST // 1024**2} MB: split it, or use manage.py add_prompts."
            )
        return file

    def clean(self) -> dict[str, Any]:
        given = self.cleaned_data
        if not self.errors and bool(given["file"]) is bool(given["pasted"].strip()):
            raise ValidationError("Choose a file or paste its lines, one of the two.")
        return given

    def chosen(self) -> PromptForm:
        given = self.cleaned_data
        if given["form"]:
            return PromptForm(given["form"])
        if given["file"]:
            return form_of(given["file"].name)
        return PromptForm.JSONL if given["pasted"].lstrip().startswith("{") else PromptForm.CSV

    def lines(self) -> Iterator[str]:
        if self.cleaned_data["file"]:
            return open_lines(self.cleaned_data["file"], max_file=LARGEST)
        return iter(self.cleaned_data["pasted"].replace("\r\n", "\n").split("\n"))


class LabelForm(forms.Form):
    """What is left empty stays as it is."""

    category = forms.CharField(
        max_length=MAX_LABEL, required=False, label="Topic", help_text="A dash takes it away."
    )
    risk = forms.ChoiceField(
        choices=[("", "as it is"), (NOTHING, "none"), *choices_of(RiskCategory)],
        required=False,
        label="Risk category",
    )
    attack = forms.ChoiceField(
        choices=[("", "as it is"), (NOTHING, "none"), *choices_of(AttackStyle)],
        required=False,
        label="Attack style",
    )
    language = LanguageField(help_text="A code such as en or zh-hans; a dash takes it away.")
    turns = forms.IntegerField(
        min_value=1,
        max_value=MOST_TURNS,
        required=False,
        help_text="User turns that their dialogues are meant to have.",
    )

    def labels(self) -> Labels:
        given: dict[str, Any] = {
            name: "" if value == NOTHING else value
            for name, value in self.cleaned_data.items()
            if value not in ("", None)
        }
        return Labels(**given)
