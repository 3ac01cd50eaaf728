"""The forms of an import: which file, and how it is to be read. What the rows do not say is asked for by name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, cast

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.template.defaultfilters import filesizeformat
from pydantic import ValidationError as MappingError

from annotation.core.formats.base import TiePolicy
from annotation.core.formats.guessing import Seen, grade_of, side_of
from annotation.core.formats.mappings import FieldMapping, FocusMapping, MarginMapping, Side
from annotation.core.formats.prompt_sets import PROMPT_SETS
from annotation.core.formats.registry import FORMATS
from annotation.core.grades import Focus, Grade
from annotation.core.states import BatchState
from annotation.models import Batch
from annotation.models.fields import choices_of
from annotation.services.imports import NEW

GUESS: Final = ("", "as its first rows look")
JUDGMENT_FORMATS: Final = [(form.name, form.title) for form in FORMATS.values()]
PROMPT_FORMATS: Final = [(form.name, form.title) for form in PROMPT_SETS.values()]
SIDES: Final = [
    (Side.A, "the first is better"),
    (Side.B, "the second is better"),
    (Side.TIE, "a tie"),
    (Side.NONE, "no vote"),
]
ITEMS: Final = [(Side.A, "the first"), (Side.B, "the second"), (Side.NONE, "neither of the two")]
TIES: Final = [
    ("skip", "are left out"),
    ("unsure", "become negligibly better, for a side drawn by lot"),
]
TABLES: Final = [
    ("none", "no grade at all"),
    ("small", "the small table: 1, 2/3, 1/3"),
    ("large", "the large table: 3, 2, 1"),
]
NOTHING: Final = ("", "—")
FREE_NAMES: Final = (
    ("prompt", "Prompt", "Text, or a list of messages.", False),
    ("response_a", "First response", "", False),
    ("response_b", "Second response", "", False),
    ("policy_a", "Model behind the first", "If a field names it.", True),
    ("policy_b", "Model behind the second", "", True),
)
QUESTIONS: Final = (
    ("choice", "Which is better", "The question that says so."),
    (
        "rating_a",
        "Or: rating of the first",
        "Where each response has a rating of its own, the higher is chosen.",
    ),
    ("rating_b", "And of the second", ""),
    ("grade", "How much better", "If a question says so; may be the first one too."),
    ("comment", "Comment", "If people wrote why."),
)


def shape_of(form: str) -> type[FocusMapping] | None:
    return (PROMPT_SETS.get(form) or FORMATS[form]).shape


class UploadForm(forms.Form):
    file = forms.FileField()
    form = forms.ChoiceField(
        choices=[GUESS, ("Judgments", JUDGMENT_FORMATS), ("Prompts", PROMPT_FORMATS)],
        required=False,
        label="Format",
    )

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        most = filesizeformat(settings.IMPORT_LIMIT)
        self.fields["file"].help_text = (
            f"JSON lines, a JSON array or Parquet; the first two may be packed with gzip. Up to {most}, also after "
            "unpacking."
        )


class ReadForm(forms.Form):
    """How a file is to be read. What it asks for depends on the format, and on the names in the first rows."""

    def __init__(
        self,
        *arguments: Any,
        form: str,
        mapping: FocusMapping | None,
        seen: Seen | None,
        batches: Iterable[Batch],
        **options: Any,
    ) -> None:
        super().__init__(*arguments, **{**options, "label_suffix": ""})
        self.form, self.seen = form, seen or Seen()
        self.shape = shape_of(form)
        self.fields["form"] = forms.ChoiceField(
            choices=[("Judgments", JUDGMENT_FORMATS), ("Prompts", PROMPT_FORMATS)],
            label="Format",
            initial=form,
        )
        if self.shape is not None:
            focus = mapping.focus if mapping else Focus.HELPFULNESS
            self._add("focus", choices_of(Focus), "Judged for", "No row says it.", initial=focus)
        if self.shape is MarginMapping:
            table = mapping.margin_table if isinstance(mapping, MarginMapping) else "none"
            hint = "Only a number of the table becomes a grade. 0 never does: it is that of no strength too."
            self._add("margin_table", TABLES, "Margins mean", hint, initial=table)
        if self.shape is FieldMapping:
            self._add_names(mapping if isinstance(mapping, FieldMapping) else None)
        if form in FORMATS:
            self._add("ties", TIES, "Votes for neither")
            into = _batch_choices(batches)
            self._add("batch", into, "Into", initial=into[0][0])
        self.is_unseen = self._fill()

    def _fill(self) -> bool:
        """Whether there are answers that the page did not show, since another question was chosen on it; they get what
        they seem to mean."""
        names = [name for name in self.fields if name.startswith(("choice-", "grade-"))]
        missing = [name for name in names if self.is_bound and name not in self.data]
        if missing:
            self.data = {
                **dict(self.data.items()),
                **{name: self.fields[name].initial or "" for name in missing},
            }
        return bool(missing)

    def _add(
        self,
        name: str,
        choices: Sequence[Any],
        label: str,
        hint: str = "",
        *,
        initial: Any = None,
        required: bool = True,
    ) -> None:
        self.fields[name] = forms.ChoiceField(
            choices=choices, label=label, help_text=hint, initial=initial, required=required
        )

    def _add_names(self, mapping: FieldMapping | None) -> None:
        names = [(name, name) for name in self.seen.fields]
        for name, label, hint, optional in FREE_NAMES:
            choices = [NOTHING, *names]
            known = getattr(mapping, name, "")
            self._add(name, choices, label, hint, initial=known, required=not optional)
        questions = [(name, name) for name in self.seen.answers]
        for name, label, hint in QUESTIONS:
            self._add(
                name, [NOTHING, *questions], label, hint, initial=getattr(mapping, name, ""), required=False
            )
        self._add_answers("choice", self._said("choice", mapping), mapping)
        self._add_answers("grade", self._said("grade", mapping), mapping)

    def _said(self, name: str, mapping: FieldMapping | None) -> str:
        """The question chosen on the page, else the one in the mapping."""
        said = self.data.get(name) if self.is_bound else getattr(mapping, name, "")
        return said if said in self.seen.answers else ""

    def _add_answers(self, role: str, question: str, mapping: FieldMapping | None) -> None:
        """A field for what each answer to a question means, under a name that no other question's has."""
        for name, value in self._answers(role, question):
            if role == "choice":
                known = mapping.values.get(value) if mapping and mapping.choice == question else None
                pair = (mapping.response_a, mapping.response_b) if mapping else ("", "")
                choices = ITEMS if question in self.seen.rankings else SIDES
                label = f"“{value}” is" if question in self.seen.rankings else f"“{value}” means"
                self._add(name, choices, label, initial=known or side_of(value, pair))
            else:
                grade = (
                    mapping.grades.get(value) if mapping and mapping.grade == question else grade_of(value)
                )
                self._add(
                    name,
                    [("", "no grade"), *choices_of(Grade)],
                    f"“{value}” means",
                    initial=grade,
                    required=False,
                )

    def _answers(self, role: str, question: str) -> list[tuple[str, str]]:
        if not question:
            return []
        place = list(self.seen.answers).index(question)
        return [(f"{role}-{place}-{n}", value) for n, value in enumerate(self.seen.answers[question])]

    def groups(self) -> list[tuple[str, list[forms.BoundField]]]:
        """The fields as the page shows them: title and fields."""
        named = {
            "": ["form", "focus", "margin_table", "ties", "batch"],
            "Fields of the file": [name for name, *_ in FREE_NAMES],
            "Questions": [name for name, *_ in QUESTIONS],
            "Answers to which is better": [name for name in self.fields if name.startswith("choice-")],
            "Answers to how much better": [name for name in self.fields if name.startswith("grade-")],
        }
        shown = [
            (title, [self[name] for name in names if name in self.fields]) for title, names in named.items()
        ]
        return [(title, fields) for title, fields in shown if fields]

    def clean(self) -> dict[str, Any]:
        given = self.cleaned_data
        if self.shape is not None and not self.errors:
            try:
                given["mapping"] = self._mapping(given)
            except MappingError as error:
                reasons = [str(one["msg"]).removeprefix("Value error, ") for one in error.errors()]
                raise ValidationError([f"{reason[:1].upper()}{reason[1:]}." for reason in reasons]) from error
        return given

    def _mapping(self, given: dict[str, Any]) -> FocusMapping:
        if self.shape is MarginMapping:
            return MarginMapping(focus=Focus(given["focus"]), margin_table=given["margin_table"])
        if self.shape is not FieldMapping:
            return FocusMapping(focus=Focus(given["focus"]))
        names = [name for name, *_ in (*FREE_NAMES, *QUESTIONS)]
        choices = self._answers("choice", given["choice"])
        grades = self._answers("grade", given["grade"])
        return FieldMapping(
            focus=Focus(given["focus"]),
            **{name: given[name] for name in names},
            values={value: Side(given[name]) for name, value in choices},
            grades={value: Grade(given[name]) if given[name] else "" for name, value in grades},
        )

    def mapping(self) -> FocusMapping | None:
        return self.cleaned_data.get("mapping")

    def ties(self) -> TiePolicy:
        return cast("TiePolicy", self.cleaned_data.get("ties", "skip"))


def _batch_choices(batches: Iterable[Batch]) -> list[tuple[str, str]]:
    """The open week first; where none is open, a new one."""
    known = [(str(batch.number), f"{batch.name} ({batch.state})", batch.state) for batch in batches]
    opened = [(number, name) for number, name, state in known if state == BatchState.OPEN]
    others = [(number, name) for number, name, state in known if state != BatchState.OPEN]
    return [*opened, (NEW, "a new batch"), *others]
