"""Rules that hold for every import format."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation.core.formats.base import MAX_TURNS, Abstention, BadRow, ImportedJudgment, Tie
from annotation.core.formats.mappings import FieldMapping, FocusMapping, Side
from annotation.core.formats.registry import FORMATS, read
from annotation.core.grades import Choice, Grade
from annotation.tests.format_rows import chosen, judgment, other, read_json, reason


def native(a: str = "Use a towel.", b: str = "Blow on it.", **fields: Any) -> dict[str, Any]:
    row = {"prompt": "How do I dry a cat?", "response_a": a, "response_b": b, "choice": "a"}
    return row | {"focus": "helpfulness", "annotator": "Ada"} | fields


def test_blank_lines_are_skipped_and_still_counted() -> None:
    lines = ["", json.dumps(native()), "   ", json.dumps(native())]
    assert [item.line for item in read(lines, form="native")] == [2, 4]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "not JSON: Expecting property name enclosed in double quotes at column 2"),
        ("[1]", "not a JSON object"),
        ("null", "not a JSON object"),
        ('{"prompt": NaN}', "NaN is no JSON number"),
        ("[" * 100_000, "a nesting beyond all measure"),
        ('{"id": ' + "9" * 5_000 + "}", "a number or a nesting beyond all measure"),
    ],
)
def test_a_line_that_is_no_object_is_a_bad_row(line: str, says: str) -> None:
    (item,) = read([line], form="native")
    assert isinstance(item, BadRow)
    assert says in item.reason


def test_a_bad_row_does_not_stop_the_file() -> None:
    items = list(read(["{", json.dumps(native())], form="native"))
    assert [type(item) for item in items] == [BadRow, ImportedJudgment]


def test_an_unknown_format_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="no import format 'csv': use one of native, snapshot"):
        read([], form="csv")


def test_reading_streams() -> None:
    def endless() -> Iterator[str]:
        while True:
            yield json.dumps(native())

    items = read(endless(), form="native")
    assert [next(items).line for _ in range(3)] == [1, 2, 3]


def test_responses_that_differ_in_outer_blanks_only_are_the_same() -> None:
    assert reason("native", native("Yes.", "Yes. \n")) == "both responses are the same text"


def test_a_pair_given_the_other_way_round_is_the_same_pair() -> None:
    straight = judgment("native", native("one", "two", choice="a"))
    swapped = judgment("native", native("two", "one", choice="b"))
    assert straight == swapped
    assert chosen(straight) == "one"
    assert other(straight) == "two"


@given(
    st.text(min_size=1).filter(lambda s: s.strip() and "\0" not in s),
    st.text(min_size=1).filter(lambda s: s.strip() and "\0" not in s),
)
def test_order_in_the_file_never_matters(one: str, two: str) -> None:
    straight = read_json("native", native(one, two, choice="a"))
    assert straight == read_json("native", native(two, one, choice="b"))
    if isinstance(straight[0], ImportedJudgment):
        assert chosen(straight[0]) == one


def test_the_place_of_the_chosen_response_says_nothing() -> None:
    # 1,000 fair coins: mean 500, standard deviation 15.8; four of them either way.
    rows = [native(f"good {n}", f"bad {n}", choice="a") for n in range(1000)]
    counts = Counter(item.choice for item in read_json("native", *rows) if isinstance(item, ImportedJudgment))
    assert 437 <= counts[Choice.A] <= 563


def test_a_tie_is_left_out_and_counted() -> None:
    assert read_json("native", native(choice="tie")) == [Tie(line=1, annotator="Ada")]


def test_a_tie_may_become_an_unsure_judgment() -> None:
    item = judgment("native", native(choice="tie"), ties="unsure")
    assert item.grade is Grade.NEGLIGIBLY_BETTER


def test_the_coin_of_a_tie_depends_on_content_alone() -> None:
    rows = [native(f"one {n}", f"two {n}", choice="tie") for n in range(1000)]
    swapped = [native(f"two {n}", f"one {n}", choice="tie") for n in range(1000)]
    items = read_json("native", *rows, ties="unsure")
    assert items == read_json("native", *swapped, ties="unsure")
    # Fair between a and b, and between the first and the second of the file (bounds as above).
    assert 437 <= sum(item.choice == "a" for item in items if isinstance(item, ImportedJudgment)) <= 563
    assert 437 <= sum(chosen(item).startswith("one") for item in items) <= 563


def test_people_who_tie_on_the_same_pair_do_not_side_together() -> None:
    rows = [native(choice="tie", annotator=f"annotator {n}") for n in range(1000)]
    items = read_json("native", *rows, ties="unsure")
    assert 437 <= sum(item.choice == "a" for item in items if isinstance(item, ImportedJudgment)) <= 563


def test_a_choice_keeps_its_grade_when_ties_are_unsure() -> None:
    item = judgment("native", native(grade="better"), ties="unsure")
    assert item.grade is Grade.BETTER


def test_the_same_fault_seen_by_several_people_is_one_bad_row() -> None:
    votes = [{"worker": name, "value": "equal", "reason": ""} for name in ("Ada", "Ben")]
    row = {"id": "1", "title": "Cats or dogs?", "a1": "Cats.", "a2": "Cats.", "assignments": votes}
    assert reason("ukpconvarg", row) == "both responses are the same text"


def test_a_dialogue_of_endless_turns_is_refused() -> None:
    turns = [{"role": ("user", "assistant")[n % 2], "content": "on"} for n in range(MAX_TURNS + 1)]
    row = native(messages=turns)
    del row["prompt"]
    assert reason("native", row) == "the dialogue has more than 1,000 turns"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a\0b", "response_a holds a NUL character"),
        ("\ud83d", "response_a holds half of a surrogate pair"),
        ("  \n", "response_a is empty"),
    ],
)
def test_text_that_no_database_can_hold_is_refused(text: str, says: str) -> None:
    assert says in reason("native", native(text))


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(
        ["a", "tie", "yes", "a1", "prompter", "assistant", "\n\nHuman: x\n\nAssistant: y", "a-is-better"]
    ),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)
MESSAGE = {"role": "prompter", "text": "Hi", "replies": [{"role": "assistant", "text": "Hello", "rank": 0}]}
ASKED = {"role": "user", "content": "x"}
TOLD = {"role": "assistant", "content": "y"}
CHOSEN = {"from_name": "q", "type": "pairwise", "value": {"selected": "left"}}
ANNOTATION = {"completed_by": 1, "was_cancelled": False, "result": [CHOSEN]}
ANSWER = {"user_id": "u", "value": [{"rank": 1, "value": "a"}, {"rank": 2, "value": "b"}]}
SOUND: dict[str, dict[str, Any]] = {
    "native": native(),
    "hh-rlhf": {
        "chosen": "\n\nHuman: x\n\nAssistant: y",
        "rejected": "\n\nHuman: x\n\nAssistant: z",
    },
    "hh-rlhf-helpful": {"chosen": "\n\nHuman: x\n\nAssistant: y", "rejected": "\n\nHuman: x\n\nAssistant: z"},
    "tulu": dict.fromkeys(("prompt", "completion_a", "completion_b"), "x")
    | dict.fromkeys(("completion_a_is_acceptable", "completion_b_is_acceptable"), "yes")
    | {"preference": "tie"},
    "pandalm": dict.fromkeys(("instruction", "response1", "response2"), "x")
    | dict.fromkeys(("annotator1", "annotator2", "annotator3"), 1),
    "oasst": {"prompt": MESSAGE},
    "fgrlhf": {"question": "x", "passages": [["t", "s"]], "preference": [0, 1, 2, 0, 1, 2]}
    | {f"prediction {n}": str(n) for n in range(1, 5)},
    "ukpconvarg": {"title": "x", "a1": "y", "a2": "z", "assignments": [{"worker": "w", "value": "a1"}]},
    "snapshot": {
        "messages": [ASKED],
        "chosen": "y",
        "rejected": "z",
        "focus": "safety",
        "safety": "both_safe",
    },
    "judgments": {"messages": [ASKED], "response_a": "y", "response_b": "z", "choice": "a"}
    | {"focus": "safety", "safety": "", "grade": "better", "annotator": "x"},
    "trl-preference": {"prompt": [ASKED], "chosen": [TOLD], "rejected": [TOLD], "margin": 1.0},
    "openrlhf": {"chosen": "Why so? Yes.", "rejected": "Why so? No.", "margin": 1.0},
    "llama-factory": {"conversations": [{"from": "human", "value": "x"}], "system": ""}
    | {key: {"from": "gpt", "value": "y"} for key in ("chosen", "rejected")},
    "axolotl": {"messages": [ASKED], "system": "x", "chosen": TOLD, "rejected": "z"},
    "rewardbench": {"prompt": "x", "chosen": "y", "rejected": "z", "chosen_model": "V1", "id": 1},
    "label-studio": {"id": 1, "data": {"prompt": "x", "a": "y", "b": "z"}, "annotations": [ANNOTATION]},
    "argilla": {"id": "1", "fields": {"prompt": "x", "a": "y", "b": "z"}, "responses": {"q": [ANSWER]}},
    "rm-bench": {"id": 1, "prompt": "x", "domain": "chat"}
    | {"chosen": ["a", "b", "c"], "rejected": ["d", "e", "f"]},
    "llmbar": {"input": "x", "output_1": "y", "output_2": "z", "label": 1},
}
FREE = FieldMapping(
    prompt="prompt", response_a="a", response_b="b", choice="q", values={"left": Side.A, "a": Side.A}
)
MAPPINGS: dict[str, FocusMapping] = {"label-studio": FREE, "argilla": FREE}


@pytest.mark.parametrize("form", FORMATS)
@given(data=st.data())
def test_no_row_whatever_raises(form: str, data: st.DataObject) -> None:
    row = SOUND[form]
    changes = data.draw(st.dictionaries(st.sampled_from(sorted(row)), JSON_VALUES, min_size=1, max_size=3))
    items = list(read([json.dumps(row | changes)], form=form, mapping=MAPPINGS.get(form)))
    assert all(isinstance(item, ImportedJudgment | Tie | Abstention | BadRow) for item in items)
