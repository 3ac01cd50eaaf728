"""What is answered and what answers: prompts, dialogues, responses."""

from __future__ import annotations

from django.db import models

from annotation.core.categories import AttackStyle, RiskCategory
from annotation.core.grades import Focus
from annotation.models.fields import one_of, word_field


def key_field() -> models.CharField[str, str]:
    """The content key of a row (annotation.core.records.content_key)."""
    return models.CharField(max_length=32, unique=True, editable=False)


class Prompt(models.Model):
    """The first user turn of dialogues. Its split is drawn once and holds for every batch, so that no prompt
    ever stands on both sides of the hold-out (section 3.2.2).

    Near-duplicates share a `cluster` and with it the split. One that came later and resembles prompts of both
    sides belongs to neither.
    """

    class Split(models.TextChoices):
        UNDRAWN = "", "not drawn"
        TRAIN = "train"
        TEST = "test"
        NEITHER = "neither"

    key = key_field()
    text = models.TextField()
    focus = word_field(Focus)
    source = models.CharField(max_length=200, blank=True)
    category = models.CharField(max_length=100, blank=True, help_text="Topic.")
    risk = word_field(RiskCategory, blank=True, help_text="Risk category of an adversarial prompt.")
    attack = word_field(AttackStyle, blank=True, help_text="Attack style of an adversarial prompt.")
    turns = models.PositiveSmallIntegerField(
        default=1, help_text="User turns that its dialogues are meant to have."
    )
    difficulty = models.FloatField(
        null=True, blank=True, help_text="0 the easiest to 1 the hardest; empty: not estimated."
    )
    difficulty_from = models.JSONField(
        default=dict, blank=True, help_text="What the estimate rests on: reward model, mean and best of K."
    )
    cluster = models.ForeignKey(
        "self",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="near",
        help_text="The oldest of its near-duplicates; empty: it has none, or is that one.",
    )
    language = models.CharField(max_length=16, blank=True)
    licence = models.CharField(max_length=100, blank=True)
    in_pool = models.BooleanField(
        default=False, help_text="May be drawn for new dialogues and rejection sampling."
    )
    split = models.CharField(max_length=8, choices=Split.choices, default=Split.UNDRAWN, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [models.Index(fields=["in_pool", "focus", "key"], name="prompt_pool")]
        constraints = [
            one_of("focus", Focus, "prompt_focus_is_legal"),
            one_of("risk", RiskCategory, "prompt_risk_is_legal", blank=True),
            one_of("attack", AttackStyle, "prompt_attack_is_legal", blank=True),
            one_of("split", ("train", "test", "neither"), "prompt_split_is_legal", blank=True),
        ]

    def __str__(self) -> str:
        return self.text[:80]


class PromptBand(models.Model):
    """One band of a prompt's MinHash: prompts that share one are candidates for near-duplicates."""

    prompt = models.ForeignKey(Prompt, on_delete=models.CASCADE, related_name="bands", db_index=False)
    band = models.PositiveSmallIntegerField()
    digest = models.BigIntegerField()

    class Meta:
        indexes = [models.Index(fields=["digest", "band"], name="prompt_band_lookup")]
        constraints = [models.UniqueConstraint(fields=["prompt", "band"], name="prompt_band_once")]

    def __str__(self) -> str:
        return f"{self.prompt_id}/{self.band}"


class Dialogue(models.Model):
    """A conversation that ends with a user turn and waits for an answer."""

    key = key_field()
    prompt = models.ForeignKey(Prompt, on_delete=models.PROTECT, related_name="dialogues")
    parent = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="continuations"
    )
    messages = models.JSONField(help_text="Turns as {role, content}, the last one the user's.")
    turns = models.PositiveSmallIntegerField(help_text="Number of user turns.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(turns__gte=1), name="dialogue_has_a_user_turn")
        ]

    def __str__(self) -> str:
        return f"{self.prompt} ({self.turns})"


class Response(models.Model):
    """One answer to a dialogue, with everything needed to know where it came from."""

    key = key_field()
    dialogue = models.ForeignKey(Dialogue, on_delete=models.PROTECT, related_name="responses")
    text = models.TextField()
    policy = models.CharField(
        max_length=200, blank=True, help_text="Name of the policy version; empty: unknown."
    )
    temperature = models.FloatField(null=True, blank=True)
    top_p = models.FloatField(null=True, blank=True)
    seed = models.BigIntegerField(null=True, blank=True)
    tokens = models.PositiveIntegerField(null=True, blank=True)
    latency_ms = models.PositiveIntegerField(null=True, blank=True)
    finish_reason = models.CharField(max_length=16, blank=True)
    run = models.CharField(max_length=36, blank=True, help_text="Uid of the run that sampled it.")
    leak = models.CharField(
        max_length=100, blank=True, help_text="Words in it that name a model or its maker; empty: none found."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.text[:80]
