"""Reward models: what each was trained on, how well it judges, whether it is current and whether it answers at once."""

from __future__ import annotations

from typing import Any

from annotation.api.kit import filters
from annotation.api.kit.views import Collection, Item
from annotation.core.grades import Focus
from annotation.core.scopes import Scope
from annotation.errors import NotFoundError
from rewardmodel.access import reward_models_for
from rewardmodel.api.shown import EXAMPLE, RewardModelSerializer
from rewardmodel.core.spec import Recipe
from rewardmodel.models import RewardModelVersion, RewardModelVersionQuerySet
from rewardmodel.queries import as_shown


class RewardModels(Collection):
    """Reward models, the newest first."""

    name = "reward_models"
    reads = Scope.MODELS_READ
    serializer_class = RewardModelSerializer
    example = EXAMPLE
    filters = {
        "name": filters.text("name", "Exactly this name."),
        "focus": filters.word("focus", Focus, "What it judges."),
        "recipe": filters.word("recipe", Recipe, "How much of the backbone learnt."),
        "snapshot": filters.number("snapshot", "Trained on the snapshot with this id."),
        "current": filters.flag("current", "Whether it is the current one of its focus."),
        "since": filters.since("created_at", "Trained at this time or later."),
    }

    def rows(self) -> RewardModelVersionQuerySet:
        return as_shown(reward_models_for(self.person))


class RewardModel(Item):
    """One reward model."""

    name = "reward_models"
    reads = Scope.MODELS_READ
    serializer_class = RewardModelSerializer
    example = EXAMPLE

    def row(self, **kwargs: Any) -> RewardModelVersion:
        version = as_shown(reward_models_for(self.person)).filter(pk=kwargs["pk"]).first()
        if version is None:
            raise NotFoundError("There is no such reward model. GET reward-models lists them.")
        return version
