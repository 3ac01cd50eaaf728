"""Versions of the model that answers, and the turns of the loop that make them."""

from __future__ import annotations

from django.db import models

from annotation.models import Batch, Snapshot
from annotation.models.fields import one_of, word_field
from rewardmodel.models import RewardModelVersion
from training.core.recipe import StepKind
from training.core.states import IterationState, StepState


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
    iteration = models.ForeignKey(
        "Iteration",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="policies",
        help_text="The iteration whose step made it.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at", "-pk"]

    def __str__(self) -> str:
        return self.name


class Iteration(models.Model):
    """One turn of the loop: V1, V2, …. Its steps say what is done; `state` is the stage that they have reached.

    `turn` counts its changes: who pressed a button on a page that is older than the last change is told so.
    """

    number = models.PositiveIntegerField(unique=True)
    state = word_field(IterationState, default=IterationState.COLLECTING)
    batch = models.ForeignKey(
        Batch, on_delete=models.PROTECT, related_name="iterations", related_query_name="iteration"
    )
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
    tuned = models.ForeignKey(
        PolicyVersion,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="tuned_by",
        help_text="Its new policy: what its last step that makes one made.",
    )
    next_batch = models.ForeignKey(
        Batch, on_delete=models.PROTECT, null=True, blank=True, related_name="iterations_before"
    )
    seed = models.PositiveIntegerField(default=0)
    params = models.JSONField(default=dict, blank=True, help_text="Parameters by kind of run.")
    recipe = models.JSONField(default=dict, blank=True, help_text="Its steps (training.core.recipe).")
    automatic = models.BooleanField(default=False, help_text="The next step starts when one has ended well.")
    paused_at = models.DateTimeField(null=True, blank=True, help_text="Since then nothing new starts.")
    stuck = models.TextField(blank=True, help_text="Why the next step could not start by itself.")
    turn = models.PositiveIntegerField(default=0, help_text="Counts its changes.")
    source = models.ForeignKey(
        "self",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="forks",
        help_text="The iteration that it was forked from.",
    )
    source_step = models.CharField(max_length=60, blank=True, help_text="The first step that it does itself.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-number"]
        constraints = [
            one_of("state", IterationState, "iteration_state_is_legal"),
            models.UniqueConstraint(
                fields=["batch"], condition=models.Q(source=None), name="iteration_one_a_batch_but_forks"
            ),
        ]

    def __str__(self) -> str:
        return f"V{self.number}"


class IterationStep(models.Model):
    """One step of an iteration, and what did it.

    `digest` names what it computes: a step with the digest of one that is done takes over its run.
    """

    iteration = models.ForeignKey(Iteration, on_delete=models.CASCADE, related_name="steps")
    position = models.PositiveSmallIntegerField()
    name = models.CharField(max_length=60)
    kind = word_field(StepKind)
    state = word_field(StepState, default=StepState.WAITING)
    params = models.JSONField(default=dict, blank=True, help_text="Where they are not the usual.")
    reads = models.JSONField(
        default=dict, blank=True, help_text="Policy, targets and the steps it waits for."
    )
    seed = models.PositiveIntegerField(null=True, blank=True, help_text="Empty: the iteration's.")
    run = models.ForeignKey(
        "training.Run", on_delete=models.PROTECT, null=True, blank=True, related_name="steps"
    )
    digest = models.CharField(max_length=64, blank=True, db_index=True)
    reused = models.BooleanField(default=False, help_text="Done by work that was there already.")
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["iteration_id", "position"]
        constraints = [
            models.UniqueConstraint(fields=["iteration", "position"], name="iteration_step_in_order"),
            models.UniqueConstraint(fields=["iteration", "name"], name="iteration_step_named_once"),
            one_of("kind", StepKind, "iteration_step_kind_is_legal"),
            one_of("state", StepState, "iteration_step_state_is_legal"),
            models.CheckConstraint(
                condition=~models.Q(state=StepState.STARTED) | models.Q(run__isnull=False),
                name="iteration_step_started_has_its_run",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.iteration} {self.name}"

    @property
    def after(self) -> list[str]:
        """Names of the steps that have to be done before it."""
        names: list[str] = self.reads.get("after", [])
        return names
