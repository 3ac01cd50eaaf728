"""What tests of review share: pairs that people judged differently."""

from __future__ import annotations

from uuid import uuid4

from annotation.core.grades import Choice, Focus, Grade, SafetyLabel
from annotation.models import Batch, Comparison, Judgment, Review, User
from annotation.reviewing import Wanted, disputes, state_of
from annotation.services.allocation import lease_next
from annotation.services.judgments import Answer, submit_judgment
from annotation.services.reviews import dismiss_dispute
from tests.factories import make_comparisons

Said = tuple[Choice, Grade] | tuple[Choice, Grade, SafetyLabel]
BY_ALL = Wanted()
A, B = Choice.A, Choice.B
SIGNIFICANTLY, BETTER, SLIGHTLY, NEGLIGIBLY = Grade


def make_dispute(batch: Batch, said: dict[User, Said], *, focus: Focus = Focus.HELPFULNESS) -> Comparison:
    """A new pair of the batch, judged by these people in this way."""
    (pair,) = make_comparisons(batch, 1, focus=focus)
    for person, (choice, grade, *label) in said.items():
        while pair not in lease_next(annotator=person, count=10):
            raise AssertionError("the pair was not given")
        say(person, pair, choice, grade, *label)
    pair.refresh_from_db()
    return pair


def say(person: User, pair: Comparison, choice: Choice, grade: Grade, *label: SafetyLabel) -> Judgment:
    return submit_judgment(
        annotator=person,
        comparison_key=pair.key,
        uid=uuid4(),
        answer=Answer(choice=choice, grade=grade, safety=label[0] if label else None),
    )


def of(pair: Comparison, person: User) -> Judgment:
    return pair.judgments.effective().of_annotators().get(annotator=person)


def waiting(reviewer: User, wanted: Wanted = BY_ALL) -> list[Comparison]:
    return [one.pair for one in disputes(reviewer, wanted)]


def dismiss(pair: Comparison, by: User) -> Review:
    return dismiss_dispute(comparison=pair, by=by, seen=state_of(pair))
