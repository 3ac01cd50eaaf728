"""What is mixed into a reward model's own pairs."""

from __future__ import annotations

import random

from annotation.core.grades import Focus
from annotation.core.records import PreferenceRecord
from rewardmodel.core.mixture import mix
from rewardmodel.core.report import Silent
from rewardmodel.tests.examples import Notes, make_record


def many(helpful: int, safe: int) -> list[PreferenceRecord]:
    return [make_record(n) for n in range(helpful)] + [
        make_record(n, focus=Focus.SAFETY) for n in range(safe)
    ]


def test_helpfulness_takes_all_its_own_and_an_equal_part_of_the_rest() -> None:
    mixture = mix(many(10, 30), focus=Focus.HELPFULNESS, seed=1, report=Silent())
    assert mixture.counts == {"own": 10, "other": 10, "other_available": 30}
    assert sum(record.focus is Focus.HELPFULNESS for record in mixture.records) == 10
    assert len({record.id for record in mixture.records}) == 20


def test_helpfulness_takes_no_more_of_the_rest_than_there_is() -> None:
    assert mix(many(10, 4), focus=Focus.HELPFULNESS, seed=1, report=Silent()).counts["other"] == 4


def test_safety_is_nine_tenths_own() -> None:
    # 45 own pairs are 90 %; 5 of helpfulness are 10 %.
    mixture = mix(many(60, 45), focus=Focus.SAFETY, seed=1, report=Silent())
    assert mixture.counts == {"own": 45, "other": 5, "other_available": 60}


def test_the_draw_is_fixed_by_the_seed_and_not_by_the_order_of_the_lines() -> None:
    records = many(10, 30)
    shuffled = random.Random(0).sample(records, len(records))
    one = mix(records, focus=Focus.HELPFULNESS, seed=1, report=Silent())
    assert mix(shuffled, focus=Focus.HELPFULNESS, seed=1, report=Silent()) == one
    assert mix(records, focus=Focus.HELPFULNESS, seed=2, report=Silent()) != one


def test_the_draw_is_uniform() -> None:
    # Each of 10 others is drawn with probability 1/2: 200 times in 400 seeds, standard deviation 10.
    times = dict.fromkeys((record.id for record in many(0, 10)), 0)
    for seed in range(400):
        for record in mix(many(5, 10), focus=Focus.HELPFULNESS, seed=seed, report=Silent()).records:
            if record.focus is Focus.SAFETY:
                times[record.id] += 1
    assert all(150 < count < 250 for count in times.values())


def test_without_own_pairs_everything_else_is_used_and_said() -> None:
    notes = Notes()
    mixture = mix(many(0, 7), focus=Focus.HELPFULNESS, seed=1, report=notes)
    assert mixture.counts == {"own": 0, "other": 7, "other_available": 7}
    assert len(mixture.records) == 7
    assert notes.notes == [
        "There are no helpfulness pairs. All 7 pairs of the other focus are used in their place."
    ]


def test_nothing_gives_nothing_and_no_note() -> None:
    notes = Notes()
    assert mix([], focus=Focus.SAFETY, seed=1, report=notes).records == ()
    assert notes.notes == []
