"""What is answered and what answers: prompts, dialogues, responses."""

from __future__ import annotations

from django.db import models

from annotation.core.grades import Focus
from annotation.models.fields import one_of, word_field


def key_field() -> models.CharField[str, str]:
    """The content key of a row (annotation.core.records.content_key)."""
    return models.CharField(max_length=32, unique=True, editable=False)


class Prompt(models.Model):
    """The first user turn of dialogues. Its split is drawn once and holds for every batch, so that no prompt
    ever stands on both sides of the hold-out (section 3.2.2)."""

    class Split(models.TextChoices):
        UNDRAWN = "", "not drawn"
        TRAIN = "train"
        TEST = "test"

    key = key_field()
    text = models.TextField()
    focus = word_field(Focus)
    source = models.CharField(max_length=200, blank=True)
    category = models.CharField(max_length=100, blank=True)
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
            one_of("split", ("train", "test"), "prompt_split_is_legal", blank=True),
        ]

    def __str__(self) -> str:
        return self.text[:80]


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
