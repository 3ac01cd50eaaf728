"""What tests of attention checks share: a stock of checks, a week that draws them, people who answer in their way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from uuid import uuid4

from annotation.core.attention import GoldAnswer
from annotation.core.grades import Choice, Grade, SafetyLabel
from annotation.models import Batch, Comparison, Gold, Judgment, User
from annotation.services.allocation import lease_next
from annotation.services.batches import Offer, create_batch, open_batch
from annotation.services.gold import add_gold
from annotation.services.judgments import Answer, submit_judgment
from tests.factories import make_comparisons

RIGHT: Final = GoldAnswer(Choice.A, Grade.BETTER)
Way = Callable[[Comparison], Answer]


def make_checks(count: int, by: User, answer: GoldAnswer = RIGHT, **options: object) -> list[Gold]:
    """Checks made of pairs of a week that nobody works on."""
    stock = create_batch(name=f"Stock {Batch.objects.count()}")
    pairs = make_comparisons(stock, count, **options)  # type: ignore[arg-type]
    return [add_gold(comparison=pair, answer=answer, reason="It answers.", by=by) for pair in pairs]


def make_week(*, rate: float = 0.5, feedback: bool = False, pairs: int = 60, overlap: int = 1) -> Batch:
    """An open week in which every second pair, or whatever the rate says, is a check."""
    batch = create_batch(overlap=overlap, offer=Offer(gold_rate=rate, gold_feedback=feedback))
    make_comparisons(batch, pairs)
    return open_batch(batch=batch)


def answer(
    choice: Choice = Choice.A, grade: Grade = Grade.BETTER, safety: SafetyLabel | None = None
) -> Answer:
    return Answer(choice=choice, grade=grade, safety=safety)


def careful(pair: Comparison) -> Answer:
    return answer()


def careless(pair: Comparison) -> Answer:
    """Never reads: takes whichever response the key's last digit names, and so is right half the time."""
    return answer(Choice.A if int(pair.key[-1], 16) % 2 else Choice.B)


def wrong(pair: Comparison) -> Answer:
    return answer(Choice.B)


def work(person: User, count: int, way: Way = careful) -> list[Judgment]:
    """Judge up to `count` pairs; fewer where no more are given."""
    done = []
    for _ in range(count):
        person.refresh_from_db()
        if not (leased := lease_next(annotator=person)):
            break
        done.append(judge(person, leased[0], way(leased[0])))
    return done


def answer_checks(person: User, count: int, way: Way = careful) -> list[Judgment]:
    """Judge until `count` checks are answered, ordinary pairs with care; fewer where no more are given."""
    done: list[Judgment] = []
    while len(done) < count:
        person.refresh_from_db()
        if not (leased := lease_next(annotator=person)):
            break
        pair = leased[0]
        judgment = judge(person, pair, way(pair) if pair.gold_id else careful(pair))
        if pair.gold_id:
            done.append(judgment)
    return done


def judge(person: User, pair: Comparison, said: Answer) -> Judgment:
    return submit_judgment(annotator=person, comparison_key=pair.key, uid=uuid4(), answer=said)
