"""Which side of the hold-out the prompts of a week stand on. Drawn when a batch is sealed, once for ever."""

from __future__ import annotations

from collections import Counter

from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Coalesce

from annotation.core import holdout
from annotation.core.grades import Focus
from annotation.models import Batch, Comparison, Judgment, Prompt
from annotation.services.duplicates import link_near_duplicates


@transaction.atomic
def draw_holdout(batch: Batch) -> dict[str, int]:
    """Draw whole clusters of near-duplicates for testing, of each focus its share, so that both reward models can be
    tested; the others are for training. Runs in the transaction that seals the batch.

    A cluster with a side keeps it, in every later week. The side holds for all of its prompts, also those of other
    batches. Prompts that resemble both sides are on neither, and attention checks are no examples.

    Returns "examples" (comparisons with a judgment that counts), how many of them are "held_out", and how many more
    there are on "neither" side.
    """
    link_near_duplicates()
    judged = Judgment.objects.effective().filter(comparison__batch=batch).values("comparison")
    rows = list(
        Comparison.objects.ordinary()
        .filter(pk__in=judged)
        .values_list(
            Coalesce("dialogue__prompt__cluster__focus", "dialogue__prompt__focus"),
            Coalesce("dialogue__prompt__cluster__key", "dialogue__prompt__key"),
            "dialogue__prompt__split",
        )
    )
    placed = [row for row in rows if row[2] != Prompt.Split.NEITHER]
    wanted = holdout.target_size(len(placed), batch.holdout)
    held_out = 0
    for focus in Focus:
        sizes = Counter(key for f, key, split in placed if f == focus and not split)
        already = sum(1 for f, _, split in placed if f == focus and split == Prompt.Split.TEST)
        share = round(wanted * sum(1 for f, _, _ in placed if f == focus) / max(1, len(placed)))
        test = holdout.draw(sizes, seed=batch.seed, target=max(0, share - already))
        _place(set(sizes) & test, Prompt.Split.TEST)
        _place(set(sizes) - test, Prompt.Split.TRAIN)
        held_out += already + sum(sizes[key] for key in test)
    return {"examples": len(placed), "held_out": held_out, "neither": len(rows) - len(placed)}


def _place(heads: set[str], split: Prompt.Split) -> None:
    """Give clusters their side, named by the keys of their oldest prompts."""
    ordered = sorted(heads)
    for start in range(0, len(ordered), 500):
        some = ordered[start : start + 500]
        members = Prompt.objects.filter(Q(key__in=some) | Q(cluster__key__in=some))
        members.filter(split=Prompt.Split.UNDRAWN).update(split=split)
