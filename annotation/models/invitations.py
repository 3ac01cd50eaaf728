"""The way in: a link that makes one account."""

from __future__ import annotations

from typing import Self

from django.conf import settings
from django.db import models
from django.utils import timezone

from annotation.models.fields import one_of, word_field
from annotation.models.people import Role


class InvitationQuerySet(models.QuerySet["Invitation"]):
    def usable(self) -> Self:
        return self.filter(used_at=None, revoked_at=None, expires_at__gt=timezone.now())


class Invitation(models.Model):
    """Somebody may make an account of this role. The token is shown once and stored as its SHA-256 alone."""

    token_hash = models.CharField(max_length=64, unique=True, editable=False)
    prefix = models.CharField(max_length=8, editable=False, help_text="The token's first characters.")
    name = models.CharField(max_length=150, help_text="Whom it is for.")
    role = word_field(Role, default=Role.ANNOTATOR)
    languages = models.JSONField(default=list, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)
    used_at = models.DateTimeField(null=True, blank=True)
    used_by = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="invitation"
    )

    objects = InvitationQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-pk"]
        constraints = [one_of("role", Role, "invitation_role_is_legal")]

    def __str__(self) -> str:
        return f"{self.name} ({self.role})"
