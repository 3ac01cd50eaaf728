"""UKPConvArg1 (Habernal and Gurevych 2016): which of two arguments is more convincing, by five workers.

Knows the fields of its pairs, one a line. Must not know pairs' order, ties or other formats.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from annotation.core.formats.base import Draft, Format, ImportedResponse, Verdict, user_turn
from annotation.core.formats.fields import MAX_ANNOTATOR, Row, RowError

MAPPING_VERSION: Final = 1

TASK: Final = "Give a convincing argument in this debate:"
VERDICTS: Final = {"a1": Verdict.FIRST, "a2": Verdict.SECOND, "equal": Verdict.TIE}


def drafts(row: Row) -> Iterator[Draft]:
    messages = user_turn(f"{TASK} {row.text('title')}")
    first, second = ImportedResponse(row.text("a1")), ImportedResponse(row.text("a2"))
    votes = list(row.rows("assignments"))
    if not votes:
        raise RowError("assignments is empty: nobody voted")
    for vote in votes:
        yield Draft(
            messages=messages,
            first=first,
            second=second,
            verdict=VERDICTS[vote.word("value", VERDICTS)],
            annotator=vote.name("worker", longest=MAX_ANNOTATOR),
            comment=vote.optional_text("reason"),
            # The workers' reasons speak of A1 and A2.
            remarks=("A1", "A2"),
            reference=row.name("id"),
        )


FORMAT: Final = Format(
    name="ukpconvarg",
    title="UKPConvArg1",
    version=MAPPING_VERSION,
    mapping=(
        ("`title`", f'the only user turn: "{TASK} …"'),
        ("`a1`, `a2`", "the responses, written by people; no policy"),
        ("`assignments[].value`", "one judgment a worker: `a1` and `a2` choose, `equal` is a tie; no grade"),
        ("`assignments[].worker`", "the annotator"),
        ("`assignments[].reason`", "the comment, after a note on which response is A1 and which A2"),
        ("`id`", "the reference"),
        ("`debate`, `gold`, `assignments[].accept`, `.submit`, `.competence`", "left out"),
    ),
    drafts=drafts,
)
