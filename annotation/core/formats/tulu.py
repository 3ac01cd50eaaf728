"""The human evaluation of Tulu (Wang et al. 2023): five levels of preference by named evaluators.

Knows the fields of open-instruct's annotation records. Must not know pairs' order, ties or other formats.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from annotation.core.formats.base import Draft, Format, ImportedResponse, Verdict, user_turn
from annotation.core.formats.fields import MAX_ANNOTATOR, Row, RowError
from annotation.core.grades import Grade

MAPPING_VERSION: Final = 1

# The top of the source's scale is a plain "better": calling it "significantly better" would give it a margin
# that nobody stated.
PREFERENCES: Final = {
    "a-is-better": (Verdict.FIRST, Grade.BETTER),
    "a-is-slightly-better": (Verdict.FIRST, Grade.SLIGHTLY_BETTER),
    "tie": (Verdict.TIE, None),
    "b-is-slightly-better": (Verdict.SECOND, Grade.SLIGHTLY_BETTER),
    "b-is-better": (Verdict.SECOND, Grade.BETTER),
}
# What a spreadsheet leaves in a cell whose text began with "=": the response itself is lost.
SPREADSHEET_ERRORS: Final = frozenset(
    {"#ERROR!", "#NAME?", "#VALUE!", "#REF!", "#DIV/0!", "#N/A", "#NUM!", "#NULL!"}
)


def drafts(row: Row) -> Iterator[Draft]:
    verdict, grade = PREFERENCES[row.word("preference", PREFERENCES)]
    yield Draft(
        messages=user_turn(row.text("prompt")),
        first=_response(row, "a"),
        second=_response(row, "b"),
        verdict=verdict,
        grade=grade,
        annotator=row.name("evaluator", longest=MAX_ANNOTATOR),
        remarks=(_acceptable(row, "a"), _acceptable(row, "b")),
        reference=row.name("id"),
    )


def _response(row: Row, side: str) -> ImportedResponse:
    text = row.text(f"completion_{side}")
    if text in SPREADSHEET_ERRORS:
        raise RowError(f"completion_{side} is {text}: a spreadsheet put its error in the response's place")
    return ImportedResponse(text, policy=row.name(f"model_{side}"))


def _acceptable(row: Row, side: str) -> str:
    verdict = row.word(f"completion_{side}_is_acceptable", ("yes", "no"))
    return "acceptable" if verdict == "yes" else "not acceptable"


FORMAT: Final = Format(
    name="tulu",
    title="Tulu human evaluation",
    version=MAPPING_VERSION,
    mapping=(
        ("`prompt`", "the only user turn"),
        ("`completion_a`, `completion_b`", "the responses"),
        ("`model_a`, `model_b`", "their policies"),
        ("`preference` `…-is-better`", "the choice, graded better"),
        ("`preference` `…-is-slightly-better`", "the choice, graded slightly better"),
        ("`preference` `tie`", "a tie"),
        ("`completion_…_is_acceptable`", "the comment; acceptability is not safety, so no safety label"),
        ("`evaluator`", "the annotator"),
        ("`id`", "the reference"),
        ("`instance_index`, `instance_id`, `timestamp`", "left out"),
    ),
    drafts=drafts,
)
