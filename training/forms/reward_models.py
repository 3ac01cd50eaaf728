"""Forms of the runs that train and use reward models."""

from __future__ import annotations

from typing import Any

from django.utils.text import slugify

from annotation.core.grades import Focus
from annotation.models import User
from training import overview
from training.core.spec import RunKind
from training.forms.base import StartForm
from training.forms.fields import NO_POLICY, NO_REWARD_MODEL, NO_SNAPSHOT, RowField, name_field, seed_field
from training.models import Run
from training.services import start


class TrainRewardModelForm(StartForm):
    kind = RunKind.TRAIN_REWARD_MODEL
    name = name_field()
    snapshot = RowField(overview.snapshots(), none=NO_SNAPSHOT, help_text="What it learns from.")
    backbone = RowField(
        overview.whole_policies(), none=NO_POLICY, help_text="The policy it is initialised from."
    )
    seed = seed_field()

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
