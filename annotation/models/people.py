"""People who sign in, and the names under which their work is published."""

from __future__ import annotations

import secrets
from enum import StrEnum

from django.contrib.auth.models import AbstractUser
from django.db import models

from annotation.core.grades import Focus
from annotation.models.fields import one_of, word_field


class Role(StrEnum):
    """What a person may do; each role may also do what the ones before it may."""

    ANNOTATOR = "annotator"
    REVIEWER = "reviewer"
    RESEARCHER = "researcher"
    ADMINISTRATOR = "administrator"

    def includes(self, other: Role) -> bool:
        order = list(Role)
        return order.index(self) >= order.index(other)


def new_pseudonym() -> str:
    return f"annotator-{secrets.token_hex(5)}"


class User(AbstractUser):
    """Somebody with an account. Exports carry the pseudonym and never the user name."""

    role = word_field(Role, default=Role.ANNOTATOR)
    pseudonym = models.CharField(max_length=64, unique=True, default=new_pseudonym)
    imported = models.BooleanField(
        default=False, help_text="Stands for an annotator of an imported file; cannot sign in."
    )
    is_service = models.BooleanField(
        default=False, help_text="Stands for a program; cannot sign in, acts by access tokens alone."
    )
    safety_consent_at = models.DateTimeField(
        null=True, blank=True, help_text="When this person agreed to see safety pairs; empty: gets none."
    )
    preferences = models.JSONField(
        default=dict,
        blank=True,
        help_text="How the workbench looks and is driven (annotation.core.preferences).",
    )

    languages = models.JSONField(
        default=list, blank=True, help_text="Codes of the languages they read; empty: any."
    )
    paused_at = models.DateTimeField(
        null=True, blank=True, help_text="Since when they are given nothing; empty: at work."
    )
    pause_reason = models.TextField(blank=True, help_text="What they are told.")
    warned_at = models.DateTimeField(
        null=True, blank=True, help_text="When attention checks last gave cause for a warning."
    )
    resumed_at = models.DateTimeField(
        null=True, blank=True, help_text="When a pause ended: earlier checks no longer count."
    )

    class Meta:
        constraints = [one_of("role", Role, "user_role_is_legal")]

    def may(self, role: Role) -> bool:
        """Whether this person has the role or one above it."""
        return self.is_active and (self.is_superuser or Role(self.role).includes(role))

    @property
    def focuses(self) -> tuple[Focus, ...]:
        """What this person may be given: safety pairs go to those who agreed to see them, and to nobody else."""
        agreed = self.safety_consent_at is not None or self.imported
        return tuple(Focus) if agreed else (Focus.HELPFULNESS,)
