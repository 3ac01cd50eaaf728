"""Fine-Grained RLHF's question answering set (Wu et al. 2023): four predictions, six comparisons a row.

Knows the fields of its preference records. Must not know pairs' order, ties or other formats.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Any, Final

from annotation.core.formats.base import Draft, Format, ImportedResponse, Verdict, user_turn
from annotation.core.formats.fields import Row, RowError, clean_text, quoted

MAPPING_VERSION: Final = 1

TASK: Final = "Answer the question from the passages."
PAIRS: Final = tuple(combinations(range(1, 5), 2))
VERDICTS: Final = (Verdict.TIE, Verdict.FIRST, Verdict.SECOND)


def drafts(row: Row) -> Iterator[Draft]:
    messages = user_turn(_prompt(row))
    predictions = {n: ImportedResponse(row.text(f"prediction {n}")) for n in range(1, 5)}
    for (first, second), verdict in zip(PAIRS, _verdicts(row), strict=True):
        yield Draft(
            messages=messages,
            first=predictions[first],
            second=predictions[second],
            verdict=verdict,
            reference=row.name("src_idx"),
        )


def _prompt(row: Row) -> str:
    passages = [_passage(value, f"passages[{n}]") for n, value in enumerate(row.items("passages"))]
    return "\n\n".join([TASK, *passages, f"Question: {row.text('question')}"])


def _passage(value: Any, path: str) -> str:
    """A title on its own line, then its sentences; the first sentence may repeat the title."""
    if not isinstance(value, list) or not value:
        raise RowError(f"{path} must be a list of a title and sentences")
    title, *sentences = (clean_text(part, f"{path}[{n}]") for n, part in enumerate(value))
    if sentences:
        sentences[0] = sentences[0].removeprefix(f"{title}\n\n")
    return f"{title}\n{' '.join(sentences)}".strip()


def _verdicts(row: Row) -> list[Verdict]:
    values = row.items("preference")
    if len(values) != len(PAIRS):
        raise RowError(f"preference has {len(values)} comparisons: four predictions make {len(PAIRS)}")
    for index, value in enumerate(values):
        if type(value) is not int or not 0 <= value <= 2:
            raise RowError(f"preference[{index}] is {quoted(value)}: use 0 (tie), 1 (first) or 2 (second)")
    return [VERDICTS[value] for value in values]


FORMAT: Final = Format(
    name="fgrlhf",
    title="Fine-Grained RLHF, question answering",
    version=MAPPING_VERSION,
    mapping=(
        (
            "`passages`, `question`",
            f'the only user turn: "{TASK}", each passage under its title, "Question: …"',
        ),
        ("`prediction 1` to `prediction 4`", "the responses of six pairs: 1-2, 1-3, 1-4, 2-3, 2-4, 3-4"),
        ("`preference`", "one judgment a pair: 1 and 2 choose, 0 is a tie; no grade, annotator unknown"),
        ("`src_idx`", "the reference"),
        ("`gold`, `feedback`", "left out"),
    ),
    drafts=drafts,
)
