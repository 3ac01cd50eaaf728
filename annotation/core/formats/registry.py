"""Which import formats there are, and the one door to all of them.

Knows the formats by name. Must not know their fields, files or the database.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Final

from annotation.core.formats import fgrlhf, hh_rlhf, native, oasst, pandalm, tulu, ukpconvarg
from annotation.core.formats.base import BadRow, Format, ImportedJudgment, Tie, TiePolicy, read_rows

FORMATS: Final[Mapping[str, Format]] = MappingProxyType(
    {
        form.name: form
        for form in (
            native.FORMAT,
            hh_rlhf.HARMLESS,
            hh_rlhf.HELPFUL,
            tulu.FORMAT,
            pandalm.FORMAT,
            oasst.FORMAT,
            fgrlhf.FORMAT,
            ukpconvarg.FORMAT,
        )
    }
)


def read(
    lines: Iterable[str], *, form: str, ties: TiePolicy = "skip"
) -> Iterator[ImportedJudgment | Tie | BadRow]:
    """Judgments, ties and bad rows of a file in the order of its lines, streaming.

    `ties` says what becomes of a vote for neither: "skip" gives a Tie; "unsure" gives a judgment graded
    negligibly better whose choice is a coin fixed by the row's content.

    Raises:
        ValueError: there is no such format.
        UnreadableFileError: while iterating, from lines that come from open_lines.
    """
    if form not in FORMATS:
        raise ValueError(f"no import format {form!r}: use one of {', '.join(FORMATS)}")
    return read_rows(lines, FORMATS[form], ties)
