"""Margin's own rows: every field of a record, so that nothing is lost.

Knows the fields of records. Must not know other formats.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Final

from annotation.core.exports.base import ExportFormat, Row, turns
from annotation.core.records import SCHEMA_VERSION, PreferenceRecord

_FIELDS: Final = tuple(field.name for field in fields(PreferenceRecord))


def rows(record: PreferenceRecord) -> Iterator[Row]:
    row: Row = {name: getattr(record, name) for name in _FIELDS}
    row["messages"] = turns(record.messages)
    yield row


FORMAT: Final[ExportFormat[PreferenceRecord]] = ExportFormat(
    name="native",
    title="Margin's own rows",
    version=SCHEMA_VERSION,
    describe=(
        ("`id`", "the comparison's content key; a further number after a dot where each judgment is a row"),
        ("`prompt`, `dialogue`", "content keys of the first user turn and of the whole dialogue"),
        ("`batch`", "the week's name"),
        ("`focus`", "`helpfulness` or `safety`"),
        ("`split`", "`train` or `test`"),
        ("`messages`", "the dialogue as `role` and `content`; it ends with a user turn"),
        ("`chosen`, `rejected`", "the two answers to it"),
        ("`grade`", "how much better the chosen one is; null where nobody stated it"),
        ("`margin`", "m(r) of Eq. 2 for that grade, under the snapshot's table; 0.0 without a grade"),
        ("`safety`", "`chosen_safe`, `both_safe` or `both_unsafe`; null outside the focus safety"),
        ("`judgments`", "how many people are behind the row"),
        ("`weight`", "the share of them who agree with the choice"),
        ("`chosen_policy`, `rejected_policy`", "which model answered; empty where it is unknown"),
    ),
    rows=rows,
)
