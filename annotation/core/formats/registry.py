"""Which import formats there are, and the one door to all of them.

Knows the formats by name. Must not know their fields, files or the database.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Final

from annotation.core.formats import (
    argilla,
    axolotl,
    fgrlhf,
    hh_rlhf,
    judgments,
    label_studio,
    llama_factory,
    llmbar,
    native,
    oasst,
    openrlhf,
    pandalm,
    rewardbench,
    rm_bench,
    snapshot,
    trl,
    tulu,
    ukpconvarg,
)
from annotation.core.formats.base import Format, Item, TiePolicy, read_rows
from annotation.core.formats.mappings import FocusMapping

FORMATS: Final[Mapping[str, Format]] = MappingProxyType(
    {
        form.name: form
        for form in (
            native.FORMAT,
            snapshot.FORMAT,
            judgments.FORMAT,
            trl.FORMAT,
            openrlhf.FORMAT,
            llama_factory.FORMAT,
            axolotl.FORMAT,
            rewardbench.FORMAT,
            label_studio.FORMAT,
            argilla.FORMAT,
            hh_rlhf.HARMLESS,
            hh_rlhf.HELPFUL,
            tulu.FORMAT,
            pandalm.FORMAT,
            oasst.FORMAT,
            fgrlhf.FORMAT,
            ukpconvarg.FORMAT,
            rm_bench.FORMAT,
            llmbar.FORMAT,
        )
    }
)


def read(
    lines: Iterable[str], *, form: str, ties: TiePolicy = "skip", mapping: FocusMapping | None = None
) -> Iterator[Item]:
    """Judgments, ties, abstentions and bad rows of a file in the order of its lines, streaming.

    `ties` says what becomes of a vote for neither: "skip" gives a Tie; "unsure" gives a judgment graded
    negligibly better whose choice is a coin fixed by the row's content. `mapping` goes with a format that has a
    shape for one; where that has a default for everything, it may be left out.

    Raises:
        ValueError: there is no such format, or the mapping is not of its shape.
        UnreadableFileError: while iterating, from lines that come from open_lines or open_rows.
    """
    if form not in FORMATS:
        raise ValueError(f"no import format {form!r}: use one of {', '.join(FORMATS)}")
    shape = FORMATS[form].shape
    if shape is None:
        return read_rows(lines, FORMATS[form], ties)
    said = shape() if mapping is None else mapping
    if not isinstance(said, shape):
        raise TypeError(f"{form} takes a {shape.__name__}, not a {type(said).__name__}")
    return read_rows(lines, FORMATS[form], ties, said)
