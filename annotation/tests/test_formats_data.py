"""Whole files of published data, where they lie beside the checkout: exact counts, made twice."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from annotation.core.formats.base import BadRow, ImportedJudgment, Item, Tie
from annotation.core.formats.lines import open_lines
from annotation.core.formats.registry import read
from annotation.core.grades import Choice
from annotation.tests.format_rows import DATA

FILES = {
    "hh-rlhf": "hh_harmless_pairs",
    "tulu": "tulu_human_eval_annotations",
    "pandalm": "pandalm_3annotators",
    "fgrlhf": "fgrlhf_qa_preferences",
    "ukpconvarg": "ukpconvarg_5annotators",
    "oasst": "oasst_ranked_trees",
}

# Per file: judgments, ties, bad rows by reason, and how they follow from plain counts of its values.
# hh: 1,379 rows; in 3 the chosen reply and in 1 an earlier one runs on into another turn, 2 replies are empty.
# tulu: 589 rows. Of 22 pairs of equal texts 21 are ties and 1 is "#ERROR!" twice; "#ERROR!" stands once more
#   beside a text and once beside a null. 188 - 21 = 167 ties; 589 - 167 - 21 - 2 - 1 = 398 judgments.
# pandalm: 535 rows of 3 votes; 6 rows hold a boolean, 25 an empty response, 1 an empty instruction. The other
#   503 hold 1,509 votes, 152 of them ties.
# fgrlhf: 322 rows of 6 comparisons: 1,023 times the first, 663 times the second, 246 ties.
# ukpconvarg: 3,456 rows of 5 votes and 44 of 4, 17,456 in all; 3 rows of 5 have equal arguments. Of the other
#   17,441 votes 3,743 are ties.
# oasst: 61 trees; the last test counts their pairs in another way.
EXPECTED: dict[str, tuple[int, int, dict[str, int]]] = {
    "hh-rlhf": (
        1373,
        0,
        {
            "chosen has two turns in a row of the Assistant: turns alternate, the Human's first": 4,
            "the last reply of chosen is empty": 2,
        },
    ),
    "tulu": (
        398,
        167,
        {
            "both responses are the same text": 21,
            "completion_a is #ERROR!: a spreadsheet put its error in the response's place": 2,
            "completion_a must be text, not null": 1,
        },
    ),
    "pandalm": (
        1357,
        152,
        {
            "response1 is empty": 17,
            "response2 is empty": 8,
            "response1 must be text, not true or false": 4,
            "response2 must be text, not true or false": 2,
            "instruction is empty": 1,
        },
    ),
    "fgrlhf": (1686, 246, {}),
    "ukpconvarg": (13698, 3743, {"both responses are the same text": 3}),
    "oasst": (249, 0, {"no prompt in this tree has two ranked replies by people": 3}),
}


def path_of(form: str) -> Path:
    path = DATA / f"{FILES[form]}.jsonl.gz"
    if not path.exists():
        pytest.skip(f"the published data are not here: shared/data/{path.name} beside the checkout")
    return path


def rows_of(form: str) -> list[dict[str, Any]]:
    with gzip.open(path_of(form), "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def items_of(form: str) -> list[Item]:
    return list(read(open_lines(path_of(form)), form=form))


@pytest.mark.parametrize("form", EXPECTED)
def test_a_published_file_gives_these_judgments_ties_and_bad_rows(form: str) -> None:
    items = items_of(form)
    reasons = Counter(item.reason for item in items if isinstance(item, BadRow))
    judgments = sum(isinstance(item, ImportedJudgment) for item in items)
    assert (judgments, sum(isinstance(item, Tie) for item in items), reasons) == EXPECTED[form]


@pytest.mark.parametrize("form", EXPECTED)
def test_ties_taken_as_unsure_become_judgments_and_nothing_else_changes(form: str) -> None:
    judgments, ties, reasons = EXPECTED[form]
    items = list(read(open_lines(path_of(form)), form=form, ties="unsure"))
    assert sum(isinstance(item, ImportedJudgment) for item in items) == judgments + ties
    assert sum(isinstance(item, BadRow) for item in items) == sum(reasons.values())


@pytest.mark.parametrize("form", EXPECTED)
def test_the_chosen_response_is_as_often_a_as_b(form: str) -> None:
    choices = Counter(item.choice for item in items_of(form) if isinstance(item, ImportedJudgment))
    n = choices.total()
    # Within four standard deviations of a fair coin; votes on one pair are not independent, at most 5 of them.
    assert abs(choices[Choice.A] - n / 2) <= 4 * (5 * n / 4) ** 0.5


def test_hh_replies_are_the_ends_of_their_transcripts() -> None:
    rows = rows_of("hh-rlhf")
    for item in items_of("hh-rlhf"):
        if isinstance(item, ImportedJudgment):
            row = rows[item.line - 1]
            pair = (item.response_a.text, item.response_b.text)
            chosen, rejected = pair if item.choice == "a" else pair[::-1]
            assert row["chosen"].rstrip().endswith(f"Assistant: {chosen}")
            assert row["rejected"].rstrip().endswith(f"Assistant: {rejected}")


def test_every_vote_of_every_row_is_accounted_for() -> None:
    tulu, pandalm, ukp = (rows_of(form) for form in ("tulu", "pandalm", "ukpconvarg"))
    assert len(items_of("tulu")) == len(tulu)
    bad = sum(EXPECTED["pandalm"][2].values())
    assert len(items_of("pandalm")) == 3 * (len(pandalm) - bad) + bad
    same = [row for row in ukp if row["a1"] == row["a2"]]
    votes = sum(len(row["assignments"]) for row in ukp if row not in same)
    assert len(items_of("ukpconvarg")) == votes + len(same)


def test_tulu_grades_agree_with_a_plain_count() -> None:
    rows = rows_of("tulu")
    lost = {None, "#ERROR!"}
    sound = [row for row in rows if not {row["completion_a"], row["completion_b"]} & lost]
    words = Counter(row["preference"][2:] for row in sound if row["completion_a"] != row["completion_b"])
    grades = Counter(item.grade for item in items_of("tulu") if isinstance(item, ImportedJudgment))
    assert grades == {"better": words["is-better"], "slightly_better": words["is-slightly-better"]}


def test_oasst_pairs_agree_with_a_count_by_parent() -> None:
    messages: dict[str, dict[str, Any]] = {}

    def collect(message: dict[str, Any]) -> None:
        messages[message["message_id"]] = message
        for reply in message["replies"]:
            collect(reply)

    def kept(message: dict[str, Any] | None) -> bool:
        while message is not None:
            if message["synthetic"] or message["deleted"]:
                return False
            message = messages.get(message.get("parent_id", ""))
        return True

    for row in rows_of("oasst"):
        collect(row["prompt"])
    ranked = [
        m for m in messages.values() if m["role"] == "assistant" and m.get("rank") is not None and kept(m)
    ]
    siblings = Counter(m["parent_id"] for m in ranked)
    # Ranks differ within every group of this file, so n siblings make n - 1 neighbours.
    assert len({(m["parent_id"], m["rank"]) for m in ranked}) == len(ranked)
    assert sum(n - 1 for n in siblings.values()) == EXPECTED["oasst"][0]
