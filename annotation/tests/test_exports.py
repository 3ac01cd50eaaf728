"""What records become for the trainers of others."""

from __future__ import annotations

import json
from dataclasses import asdict, fields, replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from annotation.core.exports import judgments
from annotation.core.exports.base import Passage, line_of
from annotation.core.exports.judgments import JudgmentRecord, utc_text
from annotation.core.exports.registry import EXPORTS, NAMES
from annotation.core.formats.registry import read
from annotation.core.grades import Focus, SafetyLabel
from annotation.core.records import Message
from annotation.tests.export_records import (
    QUESTION,
    RULED,
    TALK,
    left_out,
    make_judgment_record,
    make_record,
    row_of,
    rows_of,
)

PAIRS = ("trl-preference", "openrlhf", "llama-factory", "axolotl", "axolotl-rm", "hh-rlhf", "rewardbench")


def said(text: str) -> Message:
    return {"role": "assistant", "content": text}


def test_the_native_row_is_the_record() -> None:
    record = make_record(RULED, grade=None, margin=0.0)
    assert row_of("native", record) == {**asdict(record), "messages": list(RULED)}
    assert json.loads(line_of(row_of("native", record))) == json.loads(record.to_line())


@pytest.mark.parametrize("form", ["trl-preference", "openrlhf"])
def test_a_margin_row_has_lists_of_messages_and_a_float(form: str) -> None:
    record = make_record(RULED)
    assert row_of(form, record) == {
        "prompt": list(RULED),
        "chosen": [said("A wren.")],
        "rejected": [said("A bat.")],
        "margin": 2 / 3,
        "id": record.id,
    }


@pytest.mark.parametrize("form", ["trl-preference", "openrlhf"])
def test_every_row_has_a_margin_that_is_a_float(form: str) -> None:
    records = [make_record(grade=None, margin=0), make_record(TALK, margin=1), make_record(RULED)]
    assert [line_of(row).count('"margin":0.0') for row in rows_of(form, *records)] == [1, 0, 0]
    assert [type(row["margin"]) for row in rows_of(form, *records)] == [float] * 3


def test_a_prompt_stands_once_in_a_file() -> None:
    records = [make_record(TALK), make_record(QUESTION), make_record(TALK, chosen="A robin.")]
    assert rows_of("trl-prompt", *records) == [
        {"prompt": list(TALK), "id": records[0].dialogue},
        {"prompt": list(QUESTION), "id": records[1].dialogue},
    ]
    assert left_out("trl-prompt", *records) == {"the same as an earlier row": 1}


def test_a_chosen_answer_is_learned_once() -> None:
    records = [make_record(TALK), make_record(TALK, rejected="None."), make_record(TALK, chosen="A robin.")]
    assert [row["messages"] for row in rows_of("trl-sft", *records)] == [
        [*TALK, said("A wren.")],
        [*TALK, said("A robin.")],
    ]


def test_an_unsafe_or_empty_answer_is_not_to_be_learned() -> None:
    unsafe = make_record(focus=Focus.SAFETY, safety=SafetyLabel.BOTH_UNSAFE)
    safe = [replace(unsafe, safety=label) for label in (SafetyLabel.CHOSEN_SAFE, SafetyLabel.BOTH_SAFE)]
    assert left_out("trl-sft", unsafe, make_record(chosen="\n")) == {
        "the chosen answer is unsafe and not to be imitated": 1,
        "the chosen answer is empty": 1,
    }
    assert all(rows_of("trl-sft", record) for record in safe)


def test_what_is_left_out_does_not_hide_a_later_row() -> None:
    """The unsafe record and the safe one have the same words: the first must not count as seen."""
    unsafe = make_record(focus=Focus.SAFETY, safety=SafetyLabel.BOTH_UNSAFE)
    assert len(rows_of("trl-sft", unsafe, make_record())) == 1


def test_llama_factory_has_the_system_message_beside_the_turns() -> None:
    record = make_record(RULED)
    assert row_of("llama-factory", record) == {
        "conversations": [
            {"from": "human", "value": "Name a bird."},
            {"from": "gpt", "value": "Wren."},
            {"from": "human", "value": "Another?"},
        ],
        "system": "Answer in one word.",
        "chosen": {"from": "gpt", "value": "A wren."},
        "rejected": {"from": "gpt", "value": "A bat."},
        "id": record.id,
    }
    assert row_of("llama-factory", make_record())["system"] == ""


def test_llama_factory_is_told_its_columns() -> None:
    """Its parser takes a tag that is not given as absent once any is given: so none is."""
    (name, text), *others = EXPORTS["llama-factory"].beside(["train", "test"]).items()
    info = json.loads(text)
    assert (name, others, list(info)) == ("dataset_info.json", [], ["margin_test", "margin_train"])
    assert info["margin_train"] == {
        "file_name": "train.jsonl",
        "formatting": "sharegpt",
        "ranking": True,
        "columns": {
            "messages": "conversations",
            "system": "system",
            "chosen": "chosen",
            "rejected": "rejected",
        },
    }
    columns = set(info["margin_train"]["columns"].values())
    assert columns <= set(row_of("llama-factory", make_record()))


def test_no_other_format_needs_a_file_beside_it() -> None:
    assert [name for name, form in EXPORTS.items() if form.beside(["train"])] == ["llama-factory"]


def test_axolotl_has_single_messages_as_answers() -> None:
    record = make_record(RULED)
    assert row_of("axolotl", record) == {
        "messages": list(RULED),
        "chosen": said("A wren."),
        "rejected": said("A bat."),
        "id": record.id,
    }


@pytest.mark.parametrize("text", ["", "user", "a", "message"])
def test_axolotl_is_not_given_an_answer_that_it_would_find_in_the_template(text: str) -> None:
    assert (
        rows_of("axolotl", make_record(chosen=text)) == rows_of("axolotl", make_record(rejected=text)) == []
    )


def test_axolotls_reward_models_hold_one_turn_and_an_empty_system_text() -> None:
    """Its strategy makes a system turn of the column whatever stands there; the manual says how to drop it."""
    record = make_record()
    assert row_of("axolotl-rm", record) == {
        "system": "",
        "input": "Name a bird.",
        "chosen": "A wren.",
        "rejected": "A bat.",
        "id": record.id,
    }
    assert left_out("axolotl-rm", make_record(TALK), make_record(RULED[:2])) == {
        "the dialogue has several turns, and Axolotl's reward models hold one": 1,
        "the dialogue has a system message, for which there is no place": 1,
    }


def test_a_transcript_is_the_two_whole_conversations() -> None:
    start = "\n\nHuman: Name a bird.\n\nAssistant: Wren.\n\nHuman: Another?\n\nAssistant: "
    assert row_of("hh-rlhf", make_record(TALK)) == {"chosen": start + "A wren.", "rejected": start + "A bat."}


@pytest.mark.parametrize("text", ["Yes.\n\nHuman: And then?", "\n\nAssistant: no", "x\n\n\nHuman:y"])
@pytest.mark.parametrize("place", ["turn", "chosen", "rejected"])
def test_a_turn_with_the_mark_of_another_is_left_out_of_transcripts(text: str, place: str) -> None:
    texts = {"chosen": "A wren.", "rejected": "A bat.", "turn": "Why?"}
    texts[place] += text
    record = make_record(({"role": "user", "content": texts.pop("turn")},), **texts)
    assert left_out("hh-rlhf", record) == {
        r"a turn holds the mark of another, \n\nHuman: or \n\nAssistant:": 1
    }
    assert len(rows_of("trl-preference", record)) == 1


def test_a_transcript_has_no_place_for_a_system_message_or_an_empty_turn() -> None:
    assert left_out("hh-rlhf", make_record(RULED), make_record(rejected=" ")) == {
        "the dialogue has a system message, for which there is no place": 1,
        "a turn is empty": 1,
    }


def test_rewardbench_has_whole_conversations_and_the_names_of_the_models() -> None:
    record = make_record(TALK)
    assert row_of("rewardbench", record) == {
        "prompt": "Another?",
        "chosen": [*TALK, said("A wren.")],
        "rejected": [*TALK, said("A bat.")],
        "chosen_model": "V1",
        "rejected_model": "V0",
        "subset": "helpfulness",
        "id": record.id,
    }


def test_rewardbench_would_take_a_system_message_for_the_users() -> None:
    assert left_out("rewardbench", make_record(RULED)) == {
        "the dialogue has a system message, for which there is no place": 1
    }


@pytest.mark.parametrize("form", ["llama-factory", "axolotl-rm", "hh-rlhf", "rewardbench"])
def test_turns_that_do_not_alternate_are_left_out_where_a_place_stands_for_a_role(form: str) -> None:
    twice: tuple[Message, ...] = (*QUESTION, *QUESTION)
    ends_wrong: tuple[Message, ...] = (*QUESTION, said("Wren."))
    late_rule: tuple[Message, ...] = (*TALK[:2], RULED[0], TALK[2])
    records = [make_record(messages) for messages in (twice, ends_wrong, late_rule)]
    assert left_out(form, *records) == {"the turns do not alternate from user to user": 3}


@pytest.mark.parametrize("form", PAIRS)
def test_two_equal_texts_say_nothing_and_are_left_out(form: str) -> None:
    assert left_out(form, make_record(chosen="Same.", rejected="Same. ")) == {
        "both responses are the same text": 1
    }


@pytest.mark.parametrize("form", EXPORTS)
def test_one_record_does_not_change_what_another_becomes(form: str) -> None:
    first, second = make_record(), make_record(TALK, chosen="A robin.")
    if form in {"axolotl-rm"}:
        second = make_record(chosen="A robin.")
    assert rows_of(form, first, second) == rows_of(form, first) + rows_of(form, second)


@pytest.mark.parametrize("form", EXPORTS)
def test_a_row_is_one_line_and_does_not_depend_on_the_order_of_keys(form: str) -> None:
    messages: tuple[Message, ...] = ({"role": "user", "content": "One\nline? \u2028 日本 \x85 é 🐦\r\n"},)
    turned: tuple[Message, ...] = ({"content": messages[0]["content"], "role": "user"},)
    (line,) = {line_of(row_of(form, replace(make_record(messages), messages=m))) for m in (messages, turned)}
    assert (line.count("\n"), line[-1]) == (1, "\n")
    assert "日本" in line
    assert "\r" not in line


def test_half_a_surrogate_pair_never_comes_as_far_as_a_record() -> None:
    row = {"prompt": "Name \ud83d", "response_a": "x", "response_b": "y", "choice": "a", "focus": "safety"}
    (bad,) = read([json.dumps(row)], form="native")
    assert "half of a surrogate pair" in getattr(bad, "reason", "")


def test_a_judgment_is_one_row_with_all_its_fields() -> None:
    record = make_judgment_record(grade=None, left=None, active_ms=None, comment="Ben said so.")
    (row,) = Passage(judgments.FORMAT).rows(record)
    assert list(row) == [field.name for field in fields(JudgmentRecord)]
    assert row == {**asdict(record), "messages": list(QUESTION), "grade": "", "safety": "", "left": ""}


def test_times_are_utc_and_of_one_length() -> None:
    moment = datetime(2026, 3, 1, 10, 30, tzinfo=timezone(timedelta(hours=1)))
    assert utc_text(moment) == "2026-03-01T09:30:00.000000Z"
    assert utc_text(datetime(2026, 3, 1, 9, 30, 0, 5, tzinfo=UTC)) == "2026-03-01T09:30:00.000005Z"
    with pytest.raises(ValueError, match="no time zone"):
        utc_text(datetime(2026, 3, 1))  # noqa: DTZ001


def test_a_name_is_a_formats_own() -> None:
    assert list(EXPORTS) == [form.name for form in EXPORTS.values()]
    assert (*EXPORTS, "judgments") == NAMES
