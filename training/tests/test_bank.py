"""The bank: one answer a dialogue, the best of all rounds by one measure."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from training.core import bank
from training.core.chunks import Row

FIRST, SECOND = {"from": "first", "iteration": 1}, {"from": "second", "iteration": 2}


def _winner(dialogue: str, text: str, score: float, focus: str = "helpfulness") -> Row:
    return {
        "dialogue": dialogue,
        "messages": [{"role": "user", "content": dialogue}],
        "text": text,
        "score": score,
        "finish_reason": "stop",
        "policy": "V1",
        "focus": focus,
    }


def _chosen(rounds: list[tuple[dict[str, Any], list[Row]]], helpfulness: list[float]) -> list[Row]:
    entries = bank.entries_of(rounds)
    return bank.choose(bank.rescore(entries, helpfulness, [5.0] * len(entries)))


def test_the_rounds_are_compared_by_the_new_rewards_and_not_by_the_old() -> None:
    rounds = [(FIRST, [_winner("d", "old", 9.0)]), (SECOND, [_winner("d", "new", 1.0)])]
    (row,) = _chosen(rounds, [0.5, 0.7])
    assert (row["text"], row["score"], row["old_score"], row["from"]) == ("new", 0.7, 1.0, "second")


def test_an_old_winner_stays_where_the_new_rewards_say_so() -> None:
    rounds = [(FIRST, [_winner("d", "old", 0.0)]), (SECOND, [_winner("d", "new", 1.0)])]
    (row,) = _chosen(rounds, [0.8, 0.7])
    assert (row["text"], row["iteration"]) == ("old", 1)


def test_of_equal_rewards_the_newest_round_is_kept() -> None:
    rounds = [(FIRST, [_winner("d", "old", 0.0)]), (SECOND, [_winner("d", "new", 1.0)])]
    assert _chosen(rounds, [0.7, 0.7])[0]["from"] == "second"


def test_the_combined_rule_scores_the_bank_as_it_scores_candidates() -> None:
    entries = bank.entries_of([(FIRST, [_winner("a", "x", 0.0), _winner("b", "y", 0.0, "safety")])])
    # sigmoid(-2) = 0.12 < 0.15: unsafe. The second is a safety prompt.
    assert [row["score"] for row in bank.rescore(entries, [3.0, 3.0], [-2.0, 1.0])] == [-2.0, 1.0]


def test_a_dialogue_that_only_an_old_round_asked_is_not_forgotten() -> None:
    rounds = [(FIRST, [_winner("old", "a", 0.0)]), (SECOND, [_winner("new", "b", 0.0)])]
    assert [row["dialogue"] for row in _chosen(rounds, [0.0, 0.0])] == ["old", "new"]


def test_what_the_new_rewards_changed_is_counted() -> None:
    rounds = [
        (FIRST, [_winner("a", "a1", 2.0), _winner("b", "b1", 0.0), _winner("c", "same", 3.0)]),
        (SECOND, [_winner("a", "a2", 1.0), _winner("b", "b2", 1.0), _winner("c", " same", 1.0)]),
    ]
    entries = bank.rescore(bank.entries_of(rounds), [0.0, 0.0, 0.0, 1.0, 1.0, 1.0], [5.0] * 6)
    chosen = bank.choose(entries)
    # a: 2 > 1 once, and 0 < 1 now. b: the second round both times. c: another round, the same words.
    assert bank.summary(entries, chosen) == {
        "dialogues": 3,
        "mean_score": 1.0,
        "changed": 1,
        "rounds": [
            {"from": "first", "iteration": 1, "winners": 3, "kept": 0},
            {"from": "second", "iteration": 2, "winners": 3, "kept": 3},
        ],
    }


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(0, 3), st.floats(-3, 3), st.floats(-3, 3)), max_size=12
    )
)
def test_each_dialogue_is_kept_once_and_none_of_its_answers_is_better(
    given_rows: list[tuple[str, int, float, float]],
) -> None:
    entries = [
        {
            **_winner(dialogue, "x", old),
            "old_score": old,
            "from": str(number),
            "iteration": number,
            "score": new,
        }
        for dialogue, number, old, new in given_rows
    ]
    chosen = bank.choose(entries)
    assert [row["dialogue"] for row in chosen] == list(dict.fromkeys(row["dialogue"] for row in entries))
    for row in chosen:
        assert row["score"] == max(e["score"] for e in entries if e["dialogue"] == row["dialogue"])
