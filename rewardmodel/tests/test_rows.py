"""What of a dialogue a reward model reads."""

from __future__ import annotations

import pytest
from transformers import PreTrainedTokenizerBase

from annotation.core.records import Message
from rewardmodel.core.backbone import PolicyRef, encode_prompt, load_tokenizer
from rewardmodel.core.rows import RowEncoder
from rewardmodel.tests.examples import make_record


@pytest.fixture(scope="module")
def tokenizer(tiny: PolicyRef) -> PreTrainedTokenizerBase:
    return load_tokenizer(tiny)


def talk(turns: int, *, system: bool = False) -> list[Message]:
    """`turns` exchanges of numbered texts, the last without its answer."""
    messages: list[Message] = [{"role": "system", "content": "Be kind."}] if system else []
    for number in range(turns):
        messages.append({"role": "user", "content": f"Question {number}"})
        messages.append({"role": "assistant", "content": f"Answer {number}"})
    return messages[:-1]


def test_a_row_is_the_prompt_and_the_response_with_its_end_of_turn(
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    (row,) = RowEncoder(tokenizer, 1024).rows(talk(1), ["Hi"])
    assert tokenizer.decode(list(row.tokens[row.start :])) == "Hi<|im_end|>"
    assert list(row.tokens[: row.start]) == encode_prompt(tokenizer, talk(1))


def test_a_long_prompt_loses_its_oldest_exchanges_whole(tokenizer: PreTrainedTokenizerBase) -> None:
    # A byte is a token; a user turn takes 30, an answer 33, the opening of the next 22.
    whole = encode_prompt(tokenizer, talk(4))
    last_two = encode_prompt(tokenizer, talk(4)[4:])
    encoder = RowEncoder(tokenizer, 2 * len(last_two))
    assert len(whole) > len(last_two)
    assert encoder.cut(talk(4)) == talk(4)[4:]
    # One token less, and the next exchange goes too.
    assert RowEncoder(tokenizer, 2 * len(last_two) - 1).cut(talk(4)) == talk(4)[6:]
    assert RowEncoder(tokenizer, 2 * len(whole)).cut(talk(4)) == talk(4)


def test_the_system_message_and_the_last_user_turn_always_stay(tokenizer: PreTrainedTokenizerBase) -> None:
    messages = talk(3, system=True)
    assert RowEncoder(tokenizer, 16).cut(messages) == [messages[0], messages[-1]]


def test_the_response_is_never_cut_and_does_not_change_what_its_neighbours_are_read_behind(
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    encoder = RowEncoder(tokenizer, 64)
    short, long = encoder.rows(talk(3), ["Hi", "x" * 200])
    assert tokenizer.decode(list(long.tokens[long.start :])) == "x" * 200 + "<|im_end|>"
    assert encoder.rows(talk(3), ["Hi"]) == [short]


def test_a_pair_that_does_not_fit_is_reported_and_not_cut_to_equal_rows(
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    same_beginning = make_record(chosen="x" * 90 + "good", rejected="x" * 90 + "bad")
    assert RowEncoder(tokenizer, 100).pair(same_beginning) is None
    pair = RowEncoder(tokenizer, 200).pair(same_beginning)
    assert pair is not None
    assert pair.chosen.tokens != pair.rejected.tokens


def test_where_an_answer_changes_its_prompt_the_row_is_what_the_template_writes(tiny: PolicyRef) -> None:
    tokenizer = load_tokenizer(tiny)
    assert RowEncoder(tokenizer, 64).is_stable()
    # The opened turn promises a thought that an answered one does not hold.
    tokenizer.chat_template = (
        "{% for m in messages %}{{ m.role[0] }}:{{ m.content }}{{ eos_token }}{% endfor %}"
        "{% if add_generation_prompt %}a:[thinks]{% endif %}"
    )
    encoder = RowEncoder(tokenizer, 64)
    assert not encoder.is_stable()
    (row,) = encoder.rows([{"role": "user", "content": "Why?"}], ["So."])
    assert tokenizer.decode(list(row.tokens)) == "u:Why?<|im_end|>a:So.<|im_end|>"
    assert tokenizer.decode(list(row.tokens[row.start :])) == "So.<|im_end|>"
