"""Laws of the export formats, for any dialogue that may be stored."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation.core.exports.base import Passage, line_of
from annotation.core.exports.registry import EXPORTS
from annotation.core.formats.base import ImportedJudgment
from annotation.core.formats.registry import read
from annotation.core.records import Message, PreferenceRecord
from annotation.tests.export_records import make_record, rows_of
from annotation.tests.format_rows import chosen, other

# Words that break transcripts, among letters that break files. A database holds neither NUL nor half a pair.
PIECES = st.sampled_from(
    ["\n", "\n\n", "Human:", "Assistant:", " ", "\n\nHuman: ", "\n\nAssistant:", "a", "b", "\u2028"]
)
TEXTS = st.one_of(
    st.lists(PIECES, max_size=6).map("".join),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12),
)


@st.composite
def records(draw: st.DrawFn) -> PreferenceRecord:
    """Any turns in alternation, at times after a system message."""
    turns = draw(st.lists(TEXTS, min_size=1, max_size=5).filter(lambda texts: len(texts) % 2 == 1))
    messages: list[Message] = [
        {"role": "assistant" if n % 2 else "user", "content": text} for n, text in enumerate(turns)
    ]
    if draw(st.booleans()) and draw(st.booleans()):
        messages.insert(0, {"role": "system", "content": draw(TEXTS)})
    return make_record(tuple(messages), draw(TEXTS), draw(TEXTS))


@given(records())
def test_our_own_importer_reads_every_transcript_that_we_write(record: PreferenceRecord) -> None:
    passage = Passage(EXPORTS["hh-rlhf"])
    lines = [line_of(row) for row in passage.rows(record)]
    # Written and read back, or left out with a reason: never anything between.
    assert len(lines) + passage.left_out.total() == 1
    for item in read(lines, form="hh-rlhf-helpful"):
        assert isinstance(item, ImportedJudgment), item
        assert [(m["role"], m["content"]) for m in item.messages] == [
            (m["role"], m["content"].strip()) for m in record.messages
        ]
        assert (chosen(item), other(item)) == (record.chosen.strip(), record.rejected.strip())


@given(records())
def test_a_transcript_is_left_out_only_for_what_it_cannot_hold(record: PreferenceRecord) -> None:
    texts = [*(m["content"] for m in record.messages), record.chosen, record.rejected]
    holds = (
        record.messages[0]["role"] == "user"
        and record.chosen.strip() != record.rejected.strip()
        and all(text.strip() for text in texts)
        and not any(f"\n\n{who}:" in text.strip() for text in texts for who in ("Human", "Assistant"))
    )
    assert len(rows_of("hh-rlhf", record)) == holds


@pytest.mark.parametrize("form", EXPORTS)
@given(record=records())
def test_every_line_is_one_object_of_the_same_columns_and_types(form: str, record: PreferenceRecord) -> None:
    usual = rows_of(form, make_record())[0]
    for row in rows_of(form, record):
        line = line_of(row)
        assert line.encode().count(b"\n") == 1
        assert shape(json.loads(line)) == shape(json.loads(line_of(usual)))


def shape(value: Any) -> Any:
    """Types all the way down; of a list, of its first item alone: what a reader of JSON lines takes for the schema."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shape(item) for item in value[:1]]
    return type(value).__name__
