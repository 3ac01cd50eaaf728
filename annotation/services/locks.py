"""Row locks that Django's QuerySet cannot say."""

from __future__ import annotations

from django.db import connection
from django.utils.translation import gettext as _

from annotation.core.states import BatchState
from annotation.errors import BatchSealedError, NotFoundError
from annotation.models import Batch, Comparison

LINKING = 0x70726F6D  # any number that nothing else locks


def share_batch(pk: int) -> Batch:
    """Read a batch so that it cannot be sealed before this transaction ends, while other readers go on.

    FOR SHARE on PostgreSQL: submits run beside each other and only sealing waits. On SQLite the transaction
    already holds the write lock (IMMEDIATE).
    """
    if connection.vendor != "postgresql":
        return Batch.objects.get(pk=pk)
    return Batch.objects.raw("SELECT * FROM annotation_batch WHERE id = %s FOR SHARE", [pk])[0]


def lock_comparison(key: str) -> Comparison:
    """The comparison, with its batch locked against sealing until what is said of it is in.

    Raises:
        NotFoundError: there is none with this key.
        BatchSealedError: its week takes nothing more.
    """
    comparison = Comparison.objects.filter(key=key).select_related("batch").first()
    if comparison is None:
        raise NotFoundError(_("There is no such comparison."))
    batch = share_batch(comparison.batch_id)
    if batch.state != BatchState.OPEN:
        words = _("{batch} is sealed: it takes no more judgments. This one was not stored.")
        raise BatchSealedError(words.format(batch=batch.name))
    return Comparison.objects.select_for_update(of=("self",)).select_related("batch").get(pk=comparison.pk)


def lock_linking() -> None:
    """Let nobody else link prompts before this transaction ends (services.duplicates).

    Where this lock and that of a batch are both needed, the batch's comes first. On SQLite the transaction already
    holds the write lock (IMMEDIATE).
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LINKING])
