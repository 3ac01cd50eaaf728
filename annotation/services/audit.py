"""Writing the audit. Called by services, inside the transaction of what they did."""

from __future__ import annotations

from typing import Any

from django.db import models

from annotation.models import AuditEvent, User


def record(action: str, of: models.Model, *, by: User | None, **detail: Any) -> AuditEvent:
    """Note that `by` (None: the house) did `action`, a noun and a verb as in "batch.sealed", to `of`.

    `detail` is plain JSON: what was changed, from what to what. It never holds a secret, nor the name of an annotator
    beside what they said.
    """
    return AuditEvent.objects.create(
        actor=by,
        actor_name=by.username if by else "",
        action=action,
        object_type=of._meta.model_name or "",
        object_id=str(of.pk),
        object_name=str(of)[:200],
        detail=detail,
    )
