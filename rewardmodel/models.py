"""Versions of reward models: what was trained, on what, and how well it judges; which of them is current, and what that
rests on; what they say of pairs; and the processes that hold one and answer at once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final, NoReturn, Self

from django.conf import settings
from django.db import models
from django.db.models import BooleanField, Case, OuterRef, Subquery, Value, When
from django.utils import timezone

from annotation.core.grades import Focus
from annotation.models import Batch, Comparison, Snapshot
from annotation.models.fields import one_of, word_field
from rewardmodel.core.promotion import How
from rewardmodel.core.spec import Recipe

SCORER_BEAT: Final = 2.0  # seconds between two signs of life of a resident scorer


class RewardModelVersionQuerySet(models.QuerySet["RewardModelVersion"]):
    def with_current(self) -> Self:
        """Versions that know as `current` whether they are their focus's current one."""
        newest = Promotion.objects.filter(focus=OuterRef("focus")).order_by("-number").values("version")[:1]
        return self.annotate(
            current=Case(
                When(pk=Subquery(newest), then=Value(True)), default=Value(False), output_field=BooleanField()
            )
        )

    def current_first(self) -> Self:
        """The current one, then the newest: the order in which one is offered where somebody chooses."""
        return self.with_current().order_by("-current", "-created_at", "-pk")


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

    objects = RewardModelVersionQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-pk"]
        constraints = [
            one_of("focus", Focus, "reward_model_focus_is_legal"),
            one_of("recipe", Recipe, "reward_model_recipe_is_legal"),
        ]

    def __str__(self) -> str:
        return self.name


class PromotionQuerySet(models.QuerySet["Promotion"]):
    """Reads and adds; changing and deleting are refused."""

    def update(self, **columns: Any) -> NoReturn:
        raise TypeError("Promotions are append-only: a roll-back is a further row.")

    def delete(self) -> NoReturn:
        raise TypeError("Promotions are append-only: a roll-back is a further row.")


class Promotion(models.Model):
    """A version became the current one of its focus. The row with the highest number of a focus names the current one.

    Two promotions at once want the same number, which the database gives once: one of them wins, the other one is told.
    """

    version = models.ForeignKey(RewardModelVersion, on_delete=models.PROTECT, related_name="promotions")
    focus = word_field(Focus)
    number = models.PositiveIntegerField(help_text="Within its focus, counted from 1.")
    previous = models.ForeignKey(
        RewardModelVersion,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        help_text="What was current before.",
    )
    how = word_field(How)
    reason = models.TextField(blank=True, help_text="Why, in the words of whoever did it.")
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    evidence = models.JSONField(default=dict, help_text="The comparison with `previous` as it was then.")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = PromotionQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(fields=["focus", "number"], name="promotion_number_once"),
            one_of("focus", Focus, "promotion_focus_is_legal"),
            one_of("how", How, "promotion_how_is_legal"),
            models.CheckConstraint(
                condition=~models.Q(how=How.OVERRIDE.value) | ~models.Q(reason=""),
                name="promotion_override_has_a_reason",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.focus} {self.number}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if self.pk is not None:
            raise TypeError("Promotions are append-only: a roll-back is a further row.")
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError("Promotions are append-only: a roll-back is a further row.")


class RewardModelComparison(models.Model):
    """Two versions of one focus on the same test pairs, by a run of its own: figures of rewardmodel.core.promotion."""

    version = models.ForeignKey(RewardModelVersion, on_delete=models.PROTECT, related_name="comparisons")
    against = models.ForeignKey(RewardModelVersion, on_delete=models.PROTECT, related_name="+")
    snapshot = models.ForeignKey(Snapshot, on_delete=models.PROTECT, related_name="+")
    run = models.CharField(max_length=36, unique=True, help_text="Uid of the run that compared them.")
    figures = models.JSONField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"{self.version_id} against {self.against_id}"


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


class ResidentScorerQuerySet(models.QuerySet["ResidentScorer"]):
    def alive(self) -> Self:
        """Heard of lately enough to be asked."""
        return self.filter(seen_at__gte=timezone.now() - timedelta(seconds=4 * SCORER_BEAT))


class ResidentScorer(models.Model):
    """A process that holds a reward model and answers at its address. It says again and again that it lives; one that
    stopped without a word is not asked once it has been silent for a while."""

    version = models.ForeignKey(RewardModelVersion, on_delete=models.CASCADE, related_name="scorers")
    address = models.CharField(
        max_length=200, unique=True, help_text="Where web processes reach it: http://host:port."
    )
    key = models.CharField(max_length=64, help_text="What it wants to be shown; new at each start.")
    seen_at = models.DateTimeField()
    started_at = models.DateTimeField(auto_now_add=True)

    objects = ResidentScorerQuerySet.as_manager()

    def __str__(self) -> str:
        return f"{self.version_id} at {self.address}"
