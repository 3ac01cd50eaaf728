"""OpenAssistant message trees."""

from __future__ import annotations

from typing import Any

import pytest

from annotation.core.formats.base import ImportedJudgment
from annotation.tests.format_rows import chosen, other, read_json, reason


def reply(text: str, rank: int | None = None, *below: Any, **flags: Any) -> dict[str, Any]:
    return {"role": "assistant", "text": text, "rank": rank, "replies": list(below)} | flags


def asks(text: str, *replies: Any, **flags: Any) -> dict[str, Any]:
    return {"role": "prompter", "text": text, "replies": list(replies)} | flags


def tree(prompt: Any, **fields: Any) -> dict[str, Any]:
    return {"message_tree_id": "t1", "tree_state": "ready_for_export", "prompt": prompt} | fields


def pairs(row: Any) -> list[tuple[str, str]]:
    return [(chosen(item), other(item)) for item in read_json("oasst", row)]


def test_replies_next_to_each_other_in_rank_make_a_pair() -> None:
    row = tree(asks("Hi", reply("worst", 2), reply("best", 0), reply("middle", 1)))
    assert pairs(row) == [("best", "middle"), ("middle", "worst")]
    item = read_json("oasst", row)[0]
    assert isinstance(item, ImportedJudgment)
    assert (item.grade, item.annotator, item.reference) == (None, "", "t1")


def test_equal_ranks_make_no_pair() -> None:
    row = tree(asks("Hi", reply("x", 0), reply("y", 1), reply("z", 1)))
    assert pairs(row) == [("x", "y")]


def test_synthetic_deleted_refused_and_unranked_replies_are_left_out() -> None:
    row = tree(
        asks(
            "Hi",
            reply("one", 0),
            reply("made", 1, synthetic=True),
            reply("gone", 2, deleted=True),
            reply("spam", 3, review_result=False),
            reply("four", 4, review_result=True),
            reply("late"),
        )
    )
    assert pairs(row) == [("one", "four")]


def test_a_deeper_prompt_carries_its_dialogue() -> None:
    below = asks("More?", reply("yes", 0), reply("no", 1))
    row = tree(asks("Hi", reply("Hello", 0, below), reply("Hey", 1)))
    shallow, deep = read_json("oasst", row)
    assert isinstance(shallow, ImportedJudgment)
    assert isinstance(deep, ImportedJudgment)
    assert len(shallow.messages) == 1
    assert deep.messages == (
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello"},
        {"role": "user", "content": "More?"},
    )
    assert (chosen(deep), other(deep)) == ("yes", "no")


def test_what_hangs_below_a_message_that_is_left_out_is_left_out_too() -> None:
    below = asks("More?", reply("yes", 0), reply("no", 1))
    gone = asks("More!", reply("yes", 0), reply("no", 1), synthetic=True)
    row = tree(asks("Hi", reply("made", 0, below, synthetic=True), reply("one", 1, gone), reply("two", 2)))
    assert pairs(row) == [("one", "two")]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (tree(asks("Hi", reply("only", 0))), "no prompt in this tree has two ranked replies by people"),
        (
            tree(asks("Hi"), tree_state="growing"),
            "tree_state is 'growing': only trees that are ready_for_export",
        ),
        (tree(reply("Hi", 0)), "prompt.role must be prompter"),
        (tree(asks("Hi", asks("Hi"))), "prompt.replies[0].role must be assistant"),
        (tree(asks("Hi", reply("a", 0), reply("b", -1))), "prompt.replies[1].rank is -1: use a whole number"),
        (tree(asks("Hi", reply("a", 0), reply("", 1))), "prompt.replies[1].text is empty"),
        (
            tree(asks("Hi", reply("a", 0, deleted="no"))),
            "prompt.replies[0].deleted must be true or false, not text",
        ),
        (tree(None), "prompt must be an object, not null"),
    ],
)
def test_a_tree_without_a_ranked_pair_is_refused(row: Any, says: str) -> None:
    assert reason("oasst", row).startswith(says)
