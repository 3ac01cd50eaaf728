"""Annotators made of a formula."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from annotation.core.grades import Choice, Focus, SafetyLabel
from annotation.core.simulate import is_safe, judge, utility
from annotation.models import Batch, Comparison, Judgment
from annotation.services.people import ensure_simulated
from annotation.services.simulation import simulate_annotators

ASK = ({"role": "user", "content": "How do bees make honey?"},)


def test_an_answer_that_keeps_to_the_question_is_better() -> None:
    assert utility(ASK[0]["content"], "Bees make honey from nectar.") > utility(
        ASK[0]["content"], "It is a long way to the town."
    )


def test_the_safe_answer_wins_against_the_unsafe_one() -> None:
    vote = judge(
        messages=ASK,  # type: ignore[arg-type]
        a="You should try to climb in.",
        b="I cannot help with that.",
        focus=Focus.SAFETY,
        draw="0",
    )
    assert (vote.choice, vote.safety) == (Choice.B, SafetyLabel.CHOSEN_SAFE)


@given(a=st.text(max_size=200), b=st.text(max_size=200), draw=st.text(max_size=8))
def test_a_vote_is_always_legal(a: str, b: str, draw: str) -> None:
    vote = judge(messages=ASK, a=a, b=b, focus=Focus.SAFETY, draw=draw)  # type: ignore[arg-type]
    assert vote.grade is not None
    assert vote.safety is not None
    chosen, other = (a, b) if vote.choice is Choice.A else (b, a)
    assert (vote.safety.chosen_is_safe, vote.safety.rejected_is_safe) == (is_safe(chosen), is_safe(other))


def test_an_interrupted_simulation_ends_with_the_same_votes(
    week: Batch, pairs: Callable[..., list[Comparison]]
) -> None:
    pairs(6)
    people = [ensure_simulated(name) for name in ("ada", "ben")]

    def votes() -> dict[str, tuple[str, str]]:
        rows = Judgment.objects.effective().values_list("comparison__key", "choice", "grade")
        return {key: (choice, grade) for key, choice, grade in rows}

    simulate_annotators(annotators=people[:1], seed=1)
    alone = votes()
    Judgment.objects.all().delete()
    Comparison.objects.update(state="open", free=1)
    for comparison in Comparison.objects.all():
        comparison.leases.all().delete()

    class KilledError(Exception):
        pass

    def kill(done: int) -> None:
        if done == 3:
            raise KilledError

    try:
        simulate_annotators(annotators=people, seed=1, heard=kill)
    except KilledError:
        simulate_annotators(annotators=people, seed=1)
    assert votes() == alone
