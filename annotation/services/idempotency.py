"""Requests that named themselves, and what they were answered. Called inside the transaction of what they did."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from django.db import transaction
from django.utils import timezone

from annotation.errors import ConflictError
from annotation.models import IdempotentRequest, User

KEPT: Final = timedelta(hours=48)


class KeyReusedError(ConflictError):
    code = "idempotency-key-reused"

    def __init__(self, key: str) -> None:
        super().__init__(
            f"The Idempotency-Key {key} named another request before. Nothing was done. Name each request anew, and "
            "send the very same body when you send one again."
        )


@transaction.atomic
def claim_request(*, user: User, key: str) -> tuple[IdempotentRequest, bool]:
    """The row of this name, and whether it is new. Waits for whoever is doing the same now."""
    return IdempotentRequest.objects.get_or_create(user=user, key=key)


@transaction.atomic
def keep_answer(*, pk: int, fingerprint: str, status: int, headers: Mapping[str, str], body: str) -> None:
    IdempotentRequest.objects.filter(pk=pk).update(
        fingerprint=fingerprint, status=status, headers=dict(headers), body=body
    )


@transaction.atomic
def forget_request(*, pk: int) -> None:
    IdempotentRequest.objects.filter(pk=pk).delete()


@transaction.atomic
def prune_requests() -> int:
    """Forget those older than KEPT; returns how many."""
    return IdempotentRequest.objects.filter(created_at__lt=timezone.now() - KEPT).delete()[0]
