"""What a snapshot publishes in a format is read back as the same preference, as far as the format can say it."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation.core.exports.base import UnfitError, line_of
from annotation.core.exports.judgments import FORMAT as JUDGMENTS
from annotation.core.exports.judgments import JudgmentRecord
from annotation.core.exports.registry import EXPORTS
from annotation.core.formats.base import BadRow, ImportedJudgment
from annotation.core.formats.detection import first_rows, guess_format, guess_mapping
from annotation.core.formats.mappings import FocusMapping, MarginMapping
from annotation.core.formats.prompt_sets import read_prompt_set
from annotation.core.formats.prompts import ImportedPrompt
from annotation.core.formats.registry import FORMATS, read
from annotation.core.grades import Choice, Focus, Grade, MarginTable, SafetyLabel, margin_of
from annotation.core.records import Message, PreferenceRecord, dialogue_key, prompt_key
from annotation.tests.format_rows import chosen, other

# Which reader takes what an export writes.
READERS: Final = {
    "native": "snapshot",
    "trl-preference": "trl-preference",
    "openrlhf": "openrlhf",
    "llama-factory": "llama-factory",
    "axolotl": "axolotl",
    "axolotl-rm": "axolotl",
    "hh-rlhf": "hh-rlhf-helpful",
    "rewardbench": "rewardbench",
}
PLAIN: Final = ("trl-preference", "openrlhf")  # with a margin
POLICIES: Final = ("native", "rewardbench")

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=30)
said = texts.filter(str.strip)


@st.composite
def dialogues(draw: st.DrawFn) -> tuple[Message, ...]:
    system = draw(st.lists(said, max_size=1))
    turns = draw(st.lists(said, min_size=1, max_size=5).filter(lambda turns: len(turns) % 2 == 1))
    messages: list[Message] = [{"role": "system", "content": text} for text in system]
    for number, text in enumerate(turns):
        messages.append({"role": "assistant" if number % 2 else "user", "content": text})
    return tuple(messages)


@st.composite
def records(draw: st.DrawFn) -> PreferenceRecord:
    messages = draw(dialogues())
    focus = draw(st.sampled_from(Focus))
    grade = draw(st.none() | st.sampled_from(Grade))
    one, two = draw(st.tuples(said, said).filter(lambda pair: pair[0].strip() != pair[1].strip()))
    return PreferenceRecord(
        id="0" * 32,
        prompt=prompt_key("x"),
        dialogue=dialogue_key(messages),
        batch="Week 1",
        focus=focus,
        split="train",
        messages=messages,
        chosen=one,
        rejected=two,
        grade=grade,
        margin=margin_of(grade, MarginTable.LARGE),
        safety=draw(st.sampled_from(SafetyLabel)) if focus is Focus.SAFETY else None,
        judgments=3,
        weight=2 / 3,
        chosen_policy=draw(st.sampled_from(["", "V1"])),
        rejected_policy="V0",
    )


def stripped(messages: tuple[Message, ...]) -> list[tuple[str, str]]:
    return [(message["role"], message["content"].strip()) for message in messages]


def policy(item: ImportedJudgment, *, of_chosen: bool) -> str:
    first = item.response_a if (item.choice is Choice.A) is of_chosen else item.response_b
    return first.policy


def read_back(form: str, record: PreferenceRecord) -> ImportedJudgment | None:
    """None where the format cannot hold the record, which the export says itself."""
    try:
        lines = [line_of(row) for row in EXPORTS[form].rows(record)]
    except UnfitError:
        return None
    shape = FORMATS[READERS[form]].shape
    mapping = None if shape is None else shape(focus=record.focus)
    if shape is MarginMapping:
        mapping = MarginMapping(focus=record.focus, margin_table="large")
    (item,) = read(lines, form=READERS[form], mapping=mapping)
    assert isinstance(item, ImportedJudgment), item
    return item


@pytest.mark.parametrize("form", READERS)
@given(record=records())
def test_what_an_export_writes_is_read_back_as_the_same_preference(
    form: str, record: PreferenceRecord
) -> None:
    item = read_back(form, record)
    if item is None:
        return
    assert stripped(item.messages) == stripped(record.messages)
    assert (chosen(item).strip(), other(item).strip()) == (record.chosen.strip(), record.rejected.strip())
    if form != "hh-rlhf":
        assert item.focus is record.focus
    if form in PLAIN:
        # Margin 0 is the last grade's and no grade's alike, so it is read as none.
        assert item.grade == (None if record.grade is Grade.NEGLIGIBLY_BETTER else record.grade)
    if form in POLICIES:
        policies = (policy(item, of_chosen=True), policy(item, of_chosen=False))
        assert policies == (record.chosen_policy, record.rejected_policy)


@given(record=records())
def test_margins_own_rows_lose_nothing_that_an_import_can_hold(record: PreferenceRecord) -> None:
    item = read_back("native", record)
    assert item is not None
    assert item.messages == record.messages
    assert (chosen(item), other(item)) == (record.chosen, record.rejected)
    assert (item.grade, item.safety, item.reference) == (record.grade, record.safety, record.id)


@given(record=records(), choice=st.sampled_from(Choice), comment=st.just("") | said)
def test_raw_judgments_are_read_back_whole(record: PreferenceRecord, choice: Choice, comment: str) -> None:
    judgment = JudgmentRecord(
        uid="5f0f4b5e-0000-4000-8000-000000000000",
        comparison=record.id,
        prompt=record.prompt,
        dialogue=record.dialogue,
        batch=record.batch,
        split=record.split,
        focus=record.focus,
        annotator="annotator-4711",
        time="2026-03-01T09:30:00.000000Z",
        choice=choice,
        grade=record.grade,
        safety=record.safety,
        left=None,
        active_ms=None,
        guideline="",
        source="person",
        comment=comment,
        messages=record.messages,
        response_a=record.chosen,
        response_b=record.rejected,
        policy_a=record.chosen_policy,
        policy_b=record.rejected_policy,
    )
    (item,) = read([line_of(row) for row in JUDGMENTS.rows(judgment)], form="judgments")
    assert isinstance(item, ImportedJudgment), item
    texts = (record.chosen, record.rejected)
    assert (chosen(item), other(item)) == (texts if choice is Choice.A else texts[::-1])
    assert (item.messages, item.annotator, item.comment) == (record.messages, "annotator-4711", comment)
    assert (item.grade, item.safety, item.focus) == (record.grade, record.safety, record.focus)


@pytest.mark.parametrize("form", READERS)
@given(record=records())
def test_the_format_of_a_published_file_is_told_from_its_first_row(
    form: str, record: PreferenceRecord
) -> None:
    try:
        lines = [line_of(row) for row in EXPORTS[form].rows(record)]
    except UnfitError:
        return
    told = guess_format(first_rows(lines))
    # A transcript does not say which subset it is from; OpenRLHF's rows have the columns of TRL's.
    assert told == {"hh-rlhf-helpful": "hh-rlhf", "openrlhf": "trl-preference"}.get(
        READERS[form], READERS[form]
    )


@pytest.mark.parametrize(("grade", "table"), [(g, t) for g in Grade for t in ("small", "large")])
def test_a_margin_becomes_the_grade_whose_number_it_is(grade: Grade, table: Any) -> None:
    said = MarginMapping(margin_table=table)
    number = margin_of(grade, MarginTable(table))
    assert said.grade_of(number) == (grade if number else None)
    assert said.grade_of(number + 1e-9) is None
    assert MarginMapping().grade_of(number) is None


@pytest.mark.parametrize(
    ("margins", "table"),
    [
        ([3.0, 1.0], "large"),
        ([2 / 3, 0.0], "small"),
        ([1.0, 0.0], "none"),
        ([0.7], "none"),
        ([2.0, 2 / 3], "none"),
    ],
)
def test_a_table_is_guessed_only_where_it_alone_holds_the_margins(margins: list[float], table: str) -> None:
    rows = [
        json.dumps({"prompt": "x", "chosen": "y", "rejected": "z", "margin": margin}) for margin in margins
    ]
    assert guess_mapping("trl-preference", first_rows(rows)) == MarginMapping(margin_table=table)


def test_a_margin_that_is_no_grade_is_told() -> None:
    row = json.dumps({"prompt": "x", "chosen": "y", "rejected": "z", "margin": 0.7})
    (item,) = read([row], form="trl-preference", mapping=MarginMapping(margin_table="large"))
    assert isinstance(item, ImportedJudgment)
    assert (item.grade, item.margin_lost) == (None, True)


@pytest.mark.parametrize("form", ["trl-prompt", "trl-sft"])
@given(record=records())
def test_sets_of_prompts_are_read_as_the_first_turn_of_each(form: str, record: PreferenceRecord) -> None:
    try:
        lines = [line_of(row) for row in EXPORTS[form].rows(record)]
    except UnfitError:
        return
    (item,) = read_prompt_set(lines, form=form, said=FocusMapping(focus=record.focus))
    users = [message["content"] for message in record.messages if message["role"] == "user"]
    assert isinstance(item, ImportedPrompt), item
    assert (item.text, item.focus, item.turns) == (
        users[0].strip().replace("\r\n", "\n"),
        record.focus,
        len(users),
    )


def test_a_set_without_a_users_turn_holds_no_prompt() -> None:
    row = json.dumps({"messages": [{"role": "system", "content": "Be kind."}]})
    (item,) = read_prompt_set([row], form="trl-sft", said=FocusMapping())
    assert item == BadRow(1, "no turn of the user: there is no prompt in it")


@given(record=records())
def test_a_field_that_no_snapshot_has_is_refused(record: PreferenceRecord) -> None:
    (row,) = EXPORTS["native"].rows(record)
    (item,) = read([json.dumps({**row, "surprise": 1})], form="snapshot")
    assert isinstance(item, BadRow)
    assert "'surprise' is not a field" in item.reason
