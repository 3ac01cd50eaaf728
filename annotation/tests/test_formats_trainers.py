"""Trainers' sets as others write them: forms that Margin's own exports do not have, and rows that are refused."""

from __future__ import annotations

from typing import Any

import pytest

from annotation.core.formats.base import ImportedJudgment
from annotation.tests.format_rows import chosen, judgment, other, prompt, reason

USER = {"role": "user", "content": "Name a bird."}
GOOD = {"role": "assistant", "content": "Wren."}
BAD = {"role": "assistant", "content": "Bat."}


def both(item: ImportedJudgment) -> tuple[str, str, str]:
    return prompt(item), chosen(item), other(item)


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": [USER], "chosen": [GOOD], "rejected": [BAD]},
        {"prompt": "Name a bird.", "chosen": [USER, GOOD], "rejected": [USER, BAD]},
        {"prompt": "Name a bird.", "chosen": [GOOD], "rejected": [BAD]},
        {"chosen": [USER, GOOD], "rejected": [USER, BAD]},
        {"prompt": "Name a bird.", "chosen": "Wren.", "rejected": "Bat."},
        {"chosen": "Name a bird. Wren.", "rejected": "Name a bird. Bat."},
    ],
)
@pytest.mark.parametrize("form", ["trl-preference", "openrlhf", "rewardbench"])
def test_prompt_and_replies_may_be_text_or_messages_and_the_prompt_shared(
    form: str, row: dict[str, Any]
) -> None:
    assert both(judgment(form, row)) == ("Name a bird.", "Wren.", "Bat.")


def test_texts_that_share_the_beginning_of_a_word_are_not_cut_inside_it() -> None:
    item = judgment("trl-preference", {"chosen": "The sky is blue.", "rejected": "The sky is black."})
    assert both(item) == ("The sky is", "blue.", "black.")


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"chosen": "Yes.", "rejected": "No."}, "begin with the same words and go on"),
        ({"chosen": "Well then", "rejected": "Well "}, "begin with the same words and go on"),
        (
            {"chosen": [USER, GOOD], "rejected": "Bat."},
            "chosen is a list and rejected text: write both alike",
        ),
        ({"chosen": [], "rejected": []}, "chosen is empty"),
        ({"chosen": [USER], "rejected": [USER, BAD]}, "chosen ends with a turn of the user"),
        (
            {"chosen": [{**USER, "content": "Name a fish."}, GOOD], "rejected": [USER, BAD]},
            "share no prompt: their turns before the last reply differ",
        ),
        ({"prompt": "Name a fish.", "chosen": [USER, GOOD], "rejected": [USER, BAD]}, "not among the turns"),
        ({"prompt": [USER, GOOD], "chosen": [GOOD], "rejected": [BAD]}, "must end with a user turn"),
        ({"chosen": [GOOD], "rejected": [BAD]}, "must end with a user turn"),
        ({"prompt": "x", "chosen": "y", "rejected": "z", "margin": "2"}, "margin is '2'"),
    ],
)
def test_a_row_without_one_prompt_and_two_replies_says_why(row: dict[str, Any], says: str) -> None:
    assert says in reason("trl-preference", row)


def test_openrlhf_may_call_the_prompt_input() -> None:
    row = {"input": "Name a bird.", "chosen": "Wren.", "rejected": "Bat."}
    assert both(judgment("openrlhf", row)) == ("Name a bird.", "Wren.", "Bat.")
    assert "give either input or prompt" in reason("openrlhf", {**row, "prompt": "x"})


def test_llama_factory_may_use_openais_words() -> None:
    row = {"messages": [USER], "chosen": GOOD, "rejected": BAD}
    assert both(judgment("llama-factory", row)) == ("Name a bird.", "Wren.", "Bat.")
    assert "chosen ends with a turn of the user" in reason("llama-factory", {**row, "chosen": USER})
    assert "conversations is missing" in reason("llama-factory", {"chosen": GOOD, "rejected": BAD})


def test_a_system_message_in_a_field_of_its_own_opens_the_dialogue() -> None:
    item = judgment(
        "axolotl", {"system": "Be brief.", "input": "Name a bird.", "chosen": "Wren.", "rejected": "Bat."}
    )
    assert [message["role"] for message in item.messages] == ["system", "user"]
