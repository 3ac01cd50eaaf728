"""One form a kind of run, made from its typed parameters: the same names, limits and explanations everywhere.

Knows pydantic's fields and the doors in services.start. What a parameter means stands in the specs.
"""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType
from typing import Any, ClassVar, Final, Literal, get_args, get_origin

import annotated_types
from django import forms
from django.db.models import Model, QuerySet
from django.utils.text import slugify
from pydantic.fields import FieldInfo

from annotation.core.grades import Focus
from annotation.models import User
from training import overview
from training.core.spec import SPECS, RunKind
from training.models import Run
from training.services import start


class NumbersField(forms.CharField):
    """Numbers separated by commas."""

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(f"{x:g}" for x in value) if isinstance(value, list | tuple) else value

    def to_python(self, value: Any) -> Any:
        text = super().to_python(value) or ""
        try:
            return [float(part) for part in text.split(",") if part.strip()]
        except ValueError:
            raise forms.ValidationError("Write numbers separated by commas, such as 0.7, 1.0.") from None


def field_of(name: str, info: FieldInfo) -> forms.Field:
    """The form field for a parameter. Pydantic has the last word on its value."""
    given: dict[str, Any] = {
        "label": name.replace("_", " ").capitalize(),
        "help_text": info.description or "",
        "initial": None if info.is_required() else info.default,
        "required": info.annotation is not bool,
    }
    kind: Any = info.annotation
    if words := _words(kind):
        return forms.ChoiceField(choices=[(word, word) for word in words], **given)
    if get_origin(kind) is tuple:
        return NumbersField(**given)
    if kind is bool:
        return forms.BooleanField(**given)
    if kind is int:
        return forms.IntegerField(**given, **_limits(info))
    if kind is float:
        widget = forms.NumberInput(attrs={"step": "any", "inputmode": "decimal"})
        return forms.FloatField(widget=widget, **given, **_limits(info))
    return forms.CharField(**given)


def _words(kind: Any) -> list[str]:
    """The closed set of words that a parameter takes; empty: it takes others."""
    if get_origin(kind) is Literal:
        return list(get_args(kind))
    return [word.value for word in kind] if isinstance(kind, type) and issubclass(kind, StrEnum) else []


def _limits(info: FieldInfo) -> dict[str, Any]:
    """Limits that include their ends; pydantic alone checks those that do not."""
    limits: dict[str, Any] = {}
    for rule in info.metadata:
        if isinstance(rule, annotated_types.Ge):
            limits["min_value"] = rule.ge
        elif isinstance(rule, annotated_types.Le):
            limits["max_value"] = rule.le
    return limits


class RowField(forms.ModelChoiceField[Any]):
    """One of some rows, the first of which is chosen at first; without any it says what would bring one."""

    def __init__(self, rows: QuerySet[Any], *, none: str, **options: Any) -> None:
        self.none = none
        super().__init__(rows, empty_label=None if options.get("required", True) else "—", **options)

    def label_from_instance(self, obj: Model) -> str:
        if isinstance(obj, Run):
            of = f" of {obj.iteration}" if obj.iteration else ""
            return f"run {obj.pk}{of}, {obj.result.get('prompts', 0):,} prompts"
        return f"{obj} (current)" if getattr(obj, "current", False) else str(obj)


def _seed() -> forms.IntegerField:
    return forms.IntegerField(
        min_value=0, max_value=2**31 - 1, initial=0, help_text="The same seed gives the same result."
    )


def _name() -> forms.CharField:
    return forms.CharField(max_length=100, required=False, help_text="Empty: the name that is suggested.")


NO_POLICY: Final = "There is no policy yet. Import one first."
NO_SNAPSHOT: Final = "There is no snapshot yet. Seal a batch and write one."
NO_REWARD_MODEL: Final = "There is no reward model yet. Train one first."


class StartForm(forms.Form):
    """What every kind's form does: own inputs first, then the parameters of its spec."""

    kind: ClassVar[RunKind]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.own = list(self.fields)
        for name, info in SPECS[self.kind].model_fields.items():
            self.fields[name] = field_of(name, info)
        if "name" in self.fields:
            self.fields["name"].widget.attrs["placeholder"] = self.suggestion()

    @classmethod
    def initial_from(cls, run: Run) -> dict[str, Any]:
        """What a run was given; its name where that is free again."""
        name = run.inputs.get("name", "") if overview.is_waited_for(run) else ""
        return {**run.inputs, **run.params, "seed": run.seed, "name": name}

    def missing(self) -> list[str]:
        """What must be there before this kind of run can be started."""
        rows = [field for field in self.fields.values() if isinstance(field, RowField) and field.required]
        wanted = [field.none for field in rows if not field.queryset or not field.queryset.exists()]
        return list(dict.fromkeys(wanted))

    def suggestion(self) -> str:
        """A name that is free."""
        return ""

    def params(self) -> dict[str, Any]:
        return {name: self.cleaned_data[name] for name in SPECS[self.kind].model_fields}

    def chosen_name(self) -> str:
        return str(self.cleaned_data["name"] or self.suggestion())

    def start(self, by: User) -> Run:
        raise NotImplementedError


class ImportPolicyForm(StartForm):
    kind = RunKind.IMPORT_POLICY
    name = _name()

    def suggestion(self) -> str:
        return overview.free_name("V0", self.kind)

    def start(self, by: User) -> Run:
        return start.start_import_policy(name=self.chosen_name(), params=self.params(), by=by)


class SampleForm(StartForm):
    kind = RunKind.SAMPLE
    batch = RowField(
        overview.batches_that_take_pairs(),
        none="There is no batch that takes pairs. Plan one first.",
        help_text="Where the pairs wait for annotators.",
    )
    newest = RowField(overview.policies(), none=NO_POLICY, label="Policy", help_text="Answers one side.")
    previous = RowField(
        overview.policies(),
        none=NO_POLICY,
        required=False,
        label="Other policy",
        help_text="Answers the other side; empty: the same policy answers both.",
    )
    seed = _seed()

    @classmethod
    def initial_from(cls, run: Run) -> dict[str, Any]:
        newest, *others = run.inputs["policies"]
        return {**super().initial_from(run), "newest": newest, "previous": others[-1] if others else None}

    def start(self, by: User) -> Run:
        data = self.cleaned_data
        return start.start_sample(
            batch=data["batch"],
            policies=[policy for policy in (data["newest"], data["previous"]) if policy is not None],
            params=self.params(),
            seed=data["seed"],
            by=by,
        )


class TrainRewardModelForm(StartForm):
    kind = RunKind.TRAIN_REWARD_MODEL
    name = _name()
    snapshot = RowField(overview.snapshots(), none=NO_SNAPSHOT, help_text="What it learns from.")
    backbone = RowField(
        overview.whole_policies(), none=NO_POLICY, help_text="The policy it is initialised from."
    )
    seed = _seed()

    def suggestion(self) -> str:
        if not self.is_bound or not hasattr(self, "cleaned_data"):
            return "by focus and snapshot"
        snapshot = self.cleaned_data["snapshot"]
        stem = f"{self.cleaned_data['focus']}-{slugify(snapshot.name)[:60]}"
        return overview.free_name(stem, self.kind)

    def start(self, by: User) -> Run:
        return start.start_train_reward_model(
            name=self.chosen_name(),
            snapshot=self.cleaned_data["snapshot"],
            backbone=self.cleaned_data["backbone"],
            params=self.params(),
            seed=self.cleaned_data["seed"],
            by=by,
        )


class ScorePairsForm(StartForm):
    kind = RunKind.SCORE_PAIRS
    batch = RowField(
        overview.batches(),
        none="There is no batch yet. Plan one first.",
        help_text="Whose pairs are scored; a sealed one for the review of people against the models.",
    )
    helpfulness = RowField(
        overview.reward_models(Focus.HELPFULNESS),
        none="",
        required=False,
        initial=overview.reward_models(Focus.HELPFULNESS).first,
        help_text="Alone it scores the helpfulness pairs; with a safety model both score all pairs.",
    )
    safety = RowField(
        overview.reward_models(Focus.SAFETY),
        none="",
        required=False,
        initial=overview.reward_models(Focus.SAFETY).first,
        help_text="Alone it scores the safety pairs.",
    )

    @classmethod
    def initial_from(cls, run: Run) -> dict[str, Any]:
        return {**dict.fromkeys(Focus), **super().initial_from(run)}

    def missing(self) -> list[str]:
        nothing = [] if overview.has_reward_model() else [NO_REWARD_MODEL]
        return [*super().missing(), *nothing]

    def start(self, by: User) -> Run:
        data = self.cleaned_data
        return start.start_score_pairs(
            batch=data["batch"],
            helpfulness=data["helpfulness"],
            safety=data["safety"],
            params=self.params(),
            by=by,
        )


class CompareRewardModelsForm(StartForm):
    kind = RunKind.COMPARE_REWARD_MODELS
    reward_model = RowField(
        overview.every_reward_model(),
        none=NO_REWARD_MODEL,
        help_text="What may take the place of the other one.",
    )
    against = RowField(
        overview.every_reward_model(),
        none="",
        required=False,
        help_text="Of the same focus. Without one: the current one.",
    )
    snapshot = RowField(
        overview.snapshots_by_weeks(),
        none=NO_SNAPSHOT,
        help_text="On its test pairs of that focus. The rule wants all weeks.",
    )

    def start(self, by: User) -> Run:
        data = self.cleaned_data
        return start.start_compare_reward_models(
            version=data["reward_model"],
            against=data["against"],
            snapshot=data["snapshot"],
            params=self.params(),
            by=by,
        )


class RejectionSampleForm(StartForm):
    kind = RunKind.REJECTION_SAMPLE
    policy = RowField(overview.policies(), none=NO_POLICY, help_text="Draws the samples.")
    helpfulness = RowField(
        overview.reward_models(Focus.HELPFULNESS),
        none="There is no helpfulness reward model yet. Train one first.",
        help_text="Scores how helpful each sample is.",
    )
    safety = RowField(
        overview.reward_models(Focus.SAFETY),
        none="There is no safety reward model yet. Train one first.",
        help_text="Scores how safe each sample is.",
    )
    seed = _seed()

    def start(self, by: User) -> Run:
        data = self.cleaned_data
        return start.start_rejection_sample(
            policy=data["policy"],
            helpfulness=data["helpfulness"],
            safety=data["safety"],
            params=self.params(),
            seed=data["seed"],
            by=by,
        )


class FinetuneForm(StartForm):
    kind = RunKind.FINETUNE
    name = _name()
    base = RowField(overview.whole_policies(), none=NO_POLICY, help_text="Where it starts (section 3.2.3).")
    selection = RowField(
        overview.selections(),
        none="There are no winners yet. Sample and select first.",
        help_text="The run whose winners it learns from.",
    )
    seed = _seed()

    @classmethod
    def initial_from(cls, run: Run) -> dict[str, Any]:
        return {**super().initial_from(run), "selection": run.inputs["selections"][-1]}

    def suggestion(self) -> str:
        return overview.free_name("tuned", self.kind)

    def start(self, by: User) -> Run:
        return start.start_finetune(
            name=self.chosen_name(),
            base=self.cleaned_data["base"],
            selection=self.cleaned_data["selection"],
            params=self.params(),
            seed=self.cleaned_data["seed"],
            by=by,
        )


# What a person starts from a form; responses to score come through the API.
FORMS: Final = MappingProxyType(
    {
        form.kind: form
        for form in (
            ImportPolicyForm,
            SampleForm,
            TrainRewardModelForm,
            CompareRewardModelsForm,
            ScorePairsForm,
            RejectionSampleForm,
            FinetuneForm,
        )
    }
)

TITLES: Final = MappingProxyType(
    {
        RunKind.IMPORT_POLICY: "Import a policy",
        RunKind.SAMPLE: "Sample pairs",
        RunKind.TRAIN_REWARD_MODEL: "Train a reward model",
        RunKind.COMPARE_REWARD_MODELS: "Compare reward models",
        RunKind.SCORE_PAIRS: "Score pairs",
        RunKind.REJECTION_SAMPLE: "Sample and select",
        RunKind.FINETUNE: "Fine-tune a policy",
    }
)
