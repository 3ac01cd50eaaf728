"""Simulated annotators at work, through the same services as people."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from uuid import UUID

from annotation.core.grades import Focus
from annotation.core.records import content_key
from annotation.core.simulate import Taste, judge
from annotation.models import Comparison, Judgment, User
from annotation.services.allocation import lease_next
from annotation.services.judgments import Answer, submit_judgment


def simulate_annotators(
    *,
    annotators: Sequence[User],
    seed: int,
    taste: Taste | None = None,
    heard: Callable[[int], None] = lambda done: None,
) -> int:
    """Judge by `taste` until nothing is left for these annotators; returns the number of judgments made now.

    A vote is fixed by the pair, the slot and the seed and not by who holds the lease, so an interrupted
    simulation ends with the same data. `heard` is told the count after each judgment.
    """
    done = 0
    busy = list(annotators)
    while busy:
        for annotator in list(busy):
            leased = lease_next(annotator=annotator)
            if not leased:
                busy.remove(annotator)
                continue
            _vote(leased[0], annotator, seed, taste)
            done += 1
            heard(done)
    return done


def _vote(comparison: Comparison, annotator: User, seed: int, taste: Taste | None) -> None:
    slot = comparison.leases.get(annotator=annotator).slot
    vote = judge(
        messages=comparison.dialogue.messages,
        a=comparison.response_a.text,
        b=comparison.response_b.text,
        focus=Focus(comparison.focus),
        draw=f"{seed}:{comparison.key}:{slot}",
        taste=taste,
    )
    if vote.grade is None:
        raise ValueError("a simulated vote always has a grade")
    submit_judgment(
        annotator=annotator,
        comparison_key=comparison.key,
        uid=UUID(hex=content_key("simulated", comparison.key, annotator.username)),
        answer=Answer(choice=vote.choice, grade=vote.grade, safety=vote.safety),
        source=Judgment.Source.SIMULATED,
    )
