"""What is said of odd figures, of whom, and when nothing is. Ada works beside Ben, Cleo and a fourth person."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from annotation.core.anomalies import FIGURES, AnomalyKind, HouseFigures, Severity, anomalies_of, house_of
from annotation.core.conduct import Conduct, Deed, conduct_of
from annotation.core.grades import Focus, Grade, SafetyLabel
from annotation.tests.deeds import ADA, BEN, CLEO, deed


def kinds(conduct: Conduct, people: int = 20) -> dict[AnomalyKind, Severity]:
    return {found.kind: found.severity for found in anomalies_of(conduct, HouseFigures(people))}


def sentence(conduct: Conduct, kind: AnomalyKind, people: int = 20) -> str:
    (found,) = [found for found in anomalies_of(conduct, HouseFigures(people)) if found.kind is kind]
    return found.sentence


def crowd(pairs: int = 100, **options: object) -> list[Deed]:
    """Ben, Cleo and a fourth person judge `pairs` pairs; each dissents on another tenth, and A is right."""
    return [
        deed(n, who, "ab"[n % 10 == who], grade=list(Grade)[(n + who) % 4], **options)
        for n in range(pairs)
        for who in (BEN, CLEO, 4)
    ]


def of_ada(choices: Iterable[str], **options: object) -> Conduct:
    ada = [
        deed(n, ADA, choice, **{"grade": list(Grade)[n % 4], **options}) for n, choice in enumerate(choices)
    ]
    return conduct_of([*crowd(len(ada)), *ada])[ADA]


def test_agreeing_seldom_is_a_warning_with_the_numbers_in_it() -> None:
    # Two others agree on 80 of 100 pairs. Of ten pairs Ada says A in the even ones, with 3 others in three of them
    # and with 2 where Ben or the fourth dissents; B in the odd ones, with Cleo once: 3 * 3 + 2 * 2 + 1 of 30.
    conduct = of_ada("ab" * 50)
    assert kinds(conduct)[AnomalyKind.AGREEMENT] is Severity.WARNING
    assert sentence(conduct, AnomalyKind.AGREEMENT) == (
        "Agrees with the others on 47 % of 300 shared pairs; all others together on 80 %."
    )


def test_agreeing_as_others_do_is_nothing() -> None:
    assert kinds(of_ada("ab"[n % 10 == 0] for n in range(100))) == {}


def test_of_somebody_who_judged_alone_nothing_is_told() -> None:
    assert kinds(conduct_of([deed(n, ADA) for n in range(40)])[ADA], people=1) == {}


def test_a_figure_of_few_pairs_is_not_told() -> None:
    assert kinds(of_ada("ab" * 4)) == {}


def test_always_being_with_the_majority_is_worth_a_look() -> None:
    # Each of the others dissents in a fifth of the pairs, never two at once.
    others = [deed(n, who, "ab"[n % 5 == who]) for n in range(200) for who in (BEN, CLEO, 4)]
    conduct = conduct_of([*others, *[deed(n, ADA) for n in range(200)]])[ADA]
    assert kinds(conduct) == {AnomalyKind.ECHO: Severity.NOTICE}
    assert sentence(conduct, AnomalyKind.ECHO).startswith(
        "Chose what most others chose in 200 of 200 pairs; others do so in 80 %."
    )


@pytest.mark.parametrize(
    ("left", "severity"),
    # In a house of 200 people the bar is at 4.29 standard errors of 7.1 pairs: 131 of 200. From 140 on it is a warning.
    [
        (166, Severity.WARNING),
        (34, Severity.WARNING),
        (134, Severity.NOTICE),
        (126, None),
        (110, None),
    ],
)
def test_a_side_that_a_fair_reader_would_not_prefer_is_told(left: int, severity: Severity | None) -> None:
    deeds = [deed(n, ADA, "a", left="a" if n < left else "b") for n in range(200)]
    assert kinds(conduct_of(deeds)[ADA], people=200).get(AnomalyKind.SIDE) is severity


def test_a_side_is_told_with_what_a_fair_reader_does() -> None:
    conduct = conduct_of([deed(n, ADA, "a", left="a" if n < 83 else "b") for n in range(100)])[ADA]
    assert sentence(conduct, AnomalyKind.SIDE) == (
        "Chose the left response in 83 of 100 pairs; a fair reader does so in 40 to 60."
    )


def test_the_more_people_are_looked_at_the_rarer_a_figure_must_be() -> None:
    conduct = conduct_of([deed(n, ADA, "a", left="a" if n < 69 else "b") for n in range(100)])[ADA]
    assert AnomalyKind.SIDE in kinds(conduct, people=2)
    assert AnomalyKind.SIDE not in kinds(conduct, people=200)


def test_the_bar_is_that_of_bonferroni() -> None:
    assert FIGURES == 14
    # Two-sided 0.05 / 14: 0.00179 on either side, z = 2.914 (tables of the normal distribution).
    assert HouseFigures(1).bar == pytest.approx(2.914, abs=5e-4)


def test_thousands_of_pairs_do_not_make_a_small_difference_matter() -> None:
    # 53 of 100 left in 10,000 pairs is six standard errors from half, and nothing to talk about.
    deeds = [deed(n, ADA, "a", left="a" if n % 100 < 53 else "b") for n in range(10_000)]
    conduct = conduct_of(deeds)[ADA]
    assert conduct.left_p < 1e-8
    assert kinds(conduct) == {}


@pytest.mark.parametrize("choice", ["a", "b"])
def test_choosing_by_length_is_told_either_way(choice: str) -> None:
    # A, which the others choose 9 times of 10, is the longer one in half of the pairs: they choose it in 50 %.
    lengths = [(200, 100) if n < 50 else (100, 200) for n in range(100)]
    longer = ["a" if a > b else "b" for a, b in lengths]
    ada = [
        deed(n, ADA, longer[n] if choice == "a" else "ab"[longer[n] == "a"], len_a=a, len_b=b)
        for n, (a, b) in enumerate(lengths)
    ]
    others = [replace(d, len_a=lengths[d.comparison][0], len_b=lengths[d.comparison][1]) for d in crowd()]
    conduct = conduct_of([*others, *ada])[ADA]
    assert kinds(conduct)[AnomalyKind.LENGTH] is Severity.WARNING
    assert sentence(conduct, AnomalyKind.LENGTH) == (
        f"Chose the longer response in {100 if choice == 'a' else 0} of 100 pairs; others do so in 50 %."
    )


def test_always_the_same_grade_is_a_warning() -> None:
    conduct = of_ada(("ab"[n % 10 == 0] for n in range(100)), grade=Grade.NEGLIGIBLY_BETTER)
    assert kinds(conduct) == {AnomalyKind.GRADES: Severity.WARNING}
    assert sentence(conduct, AnomalyKind.GRADES) == (
        "Said “negligibly better” of 100 of 100 pairs; others do so in 25 %."
    )


def test_always_the_same_label_is_a_warning() -> None:
    labels = list(SafetyLabel)
    others = [
        replace(d, focus=Focus.SAFETY, safety=labels[(d.comparison + d.annotator) % 3]) for d in crowd(90)
    ]
    ada = [
        deed(n, ADA, "ab"[n % 10 == 0], grade=list(Grade)[n % 4], focus=Focus.SAFETY, safety=labels[1])
        for n in range(90)
    ]
    conduct = conduct_of([*others, *ada])[ADA]
    assert kinds(conduct) == {AnomalyKind.LABELS: Severity.WARNING}
    assert sentence(conduct, AnomalyKind.LABELS) == (
        "Said “both are safe” of 90 of 90 pairs; others do so in 33 %."
    )


def test_half_of_the_pairs_unread_is_a_warning() -> None:
    times = [2000 if n % 2 else 30_000 for n in range(100)]
    ada = [
        deed(n, ADA, "ab"[n % 10 == 0], active_ms=ms, grade=list(Grade)[n % 4]) for n, ms in enumerate(times)
    ]
    conduct = conduct_of([*crowd(active_ms=32_000), *ada])[ADA]
    assert kinds(conduct) == {AnomalyKind.PACE: Severity.WARNING}
    assert sentence(conduct, AnomalyKind.PACE) == (
        "50 of 100 pairs took under 8 seconds; others take 32 seconds."
    )


def test_agreeing_less_and_less_is_told() -> None:
    # As above 14 of 30 in the last third; before it 24 of 30, alone once in ten pairs. A third of the others' pairs
    # are with Ada: (2 * 80 + 47) / 3 = 69.
    choices = ["ab"[n % 10 == 0] for n in range(200)] + ["ab"[n % 2] for n in range(100)]
    conduct = of_ada(choices)
    assert kinds(conduct)[AnomalyKind.DRIFT] is Severity.NOTICE
    assert sentence(conduct, AnomalyKind.DRIFT) == (
        "Agreed with the others on 80 % at first and on 47 % in the last third; "
        "the others went from 80 % to 69 % meanwhile."
    )


def test_getting_much_quicker_than_before_and_than_others_is_told() -> None:
    ada = [
        deed(
            n, ADA, "ab"[n % 10 == 0], active_ms=(40_000 if n < 200 else 15_000) + n, grade=list(Grade)[n % 4]
        )
        for n in range(300)
    ]
    conduct = conduct_of([*crowd(300, active_ms=32_000), *ada])[ADA]
    assert kinds(conduct) == {AnomalyKind.HASTE: Severity.NOTICE}
    assert sentence(conduct, AnomalyKind.HASTE) == (
        "Takes 15 seconds a pair in the last third and took 40 seconds before; others take 32 seconds."
    )


def test_learning_to_be_as_quick_as_the_others_is_nothing() -> None:
    ada = [
        deed(
            n, ADA, "ab"[n % 10 == 0], active_ms=(80_000 if n < 200 else 30_000) + n, grade=list(Grade)[n % 4]
        )
        for n in range(300)
    ]
    assert kinds(conduct_of([*crowd(300, active_ms=32_000), *ada])[ADA]) == {}


def test_warnings_come_first() -> None:
    conduct = of_ada(("ab"[n % 2] for n in range(100)), left="a", grade=Grade.BETTER)
    severities = [found.severity for found in anomalies_of(conduct, HouseFigures(4))]
    assert severities == sorted(severities, key=[Severity.WARNING, Severity.NOTICE].index)
    assert len(severities) > 1


def test_only_those_with_enough_judgments_are_looked_at() -> None:
    deeds = [deed(n, who) for who, pairs in ((ADA, 30), (BEN, 29), (CLEO, 31)) for n in range(pairs)]
    assert house_of(conduct_of(deeds)) == HouseFigures(people=2)
