"""A pair that was written and answered live: into the batch and into its writer's hands, at once or not at all.

Must not know who answered or how the answers came.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import count

from django.db import transaction
from django.utils import timezone

from annotation.core.ordering import left_choice
from annotation.core.states import BatchState
from annotation.errors import BatchSealedError, ConflictError
from annotation.models import Batch, Comparison, Dialogue, Lease, User
from annotation.services.ingest import NewPair, ingest_pairs, key_of
from annotation.services.leases import occupy
from annotation.services.locks import share_batch


@transaction.atomic
def ingest_live_pair(
    *, batch: Batch, annotator: User, pair: NewPair, parent: Dialogue | None = None
) -> Lease:
    """Store a pair whose `first` the annotator saw on the left, and lease it to them.

    Nobody else sees the pair before this transaction is in, so slot 0 is theirs; where the overlap is greater
    the others get the other slots. The two responses must not read the same.

    Raises:
        BatchSealedError: the week is over.
    """
    fresh = share_batch(batch.pk)
    if fresh.state != BatchState.OPEN:
        raise BatchSealedError(f"{fresh.name} is {fresh.state}: it takes no more pairs. Nothing was stored.")
    salted = _keep_sides(fresh, annotator, pair)
    ingest_pairs(batch=fresh, pairs=[salted])
    comparison = Comparison.objects.select_related("batch", "dialogue", "response_a", "response_b").get(
        key=key_of(salted)[0]
    )
    if parent is not None:
        Dialogue.objects.filter(pk=comparison.dialogue_id, parent=None).update(parent=parent)
    lease = occupy(comparison=comparison.pk, overlap=fresh.overlap, annotator=annotator, now=timezone.now())
    if lease is None:
        raise ConflictError("The pair is new and yet has no free slot. Nothing was stored.")
    return lease


def _keep_sides(batch: Batch, annotator: User, pair: NewPair) -> NewPair:
    """The pair under a key that puts its `first` on the left for its writer, who has seen it there.

    The order is a hash of the key (core.ordering) and the key is known only now that the texts are. The side on
    which each was shown was drawn as fairly before, so the order stays blind, and can still be checked.
    """
    for salt in count():
        salted = replace(pair, salt=salt)
        key, first = key_of(salted)
        if left_choice(seed=batch.seed, comparison=key, annotator=annotator.pseudonym) != first:
            continue
        if not Comparison.objects.filter(key=key).exists():
            return salted
    raise AssertionError("counting ends nowhere")
