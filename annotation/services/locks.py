"""Row locks that Django's QuerySet cannot say."""

from __future__ import annotations

from django.db import connection

from annotation.models import Batch


def share_batch(pk: int) -> Batch:
    """Read a batch so that it cannot be sealed before this transaction ends, while other readers go on.

    FOR SHARE on PostgreSQL: submits run beside each other and only sealing waits. On SQLite the transaction
    already holds the write lock (IMMEDIATE).
    """
    if connection.vendor != "postgresql":
        return Batch.objects.get(pk=pk)
    return Batch.objects.raw("SELECT * FROM annotation_batch WHERE id = %s FOR SHARE", [pk])[0]
