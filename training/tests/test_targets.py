"""What there is to learn: lines of targets, winners of several rounds, a snapshot's chosen, conversations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from annotation.core.grades import SafetyLabel
from annotation.core.records import canonical_json
from rewardmodel.core.report import RunFailedError
from rewardmodel.tests.examples import make_record, write_snapshot
from training.core.conversations import LineError, check_lines, conversation, fault_of
from training.core.sources import chosen_of, hashes_of, read_conversations, read_sources
from training.core.spec import RunKind
from training.core.targets import TARGETS, read_targets, read_winners, response_key
from training.tests.jobs import write_lines


def row(number: int, **fields: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": f"Why {number}?"}]
    found = {"dialogue": f"d{number}", "messages": messages, "text": f"So {number}.", "policy": "p"}
    return found | {"focus": "helpfulness", "finish_reason": "stop"} | fields


# Lines


def test_every_kind_that_makes_something_to_learn_names_its_file() -> None:
    assert set(TARGETS) == {RunKind.REJECTION_SAMPLE, RunKind.GATT, RunKind.DISTILL, RunKind.SELF_CHAT}


def test_a_line_says_what_is_learnt_of_it(tmp_path: Path) -> None:
    rows = [
        row(1),
        row(2, learn="every", finish_reason="length", score=2),
        row(3, learn="last"),
        row(4, text=" "),
    ]
    found = read_targets(write_lines(tmp_path / "targets.jsonl", rows))
    assert [(one.dialogue, one.every, one.cut, one.score) for one in found] == [
        ("d1", False, False, 0.0),
        ("d2", True, True, 2.0),
        ("d3", False, False, 0.0),  # and d4 says nothing
    ]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"text": None}, "text is not a text"),
        ({"dialogue": 7}, "dialogue is not a text"),
        ({"messages": "Hi"}, "messages is not a list"),
        ({"messages": [{"role": "user"}]}, "messages is not a list of {role, content}"),
        ({"messages": [{"role": "assistant", "content": "Hi"}]}, "does not end with a user's turn"),
        ({"messages": []}, "does not end with a user's turn"),
        ({"learn": "first"}, "learn is neither last nor every"),
    ],
)
def test_a_line_that_is_no_target_is_named(tmp_path: Path, fields: dict[str, Any], reason: str) -> None:
    file = write_lines(tmp_path / "targets.jsonl", [row(1), row(2, **fields)])
    with pytest.raises(RunFailedError, match=r"targets\.jsonl, target 2: ") as failed:
        read_targets(file)
    assert reason in str(failed.value)


def test_the_best_winner_of_a_dialogue_counts_over_all_rounds_and_the_newest_of_equals(
    tmp_path: Path,
) -> None:
    older = [row(1, text="best", score=3.0), row(2, text="old", score=1.0), row(3, text="only")]
    newer = [row(2, text="new", score=1.0), row(1, text="worse", score=2.0), row(4, text=" ")]
    files = [write_lines(tmp_path / f"{number}.jsonl", rows) for number, rows in enumerate([older, newer])]
    assert [one.text for one in read_winners(files)] == ["best", "new", "only"]


# A snapshot


def test_of_a_snapshot_the_chosen_responses_of_its_training_pairs_are_learnt() -> None:
    records = [
        make_record(1),
        make_record(2, split="test"),
        make_record(3, safety=SafetyLabel.BOTH_UNSAFE),
        make_record(4, safety=SafetyLabel.BOTH_SAFE),
        make_record(5, chosen=" "),
    ]
    found = chosen_of(records)
    assert [one.text for one in found] == [records[0].chosen, records[3].chosen]
    assert [one.messages for one in found] == [records[0].messages, records[3].messages]
    assert not any(one.every or one.cut for one in found)


def test_a_response_that_won_twice_is_learnt_once() -> None:
    one = make_record(1)
    again = make_record(2, messages=one.messages, chosen=f" {one.chosen} ")
    assert len(chosen_of([one, again])) == 1


def test_a_chosen_response_that_was_cut_is_known_by_its_key() -> None:
    records = [make_record(1), make_record(2)]
    cut = frozenset({response_key(records[1].dialogue, records[1].chosen)})
    assert [one.cut for one in chosen_of(records, cut)] == [False, True]


# Conversations


def talk(*contents: str, system: str = "") -> dict[str, Any]:
    turns = [
        {"role": "assistant" if number % 2 else "user", "content": content}
        for number, content in enumerate(contents)
    ]
    return {"messages": [*([{"role": "system", "content": system}] if system else []), *turns]}


def test_every_answer_of_a_conversation_is_learnt() -> None:
    given = talk("Hi", "Yo", "Why?", "So.", system="Be kind.")
    target = conversation(given)
    assert (target.messages, target.text) == (tuple(given["messages"][:-1]), "So.")
    assert (target.every, target.cut) == (True, False)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ([], "an object"),
        ({"turns": []}, "an object"),
        ({"messages": []}, "messages is empty"),
        ({"messages": ["Hi"]}, "message 1: a message is an object"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "message 1: its role is none of"),
        ({"messages": [{"role": "user", "content": " "}]}, "message 1: its content is no text"),
        ({"messages": [{"role": "user", "content": 3}]}, "message 1: its content is no text"),
        ({"messages": [{"role": "user", "content": "Hi", "weight": 0}]}, "and not 'weight'"),
        (talk("Hi"), "the last word is not an assistant's"),
        (
            {"messages": [*talk("Hi", "Yo")["messages"], talk("x", "y")["messages"][1]]},
            "message 3: here the user",
        ),
        ({"messages": talk("Hi", "Yo")["messages"][1:]}, "message 1: here the user speaks"),
        ({"messages": [{"role": "system", "content": "Be kind."}]}, "the last word"),
    ],
)
def test_what_is_wrong_with_a_conversation_is_said(given: Any, reason: str) -> None:
    assert reason in fault_of(given)


def test_lines_are_checked_one_by_one_and_kept_in_one_form() -> None:
    good = talk("Hi", "Yo")
    lines = [json.dumps({"id": 7, **good}), "", "{", json.dumps(talk("Hi"))]
    first, second, third = check_lines(lines)
    assert first == canonical_json(good) + "\n"  # fields that nobody reads are gone
    assert second == LineError(3, "this is not JSON")
    assert isinstance(third, LineError)
    assert third.line == 4


def test_equal_conversations_count_once(tmp_path: Path) -> None:
    file = write_lines(tmp_path / "own.jsonl", [talk("Hi", "Yo"), talk("Hi", "Ah"), talk("Hi", "Yo")])
    assert [one.text for one in read_conversations(file)] == ["Yo", "Ah"]


def test_a_bad_conversation_fails_the_run(tmp_path: Path) -> None:
    file = write_lines(tmp_path / "own.jsonl", [talk("Hi", "Yo"), talk("Hi")])
    with pytest.raises(RunFailedError, match=r"own\.jsonl, conversation 2: the last word"):
        read_conversations(file)


# All together


def test_sources_of_any_mixture_are_read_and_hashed(tmp_path: Path) -> None:
    winners = write_lines(tmp_path / "winners.jsonl", [row(1), row(1, score=1.0)])
    targets = write_lines(tmp_path / "targets.jsonl", [row(1), row(1)])
    own = write_lines(tmp_path / "own.jsonl", [talk("Hi", "Yo")])
    snapshot = write_snapshot(tmp_path / "snapshot", [make_record(1), make_record(2, split="test")])
    inputs = {
        "targets": [str(winners)],
        "lines": [str(targets)],
        "conversations": str(own),
        "snapshot": str(snapshot),
    }
    # Winners of one dialogue are rivals; other targets of one dialogue are not.
    counts = {name: len(found) for name, found in read_sources(inputs).items()}
    assert counts == {"targets": 1, "lines": 2, "snapshot": 1, "conversations": 1}
    hashes = hashes_of(inputs)
    assert [len(hashes["targets"][0]), len(hashes["lines"][0]), len(hashes["conversations"])] == [64] * 3
    assert hashes["snapshot"]["name"]
    assert read_sources({"targets": [str(winners)]}).keys() == {"targets"}
