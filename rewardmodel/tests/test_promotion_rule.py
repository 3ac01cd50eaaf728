"""The rule of promotion on credits alone. Every number is derived beside its test."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewardmodel.core.promotion import (
    LEAST,
    UNGRADED,
    Compared,
    Finding,
    How,
    Verdict,
    compare,
    interval,
    judge,
    step_back,
)

CREDITS = st.sampled_from([0.0, 0.5, 1.0])
PAIRS = st.lists(
    st.builds(
        Compared,
        grade=st.sampled_from(["better", "slightly_better", UNGRADED]),
        prompt=st.sampled_from("abcdefgh"),
        candidate=CREDITS,
        current=CREDITS,
    ),
    min_size=1,
    max_size=40,
)


def pairs(won: int = 0, drawn: int = 0, lost: int = 0, grade: str = "better") -> list[Compared]:
    """Pairs of as many prompts: the candidate alone is right, both are, the current one alone is."""
    both = [(1.0, 0.0)] * won + [(1.0, 1.0)] * drawn + [(0.0, 1.0)] * lost
    return [Compared(grade, f"{grade} {n}", *own) for n, own in enumerate(both)]


def verdict(*groups: list[Compared]) -> Verdict:
    return judge(compare(pair for group in groups for pair in group))


def test_one_lost_pair_says_little() -> None:
    # n + 2 = 3; centre -1/3; spread (-2/3)² + 1 + 2/9 = 5/3; reach 1.96 · sqrt(5/3) / 3 = 0.843.
    low, high = interval(pairs(lost=1))
    assert low == -1.0
    assert high == pytest.approx(-1 / 3 + 1.959964 * math.sqrt(5 / 3) / 3, abs=1e-6)


def test_equal_models_have_an_interval_that_is_never_empty() -> None:
    # 98 differences of 0: centre 0, spread 1, reach 1.96 / 100.
    assert interval(pairs(drawn=98)) == pytest.approx((-0.01959964, 0.01959964), abs=1e-8)


def test_with_one_pair_a_prompt_it_is_the_interval_of_agresti_and_min() -> None:
    # b = 6 won, c = 14 lost of 60: with half a pair in each of the four cells, d = (6 - 14) / 62 and
    # se² = ((6.5 + 14.5) / 62 - d²) / 62, their formula.
    d = -8 / 62
    reach = 1.959964 * math.sqrt((21 / 62 - d**2) / 62)
    assert interval(pairs(won=6, drawn=40, lost=14)) == pytest.approx((d - reach, d + reach), abs=1e-6)


def test_pairs_of_one_prompt_do_not_count_as_many_draws() -> None:
    apart = pairs(won=50, lost=50)
    together = [Compared("better", f"{n // 5}", p.candidate, p.current) for n, p in enumerate(apart)]
    (low, high), (wider_low, wider_high) = interval(apart), interval(together)
    # The spread grows from 100 + 1 to 20 · 5² + 1.
    assert wider_high - wider_low == pytest.approx((high - low) * math.sqrt(501 / 101))


@given(PAIRS)
def test_the_interval_holds_the_difference_and_lies_within_one(rows: list[Compared]) -> None:
    figures = compare(rows)
    assert -1 <= figures["low"] <= figures["difference"] + 1e-12
    assert figures["difference"] - 1e-12 <= figures["high"] <= 1


@given(PAIRS)
def test_the_order_of_pairs_changes_nothing(rows: list[Compared]) -> None:
    assert compare(sorted(rows, key=lambda row: (row.candidate, row.prompt))) == compare(rows)


@given(PAIRS)
def test_changing_places_turns_the_interval_round(rows: list[Compared]) -> None:
    turned = [Compared(row.grade, row.prompt, row.current, row.candidate) for row in rows]
    low, high = interval(rows)
    assert interval(turned) == pytest.approx((-high, -low), abs=1e-12)


def test_no_pairs_give_no_figures_and_no_promotion() -> None:
    found = verdict()
    assert (found.passes, found.sentence) == (False, "There are no test pairs to compare them on.")
    assert compare([])["low"] is None
    assert found.grades == ()


def test_an_equal_model_passes() -> None:
    found = verdict(pairs(drawn=40))
    assert found.passes
    assert found.sentence == "It is not worse, beyond the interval, in any grade."
    assert [row.finding for row in found.rows] == [Finding.NOT_WORSE, Finding.NOT_WORSE]


def test_a_grade_in_which_it_is_worse_blocks_though_all_together_are_better() -> None:
    found = verdict(pairs(won=200, grade="better"), pairs(lost=40, grade="slightly_better"))
    assert [row.finding for row in found.rows] == [Finding.BETTER, Finding.WORSE, Finding.BETTER]
    assert not found.passes
    # 40 lost: d = -1; centre -40/42 = -0.952; spread 40 · (2/42)² + 1 + 2 · 0.907 = 2.905; reach 1.96 · 1.704 / 42 =
    # 0.0795: from -1 (cut off) to -0.873.
    minus = "\N{MINUS SIGN}"
    assert found.sentence == (
        f"It is worse beyond the interval: “slightly better” {minus}100.0 points ({minus}100.0 to {minus}87.3)."
    )


def test_many_grades_that_are_each_a_little_worse_block_together() -> None:
    # 4 lost of 60: centre -0.0645, spread 4 · 0.875 + 56 · 0.00416 + 1.01 = 4.74, reach 1.96 · 2.18 / 62 = 0.0688: 0
    # lies within. 12 lost of 180: centre -0.0659, spread 12 · 0.873 + 168 · 0.00434 + 1.01 = 12.2, reach 0.0376: 0 lies
    # without.
    grades = ("better", "slightly_better", "negligibly_better")
    found = verdict(*(pairs(drawn=56, lost=4, grade=grade) for grade in grades))
    assert [row.finding for row in found.rows] == [Finding.NOT_WORSE] * 3 + [Finding.WORSE]
    assert not found.passes
    assert "all grades" in found.sentence


def test_a_grade_with_too_few_prompts_neither_blocks_nor_passes() -> None:
    few = pairs(lost=3, grade="significantly_better")
    assert not verdict(few).passes
    found = verdict(few, pairs(drawn=200))
    assert found.passes
    assert found.sentence.endswith("Too few pairs to say: “significantly better”.")
    assert found.grades[0].finding is Finding.TOO_FEW
    assert found.grades[0].sentence.startswith("Too few to say: 3 prompts of at least 30.")


def test_many_pairs_of_few_prompts_are_too_few() -> None:
    rows = [Compared("better", str(n % (LEAST - 1)), 1.0, 1.0) for n in range(500)]
    found = verdict(rows)
    assert not found.passes
    assert found.sentence == ("The test pairs are of 29 prompts, too few to say anything: it takes 30.")


def test_grades_that_are_too_small_alone_may_suffice_together() -> None:
    found = verdict(pairs(drawn=20), pairs(drawn=20, grade="slightly_better"))
    assert [row.finding for row in found.rows] == [Finding.TOO_FEW, Finding.TOO_FEW, Finding.NOT_WORSE]
    assert found.passes


def test_grades_stand_from_the_strongest_to_none() -> None:
    found = verdict(
        *(pairs(drawn=1, grade=g) for g in (UNGRADED, "negligibly_better", "significantly_better"))
    )
    assert [row.name for row in found.rows] == [
        "significantly better",
        "negligibly better",
        "no grade",
        "all grades",
    ]


def test_a_difference_of_nothing_has_no_minus_sign() -> None:
    assert verdict(pairs(drawn=98)).overall.points == "+0.0 points (\N{MINUS SIGN}2.0 to +2.0)"


@pytest.mark.parametrize(
    ("turns", "expected"),
    [
        ([], None),
        ([(How.FIRST, 1)], None),
        ([(How.FIRST, 1), (How.RULE, 2)], 1),
        ([(How.FIRST, 1), (How.RULE, 2), (How.RULE, 3)], 2),
        # A second roll-back leads further back and never forth.
        ([(How.FIRST, 1), (How.RULE, 2), (How.RULE, 3), (How.ROLLBACK, 2)], 1),
        ([(How.FIRST, 1), (How.RULE, 2), (How.ROLLBACK, 1)], None),
        ([(How.FIRST, 1), (How.RULE, 2), (How.ROLLBACK, 1), (How.OVERRIDE, 2)], 1),
        ([(How.FIRST, 1), (How.RULE, 2), (How.OVERRIDE, 1)], 2),
    ],
)
def test_a_roll_back_leads_to_what_stood_before(turns: list[tuple[str, int]], expected: int | None) -> None:
    assert step_back(turns) == expected
