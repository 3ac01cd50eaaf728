"""Who did what when. Rows are only ever added."""

from __future__ import annotations

from typing import Any, NoReturn

from django.conf import settings
from django.db import models


class AuditQuerySet(models.QuerySet["AuditEvent"]):
    """Reads and adds; changing and deleting are refused."""

    def update(self, **columns: Any) -> NoReturn:
        raise TypeError("The audit is append-only: its rows are never changed.")

    def delete(self) -> NoReturn:
        raise TypeError("The audit is append-only: its rows are never deleted.")


class AuditEvent(models.Model):
    """One thing somebody did, written in the transaction that did it. No actor: the house itself did it.

    Names are stored beside the keys, so that a line can be read after its object was renamed.
    """

    at = models.DateTimeField(auto_now_add=True)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    actor_name = models.CharField(max_length=150, blank=True)
    action = models.CharField(max_length=64, help_text="noun.verb, as in batch.sealed")
    object_type = models.CharField(max_length=64)
    object_id = models.CharField(max_length=64)
    object_name = models.CharField(max_length=200)
    detail = models.JSONField(default=dict, blank=True)

    objects = AuditQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]
        indexes = [
            models.Index(fields=["action", "-id"], name="audit_by_action"),
            models.Index(fields=["object_type", "object_id", "-id"], name="audit_of_object"),
            models.Index(fields=["actor", "-id"], name="audit_by_actor"),
        ]

    def __str__(self) -> str:
        return f"{self.actor_name or 'the house'}: {self.action} {self.object_name}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if self.pk is not None:
            raise TypeError("The audit is append-only: its rows are never changed.")
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError("The audit is append-only: its rows are never deleted.")
