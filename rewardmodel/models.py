"""Versions of reward models: what was trained, on what, and how well it judges; and what they say of pairs."""

from __future__ import annotations

from django.db import models

from annotation.core.grades import Focus
from annotation.models import Batch, Comparison, Snapshot
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


class PairScore(models.Model):
    """What one reward model gives the two responses of a comparison: raw rewards, before the sigmoid.

    The index holds a week's pairs for one model, the one that it is surest of first.
    """

    # The constraint's index serves the comparison, the other one the batch.
    comparison = models.ForeignKey(
        Comparison, on_delete=models.CASCADE, related_name="scores", db_index=False
    )
    version = models.ForeignKey(RewardModelVersion, on_delete=models.CASCADE, related_name="scores")
    batch = models.ForeignKey(
        Batch,
        on_delete=models.CASCADE,
        related_name="+",
        db_index=False,
        help_text="The comparison's, for the index.",
    )
    reward_a = models.FloatField()
    reward_b = models.FloatField()
    apart = models.FloatField(help_text="How far apart the two rewards are: how sure the model is.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [models.Index(fields=["batch", "version", "-apart", "id"], name="score_surest_first")]
        constraints = [models.UniqueConstraint(fields=["comparison", "version"], name="score_once")]

    def __str__(self) -> str:
        return f"{self.comparison_id} by {self.version_id}"
