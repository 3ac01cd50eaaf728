"""Versions of the model that answers, and the turns of the loop that make them."""

from __future__ import annotations

from django.db import models

from annotation.models import Batch, Snapshot
from annotation.models.fields import one_of, word_field
from rewardmodel.models import RewardModelVersion
from training.core.states import IterationState


class PolicyVersion(models.Model):
    """One version of the model that answers: weights, tokenizer, template, adapter, endpoint."""

    name = models.CharField(max_length=100, unique=True)
    parent = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="children"
    )
    path = models.CharField(max_length=500, help_text="Folder below MARGIN_HOME.")
    adapter_on = models.ForeignKey(
        "self",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="adapters",
        help_text="The version whose weights this adapter changes; empty: the folder holds whole weights.",
    )
    sha256 = models.CharField(max_length=64, help_text="Of its manifest.")
    endpoint = models.URLField(blank=True, help_text="OpenAI-compatible server that answers for it, if any.")
    endpoint_model = models.CharField(
        max_length=500, blank=True, help_text="Its name on that server; empty: the folder's absolute path."
    )
    run = models.CharField(max_length=36, unique=True, help_text="Uid of the run that made it.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at", "-pk"]

    def __str__(self) -> str:
        return self.name


class Iteration(models.Model):
    """One turn of the loop: V1, V2, …. Each stage fills a column and moves the state."""

    number = models.PositiveIntegerField(unique=True)
    state = word_field(IterationState, default=IterationState.COLLECTING)
    batch = models.OneToOneField(Batch, on_delete=models.PROTECT, related_name="iteration")
    policy = models.ForeignKey(
        PolicyVersion,
        on_delete=models.PROTECT,
        related_name="+",
        help_text="The newest policy when the week began.",
    )
    base = models.ForeignKey(
        PolicyVersion,
        on_delete=models.PROTECT,
        related_name="+",
        help_text="Where fine-tuning starts (section 3.2.3).",
    )
    snapshot = models.ForeignKey(
        Snapshot, on_delete=models.PROTECT, null=True, blank=True, related_name="iterations"
    )
    helpfulness = models.ForeignKey(
        RewardModelVersion, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    safety = models.ForeignKey(
        RewardModelVersion, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    tuned = models.OneToOneField(
        PolicyVersion, on_delete=models.PROTECT, null=True, blank=True, related_name="iteration"
    )
    next_batch = models.OneToOneField(
        Batch, on_delete=models.PROTECT, null=True, blank=True, related_name="iteration_before"
    )
    seed = models.PositiveIntegerField(default=0)
    params = models.JSONField(default=dict, blank=True, help_text="Parameters by kind of run.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-number"]
        constraints = [one_of("state", IterationState, "iteration_state_is_legal")]

    def __str__(self) -> str:
        return f"V{self.number}"
