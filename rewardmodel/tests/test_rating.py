"""Rating chunk by chunk: in order, once each, and what cannot be rated apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import pytest

from annotation.core.records import Message
from rewardmodel.core.rating import RESPONSES_PER_CHUNK, chunks_of, rate, rate_kept, why_unratable
from rewardmodel.core.rows import Row
from rewardmodel.core.scorer import Group

ASKED: tuple[Message, ...] = ({"role": "user", "content": "Why?"},)


class Lengths:
    """A reward model whose reward is a response's length. It cannot read a response of more than ten letters."""

    def __init__(self) -> None:
        self.rated = 0

    def encode(self, group: Group) -> list[Row]:
        if any(len(text) > 10 for text in group[1]):
            raise ValueError("too many letters")
        return [Row((1,) * (1 + len(text)), 1) for text in group[1]]

    def rewards(self, groups: Sequence[Sequence[Row]]) -> list[list[float]]:
        self.rated += sum(len(group) for group in groups)
        return [
            [math.inf if len(row.tokens) == 1 else len(row.tokens) - 1 for row in group] for group in groups
        ]


def test_a_response_that_cannot_be_rated_does_not_cost_the_others_theirs() -> None:
    ((first, fault, last), second) = rate(Lengths(), [(ASKED, ["ab", "x" * 11, "abc"]), (ASKED, ["a"])])
    assert (first, last, second) == (2, 3, [1])
    assert fault == "the model's chat template does not take this dialogue: too many letters."


def test_a_reward_that_is_no_number_is_a_reason() -> None:
    assert rate(Lengths(), [(ASKED, ["a", ""])]) == [[1, "the model gave no number for it."]]


def test_the_first_fault_of_a_group_is_told_before_anything_is_rated() -> None:
    model = Lengths()
    assert why_unratable(model, (ASKED, ["a", "b"])) == ""
    assert "too many letters" in why_unratable(model, (ASKED, ["a", "x" * 11]))
    assert model.rated == 0


def test_what_was_rated_is_not_rated_again(tmp_path: Path) -> None:
    model = Lengths()
    chunk: list[Group] = [(ASKED, ["ab", "x" * 11])]
    first = rate_kept(model, chunk, identity="x", kept=tmp_path)
    assert rate_kept(model, chunk, identity="x", kept=tmp_path) == first
    assert model.rated == 1


@pytest.mark.parametrize(
    ("identity", "response"), [("another model", "ab"), ("x", "ac")], ids=["model", "response"]
)
def test_another_model_or_text_is_rated_anew(tmp_path: Path, identity: str, response: str) -> None:
    model = Lengths()
    rate_kept(model, [(ASKED, ["ab"])], identity="x", kept=tmp_path)
    rate_kept(model, [(ASKED, [response])], identity=identity, kept=tmp_path)
    assert model.rated == 2


def test_chunks_hold_all_groups_in_order_and_divide_none() -> None:
    groups: list[Group] = [(ASKED, ["a"] * size) for size in (1, RESPONSES_PER_CHUNK, 3, 0, 300, 2)]
    chunks = list(chunks_of(groups))
    assert [group for chunk in chunks for group in chunk] == groups
    assert [len(chunk) for chunk in chunks] == [2, 3, 1]
