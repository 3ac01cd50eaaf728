"""Versions of reward models: what was trained, on what, and how well it judges."""

from __future__ import annotations

from django.db import models

from annotation.core.grades import Focus
from annotation.models import Snapshot
from annotation.models.fields import one_of, word_field
from rewardmodel.core.spec import Recipe


class RewardModelVersion(models.Model):
    """One trained reward model. Its files never change; a better one is a further version."""

    name = models.CharField(max_length=100, unique=True)
    focus = word_field(Focus)
    recipe = word_field(Recipe)
    snapshot = models.ForeignKey(Snapshot, on_delete=models.PROTECT, related_name="reward_models")
    backbone = models.CharField(
        max_length=100, help_text="Name of the policy version it was initialised from."
    )
    path = models.CharField(max_length=500, help_text="Folder below MARGIN_HOME.")
    sha256 = models.CharField(max_length=64, help_text="Of its manifest.")
    metrics = models.JSONField(default=dict)
    run = models.CharField(max_length=36, unique=True, help_text="Uid of the run that trained it.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at", "-pk"]
        constraints = [
            one_of("focus", Focus, "reward_model_focus_is_legal"),
            one_of("recipe", Recipe, "reward_model_recipe_is_legal"),
        ]

    def __str__(self) -> str:
        return self.name
