"""Length, words and people: what accuracy is read beside."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from annotation.core.records import PreferenceRecord
from rewardmodel.core.evaluation import baselines
from rewardmodel.core.evaluation.baselines import people, words_credit
from rewardmodel.core.evaluation.pairs import ScoredPair, table_of
from rewardmodel.tests.examples import make_record
from rewardmodel.tests.scored import scored


def polite(number: int) -> PreferenceRecord:
    return make_record(number, chosen=f"Please wait {number}.", rejected=f"Wait now {number}.")


def test_a_bag_of_words_learns_which_words_are_chosen() -> None:
    found = words_credit([polite(n) for n in range(20)], [polite(n) for n in range(100, 104)])
    assert found is not None
    assert found.tolist() == [1.0] * 4


def test_a_bag_of_words_prefers_what_it_learnt_whatever_was_chosen() -> None:
    rude = make_record(7, chosen="Wait now.", rejected="Please wait.")
    found = words_credit([polite(n) for n in range(20)], [rude])
    assert found is not None
    assert found.tolist() == [0.0]


def test_chinese_has_words_too() -> None:
    train = [make_record(n, chosen="请您稍等一下", rejected="走开不要烦我") for n in range(4)]
    found = words_credit(train, [make_record(9, chosen="请坐", rejected="走")])
    assert found is not None
    assert found.tolist() == [1.0]


def test_words_that_nobody_has_seen_are_a_tie() -> None:
    found = words_credit([polite(n) for n in range(4)], [make_record(9, chosen="Oui", rejected="Non")])
    assert found is not None
    assert found.tolist() == [0.5]


@pytest.mark.parametrize("pairs", [0, 1])
def test_of_fewer_than_two_pairs_no_words_are_learnt(pairs: int) -> None:
    assert words_credit([polite(n) for n in range(pairs)], [polite(9)]) is None


def test_a_bag_of_words_learns_nothing_from_texts_without_a_common_word() -> None:
    train = [make_record(n, chosen=f"a{n}", rejected=f"b{n}") for n in range(2)]
    found = words_credit(train, [polite(9)])
    assert found is not None
    assert found.tolist() == [0.5]


def test_a_pair_on_which_people_agree_less_teaches_less() -> None:
    # Three pairs say "yes" and two say "no", but those that say "no" weigh four times as much.
    yes = [replace(make_record(n, chosen="yes", rejected="no"), weight=0.2) for n in range(3)]
    no = [replace(make_record(n, chosen="no", rejected="yes"), weight=0.8) for n in range(3, 5)]
    found = words_credit([*yes, *no], [make_record(9, chosen="no", rejected="yes")])
    assert found is not None
    assert found.tolist() == [1.0]


def test_many_pairs_are_taken_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baselines, "MOST_PAIRS", 3)
    found = words_credit([polite(n) for n in range(20)], [polite(100)])
    assert found is not None
    assert found.tolist() == [1.0]


def test_length_has_the_direction_that_training_pairs_have() -> None:
    # Here the longer response was chosen in one pair of four; in training the shorter one was always chosen.
    table = table_of([scored(0, 0, lengths=one) for one in ((2, 1), (1, 2), (1, 2), (1, 2))])
    found = baselines.baselines(table, [make_record(1, chosen="a", rejected="aa")])["length"]
    assert found == {"accuracy": 0.25, "learnt": "shorter", "learnt_accuracy": 0.75}


def judged(judgments: int, weight: float) -> ScoredPair:
    pair = scored(1, 0)
    return ScoredPair(replace(pair.record, judgments=judgments, weight=weight), 1.0, 0.0)


def test_peoples_agreement_counts_pairs_with_two_judgments_and_more() -> None:
    # Two of three: share 2/3; of the six ordered couples two agree, 1/3. Two of two: 1 and 1. The single one is out.
    found = people(table_of([judged(3, 2 / 3), judged(2, 1.0), judged(1, 1.0)]))
    assert found == {
        "agree": pytest.approx((2 / 3 + 1) / 2),
        "two_agree": pytest.approx((1 / 3 + 1) / 2),
        "pairs": 2,
    }


def test_there_is_no_ceiling_where_every_pair_was_judged_once() -> None:
    assert people(table_of([judged(1, 1.0)])) is None


def test_probabilities_are_no_shares_of_people() -> None:
    # Dawid-Skene: 0.93 of three judgments is no number of people, and then nor is 1.0.
    table = table_of([judged(3, 0.93), judged(3, 1.0)])
    assert people(table) is None
    assert np.isnan(table.people).all()
