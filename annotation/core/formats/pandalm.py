"""PandaLM's test set (Wang et al. 2023): one pair a row, judged by three annotators.

Knows the fields of its JSON records, one a line. Must not know pairs' order, ties or other formats.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from annotation.core.formats.base import Draft, Format, ImportedResponse, Verdict, user_turn
from annotation.core.formats.fields import Row

MAPPING_VERSION: Final = 1

ANNOTATORS: Final = ("annotator1", "annotator2", "annotator3")
VERDICTS: Final = (Verdict.TIE, Verdict.FIRST, Verdict.SECOND)


def drafts(row: Row) -> Iterator[Draft]:
    instruction, extra = row.text("instruction"), row.optional_text("input").strip()
    messages = user_turn(f"{instruction}\n\n{extra}" if extra else instruction)
    first_policy, _, second_policy = row.name("cmp_key").partition("_")
    first = ImportedResponse(row.text("response1"), policy=first_policy)
    second = ImportedResponse(row.text("response2"), policy=second_policy)
    for annotator in ANNOTATORS:
        yield Draft(
            messages=messages,
            first=first,
            second=second,
            verdict=VERDICTS[row.integer(annotator, high=2)],
            annotator=annotator,
            reference=row.name("idx"),
        )


FORMAT: Final = Format(
    name="pandalm",
    title="PandaLM test set",
    version=MAPPING_VERSION,
    mapping=(
        ("`instruction`, `input`", "the only user turn; a blank line between the two"),
        ("`response1`, `response2`", "the responses"),
        ("`cmp_key`", "their policies: `first_second`"),
        (
            "`annotator1`, `annotator2`, `annotator3`",
            "one judgment each: 1 and 2 choose, 0 is a tie; no grade",
        ),
        ("`idx`", "the reference"),
        ("`motivation_app`", "left out"),
    ),
    drafts=drafts,
)
