"""UKPConvArg1."""

from __future__ import annotations

from typing import Any

import pytest

from annotation.core.formats.base import ImportedJudgment, Tie
from annotation.tests.format_rows import chosen, prompt, read_json, reason


def vote(worker: str, value: str, why: str = "") -> dict[str, str]:
    return {"worker": worker, "value": value, "reason": why}


def row(*votes: Any) -> dict[str, Any]:
    return {
        "id": "1_2",
        "title": "Cats or dogs?",
        "a1": "Cats purr.",
        "a2": "Dogs bark.",
        "assignments": votes,
    }


def test_every_worker_gives_a_judgment_or_a_tie() -> None:
    items = read_json("ukpconvarg", row(vote("Ada", "a1"), vote("Ben", "a2"), vote("Cem", "equal")))
    assert [chosen(item) for item in items[:2]] == ["Cats purr.", "Dogs bark."]
    assert [i.annotator for i in items if isinstance(i, ImportedJudgment)] == ["Ada", "Ben"]
    assert items[2] == Tie(1, "Cem")


def test_the_title_makes_the_prompt() -> None:
    (item,) = read_json("ukpconvarg", row(vote("Ada", "a1")))
    assert prompt(item) == "Give a convincing argument in this debate: Cats or dogs?"


def test_the_comment_tells_which_argument_the_reason_calls_a1() -> None:
    (item,) = read_json("ukpconvarg", row(vote("Ada", "a2", "A1 is off topic")))
    assert isinstance(item, ImportedJudgment)
    assert item.comment == "chosen: A2; other: A1. A1 is off topic"
    assert (item.reference, item.grade) == ("1_2", None)


@pytest.mark.parametrize(
    ("votes", "says"),
    [
        ([], "assignments is empty: nobody voted"),
        ([vote("Ada", "a3")], "assignments[0].value is 'a3': use one of a1, a2, equal"),
        (["a1"], "assignments[0] must be an object, not text"),
    ],
)
def test_a_vote_that_is_none_refuses_the_row(votes: list[Any], says: str) -> None:
    assert reason("ukpconvarg", row(*votes)) == says
