"""One person's work beside the others': the figures, held against plain counts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from itertools import permutations
from math import log2
from statistics import median

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotation.core.conduct import Deed, conduct_of
from annotation.core.grades import Choice, Focus, Grade, SafetyLabel
from annotation.core.shares import fair_coin_p, wilson
from annotation.tests.deeds import ADA, BEN, CLEO, START, deed

SCALE = [*[("a", grade) for grade in Grade], *[("b", grade) for grade in reversed(Grade)]]
LAW = settings(max_examples=50)

Measure = Callable[[Deed, Deed], float | None]


@st.composite
def some_deeds(draw: st.DrawFn) -> list[Deed]:
    who_judged = st.sets(st.integers(0, 3), min_size=1)
    deeds = []
    for comparison in range(draw(st.integers(1, 5))):
        focus = draw(st.sampled_from(Focus))
        lengths = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
        deeds += [
            Deed(
                comparison,
                annotator,
                draw(st.sampled_from(Choice)),
                draw(st.none() | st.sampled_from(Grade)),
                draw(st.none() | st.sampled_from(SafetyLabel)) if focus is Focus.SAFETY else None,
                draw(st.sampled_from(["a", "b", ""])),
                draw(st.none() | st.integers(0, 60_000)),
                *lengths,
                START + timedelta(minutes=draw(st.integers(0, 9))),
                focus,
            )
            for annotator in draw(who_judged)
        ]
    return deeds


# Plain counts over all pairs of judgments, to hold the vectorised ones against.


def pairs_of(deeds: Iterable[Deed]) -> list[tuple[Deed, Deed]]:
    return [(x, y) for x, y in permutations(deeds, 2) if x.comparison == y.comparison]


def near(x: Deed, y: Deed) -> float | None:
    if not x.grade or not y.grade:
        return None
    apart = SCALE.index((x.choice, Grade(x.grade))) - SCALE.index((y.choice, Grade(y.grade)))
    return 1 - (apart / 7) ** 2


def mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def same(x: Deed, y: Deed) -> float:
    return float(x.choice == y.choice)


def rate_of(deeds: Iterable[Deed], measure: Measure) -> list[float]:
    found = (measure(x, y) for x, y in pairs_of(deeds))
    return [hit for hit in found if hit is not None]


def others_rate(deeds: list[Deed], who: int, measure: Measure) -> float | None:
    """That of pairs of the others, in each focus, weighed by this person's pairs in it."""
    mine = [x.focus for x, y in pairs_of(deeds) if x.annotator == who and measure(x, y) is not None]
    total = 0.0
    for focus in set(mine):
        theirs = [d for d in deeds if d.annotator != who and d.focus == focus]
        rate = mean(rate_of(theirs, measure))
        if rate is None:
            return None
        total += mine.count(focus) / len(mine) * rate
    return total if mine else None


@LAW
@given(some_deeds())
def test_agreement_is_a_plain_mean_over_pairs(deeds: list[Deed]) -> None:
    for who, conduct in conduct_of(deeds).items():
        for share, measure in ((conduct.agreement, same), (conduct.ordinal, near)):
            found = [measure(x, y) for x, y in pairs_of(deeds) if x.annotator == who]
            hits = [hit for hit in found if hit is not None]
            assert share.trials == len(hits)
            assert share.hits == pytest.approx(sum(hits))
            assert share.others == pytest.approx(others_rate(deeds, who, measure))


@LAW
@given(some_deeds())
def test_the_majority_is_that_of_the_other_people(deeds: list[Deed]) -> None:
    for who, conduct in conduct_of(deeds).items():
        followed = []
        for mine in (d for d in deeds if d.annotator == who):
            theirs = [d.choice for d in deeds if d.comparison == mine.comparison and d.annotator != who]
            if 2 * theirs.count("a") != len(theirs):
                followed.append(2 * theirs.count(mine.choice) > len(theirs))
        assert (conduct.majority.hits, conduct.majority.trials) == (sum(followed), len(followed))


@LAW
@given(some_deeds())
def test_left_and_longer_and_words_are_plain_counts(deeds: list[Deed]) -> None:
    for who, conduct in conduct_of(deeds).items():
        mine = [d for d in deeds if d.annotator == who]
        left = [d.choice == d.left for d in mine if d.left]
        longer = [d.choice == ("a" if d.len_a > d.len_b else "b") for d in mine if d.len_a != d.len_b]
        assert (conduct.left.hits, conduct.left.trials) == (sum(left), len(left))
        assert (conduct.longer.hits, conduct.longer.trials) == (sum(longer), len(longer))
        for use, said in (
            (conduct.grades, [d.grade for d in mine if d.grade]),
            (conduct.labels, [d.safety for d in mine if d.safety]),
        ):
            assert {word: share.hits for word, share in use.shares.items()} == {
                word: said.count(word) for word in use.shares
            }


@LAW
@given(some_deeds())
def test_pace_is_held_against_the_others_medians(deeds: list[Deed]) -> None:
    times = {
        who: [d.active_ms / 1000 for d in deeds if d.annotator == who and d.active_ms]
        for who in {d.annotator for d in deeds}
    }
    for who, conduct in conduct_of(deeds).items():
        assert conduct.pace.median == pytest.approx(median(times[who]) if times[who] else None)
        assert conduct.pace.hasty.hits == sum(seconds < conduct.pace.floor for seconds in times[who])


@LAW
@given(some_deeds())
def test_early_and_late_work_make_up_the_whole(deeds: list[Deed]) -> None:
    for conduct in conduct_of(deeds).values():
        early, late = conduct.drift.early, conduct.drift.late
        assert (early.hits + late.hits, early.trials + late.trials) == (
            conduct.agreement.hits,
            conduct.agreement.trials,
        )


@LAW
@given(some_deeds().flatmap(lambda d: st.tuples(st.just(d), st.permutations(d))))
def test_the_order_of_rows_does_not_matter(pair: tuple[list[Deed], list[Deed]]) -> None:
    straight, shuffled = (conduct_of(deeds) for deeds in pair)
    for who, conduct in straight.items():
        for name in ("agreement", "ordinal", "majority", "left", "longer"):
            one, other = getattr(conduct, name), getattr(shuffled[who], name)
            assert (one.hits, one.z) == pytest.approx((other.hits, other.z))


@LAW
@given(some_deeds())
def test_intervals_hold_their_shares(deeds: list[Deed]) -> None:
    for conduct in conduct_of(deeds).values():
        for share in (conduct.agreement, conduct.ordinal, conduct.left, conduct.longer):
            assert 0 <= share.low <= share.high <= 1
            if share.value is not None:
                assert share.low - 1e-9 <= share.value <= share.high + 1e-9


def test_somebody_who_judged_alone_has_no_others() -> None:
    conduct = conduct_of([deed(n, ADA) for n in range(40)])[ADA]
    assert (conduct.agreement.trials, conduct.agreement.others) == (0, None)
    assert (conduct.pace.others, conduct.grades.distance) == (None, None)


def test_two_people_have_no_others_to_agree_with_each_other() -> None:
    conduct = conduct_of([deed(n, who, "ab"[who == BEN]) for n in range(40) for who in (ADA, BEN)])[ADA]
    assert (conduct.agreement.value, conduct.agreement.others) == (0.0, None)


def test_nobody_is_their_own_peer() -> None:
    with pytest.raises(ValueError, match="twice"):
        conduct_of([deed(1, ADA), deed(1, ADA, "b")])


def test_of_no_deeds_there_is_no_conduct() -> None:
    assert conduct_of([]) == {}


def test_words_may_be_stored_as_plain_text() -> None:
    stored = deed(1, ADA, grade="better", safety="", left="", focus="helpfulness")
    assert conduct_of([stored])[ADA].grades.shares["better"].hits == 1


def test_a_word_that_does_not_exist_is_refused() -> None:
    with pytest.raises(KeyError):
        conduct_of([deed(1, ADA, grade="best")])


def test_the_longer_response_is_compared_on_the_same_pairs_where_others_judged_them() -> None:
    # In pairs 0 to 9 A is longer: all choose it. Ben and Cleo alone have pairs 10 to 29: they choose the shorter.
    together = [deed(n, who, "a", len_a=200) for n in range(10) for who in (ADA, BEN, CLEO)]
    apart = [deed(n, who, "b", len_a=200) for n in range(10, 30) for who in (BEN, CLEO)]
    assert conduct_of(together + apart)[ADA].longer.others == 1.0


def test_the_longer_response_is_compared_within_the_focus_where_nobody_else_judged_a_pair() -> None:
    # Ben chose the longer one in 1 of 4 pairs for helpfulness, in all for safety.
    ben = [deed(n, BEN, "a" if n == 0 else "b", len_a=200) for n in range(4)]
    safety = [deed(10 + n, BEN, "a", len_a=200, focus=Focus.SAFETY) for n in range(4)]
    conduct = conduct_of([*ben, *safety, deed(20, ADA, "a", len_a=200)])[ADA]
    assert conduct.longer.others == 0.25


def test_grades_are_as_far_apart_as_the_words_that_would_have_to_change() -> None:
    grades = [Grade.BETTER] * 3 + [Grade.SLIGHTLY_BETTER]
    ada = [deed(n, ADA, grade=grade) for n, grade in enumerate(grades)]
    ben = [deed(n, BEN, grade=Grade.BETTER) for n in range(4, 8)]
    use = conduct_of([*ada, *ben])[ADA].grades
    # 3/4 and 1/4 against 1 and 0: a quarter of the words differ.
    assert use.distance == pytest.approx(0.25)
    assert use.entropy == pytest.approx(-(0.75 * log2(0.75) + 0.25 * log2(0.25)))


def test_everybodys_pace_counts_once_among_the_others() -> None:
    times = {ADA: [9] * 10, BEN: [20] * 100, CLEO: [40] * 10, 4: [60] * 10, 5: [1] * 9}
    deeds = [
        deed(100 * who + n, who, active_ms=1000 * s)
        for who, seconds in times.items()
        for n, s in enumerate(seconds)
    ]
    found = conduct_of(deeds)
    # Of 20, 40 and 60; person 5 has too few to say. A quarter of 40 is 10.
    assert (found[ADA].pace.others, found[ADA].pace.floor, found[ADA].pace.hasty.hits) == (40, 10, 10)
    # Of 9, 40 and 60.
    assert found[BEN].pace.others == 40
    # Of 9, 20, 40 and 60: between 20 and 40.
    assert found[5].pace.others == 30


def test_nobody_reads_a_pair_in_less_than_three_seconds() -> None:
    deeds = [deed(n, who, active_ms=4000) for who in (ADA, BEN) for n in range(who * 100, who * 100 + 10)]
    assert conduct_of(deeds)[ADA].pace.floor == 3.0


def test_the_last_third_is_held_against_what_came_before() -> None:
    # Of 6 pairs Ada agrees with Ben on the first 4 and not on the last 2.
    ada = [deed(n, ADA, "a" if n < 4 else "b", active_ms=20_000 if n < 4 else 5000) for n in range(6)]
    drift = conduct_of([*ada, *[deed(n, BEN) for n in range(6)]])[ADA].drift
    assert (drift.early.hits, drift.early.trials, drift.late.hits, drift.late.trials) == (4, 4, 0, 2)
    assert (drift.early_seconds, drift.late_seconds) == (20, 5)


def test_harder_weeks_are_no_ones_drift() -> None:
    # Everybody agrees in 60 pairs and is split in the next 30, each dissenting in a third of them.
    split = [deed(n, who, "ab"[n % 3 == who % 3]) for n in range(60, 90) for who in (ADA, BEN, CLEO)]
    found = conduct_of([*[deed(n, who) for n in range(60) for who in (ADA, BEN, CLEO)], *split])
    drift = found[ADA].drift
    assert drift.early.value == 1.0
    assert drift.late.value == pytest.approx(1 / 3)
    assert abs(drift.z) < 0.5


@pytest.mark.parametrize(
    ("hits", "trials", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_intervals_are_the_published_ones(hits: int, trials: int, low: float, high: float) -> None:
    # Newcombe 1998, Statistics in Medicine 17, 857-872, table I, method 3.
    assert wilson(hits / trials, trials) == pytest.approx((low, high), abs=6e-5)


@pytest.mark.parametrize(
    ("hits", "trials", "p"),
    # Out of 2^10: 1 + 1; (1 + 10 + 45) * 2; everything. Out of 2^1: everything.
    [(10, 10, 2 / 1024), (2, 10, 112 / 1024), (5, 10, 1.0), (1, 1, 1.0), (0, 0, 1.0)],
)
def test_a_fair_coin_is_that_far_from_half_with_this_probability(hits: int, trials: int, p: float) -> None:
    assert fair_coin_p(hits, trials) == pytest.approx(p)


def test_agreeing_with_many_peers_in_one_judgment_counts_little_more_than_one() -> None:
    # Ten judgments with eight peers each, who all say the same: ten observations and not eighty.
    deeds = [deed(n, who, "a") for n in range(10) for who in range(2, 10)]
    deeds += [deed(n, ADA, "ab"[n % 2]) for n in range(10)]
    agreement = conduct_of(deeds)[ADA].agreement
    assert agreement.trials == 80
    assert (agreement.low, agreement.high) == pytest.approx(wilson(0.5, 10))
