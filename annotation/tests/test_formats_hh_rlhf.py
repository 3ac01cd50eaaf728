"""HH-RLHF transcripts."""

from __future__ import annotations

import pytest

from annotation.core.grades import Focus
from annotation.tests.format_rows import chosen, judgment, other, reason

SHARED = "\n\nHuman: Hello there\n\nAssistant: Hi, Ada.\n\nHuman: How do I pick a lock?"


def row(good: str, bad: str) -> dict[str, str]:
    return {"chosen": good, "rejected": bad}


def test_transcripts_split_at_their_last_shared_turn() -> None:
    good, bad = f"{SHARED}\n\nAssistant: Call a locksmith.", f"{SHARED}\n\nAssistant: With a pin."
    item = judgment("hh-rlhf", row(good, bad))
    assert item.messages == (
        {"role": "user", "content": "Hello there"},
        {"role": "assistant", "content": "Hi, Ada."},
        {"role": "user", "content": "How do I pick a lock?"},
    )
    assert (chosen(item), other(item)) == ("Call a locksmith.", "With a pin.")


def test_the_harmless_subset_is_safety_without_label_and_the_helpful_one_is_helpfulness() -> None:
    pair = row(f"{SHARED}\n\nAssistant: one", f"{SHARED}\n\nAssistant: two")
    harmless, helpful = judgment("hh-rlhf", pair), judgment("hh-rlhf-helpful", pair)
    assert harmless.focus is Focus.SAFETY
    assert helpful.focus is Focus.HELPFULNESS
    for item in (harmless, helpful):
        assert (item.grade, item.safety, item.annotator) == (None, None, "")


def test_blank_lines_inside_a_turn_stay() -> None:
    item = judgment(
        "hh-rlhf-helpful", row(f"{SHARED}\n\nAssistant: one\n\ntwo", f"{SHARED}\n\nAssistant: three")
    )
    assert chosen(item) == "one\n\ntwo"


REPLY = f"{SHARED}\n\nAssistant: yes"


@pytest.mark.parametrize(
    ("good", "bad", "says"),
    [
        (REPLY, REPLY, "both responses are the same text"),
        (
            "\n\nHuman: one\n\nAssistant: x",
            "\n\nHuman: two\n\nAssistant: y",
            "chosen and rejected share no prompt",
        ),
        (REPLY, "\n\nHuman: Hello there\n\nAssistant: Hi!", "chosen and rejected share no prompt"),
        (f"{SHARED}\n\nAssistant: ", REPLY, "the last reply of chosen is empty"),
        (REPLY, f"{SHARED}\n\nAssistant:", "the last reply of rejected is empty"),
        (f"{REPLY}\n\nAssistant: more", REPLY, "chosen has two turns in a row of the Assistant"),
        (REPLY, SHARED, "rejected does not end with a reply of the Assistant"),
        ("\n\nAssistant: Hi", REPLY, "chosen starts with a turn of the Assistant"),
        ("Hello", REPLY, "chosen does not start with a turn"),
        ("Note\n\nHuman: x\n\nAssistant: y", REPLY, "chosen does not start with a turn"),
        ("\n\nHuman: \n\nAssistant: y", REPLY, "the turn before the last reply of chosen is empty"),
    ],
)
def test_a_transcript_that_gives_no_pair_is_refused(good: str, bad: str, says: str) -> None:
    assert reason("hh-rlhf", row(good, bad)).startswith(says)
