"""The figures of somebody's set as a table for people.

Knows the document of rewardmodel.core.evaluate_file. Must not know how a figure was computed, nor import torch or
scikit-learn: the command imports it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

SHOWN: Final = 20  # bad rows; JSON has more
NO_GRADE: Final = "none"  # alone: nobody was asked how much better


def as_text(document: Mapping[str, Any]) -> str:
    """The document for people."""
    return "\n".join([*_head(document), *_body(document), *_judge(document), *_foot(document)]) + "\n"


def _head(document: Mapping[str, Any]) -> Iterator[str]:
    file = document["file"]
    yield f"{document['reader']['name']} on {file['name']} ({file['format']})"
    yield ""


def _body(figures: Mapping[str, Any]) -> Iterator[str]:
    yield _row("", "accuracy", "95 %", "pairs", "length", "people")
    yield _figure("all pairs", figures)
    for title, parts in (("by grade", figures["by_grade"]), ("by subset", figures["by_subset"])):
        if parts.keys() - {NO_GRADE}:
            yield title
            for name, part in parts.items():
                yield _figure(f"  {name or '(none)'}", part)
    if figures["ties"]:
        yield f"{figures['ties']:,} pairs on which it cannot tell count one half."
    yield from _rewardbench(figures.get("rewardbench"))
    yield from _rm_bench(figures.get("rm_bench"))


def _rewardbench(found: Mapping[str, Any] | None) -> Iterator[str]:
    if not found:
        return
    yield "RewardBench"
    for name, section in found["sections"].items():
        missing = f"  without {', '.join(section['missing'])}" if section["missing"] else ""
        yield f"  {name:<30}{_percent(section['score']):>9}{missing}"
    yield f"  {'average of the four':<30}{_percent(found['average']):>9}"


def _rm_bench(found: Mapping[str, Any] | None) -> Iterator[str]:
    if not found:
        return
    yield "RM-Bench: chosen by row, rejected by column"
    yield f"  {'':<24}" + "".join(f"{style:>24}" for style in found["styles"])
    for style, row in zip(found["styles"], found["matrix"], strict=True):
        yield f"  {style:<24}" + "".join(f"{_percent(cell):>24}" for cell in row)
    for level in ("easy", "normal", "hard", "average"):
        yield f"  {level:<30}{_percent(found[level]):>9}"


def _judge(document: Mapping[str, Any]) -> Iterator[str]:
    judge = document.get("judge")
    if judge is None:
        return
    if "accuracy" in judge:  # beside a reward model; alone its figures are the document's own
        yield ""
        yield f"the judge {judge['model']}"
        yield from _body(judge)
    yield (
        f"The judge's two orders agree on {judge['same']:,} pairs and differ on {judge['differ']:,}; "
        f"{judge['unreadable']:,} left out for an unreadable answer, {judge['refused']:,} refused. Of its answers "
        f"{_percent(judge['said_a'])} name A."
    )


def _foot(document: Mapping[str, Any]) -> Iterator[str]:
    out = document["left_out"]
    yield ""
    yield (
        f"Left out: {out['ties']:,} ties, {out['no_choice']:,} without a choice, {out['undecided']:,} evenly split "
        f"pairs, {out['bad_rows']:,} bad rows, {len(out['unratable']):,} that cannot be rated."
    )
    for row in [*out["bad"][:SHOWN], *out["unratable"][:SHOWN]]:
        yield f"  line {row['line']}: {row['reason']}"
    for count, named in ((out["bad_rows"], out["bad"]), (len(out["unratable"]), out["unratable"])):
        if count > len(named[:SHOWN]):
            yield f"  … and {count - len(named[:SHOWN]):,} more; --json names them"


def _figure(name: str, part: Mapping[str, Any]) -> str:
    interval = "" if part["low"] is None else f"{_number(part['low'])} to {_number(part['high'])}"
    return _row(
        name,
        _percent(part["accuracy"]),
        interval,
        f"{part['pairs']:,}",
        _percent(part["length"]),
        _percent(part["people"]),
    )


def _row(name: str, *cells: str) -> str:
    widths = (9, 15, 9, 9, 9)
    return f"{name:<32}" + "".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{_number(value)} %"


def _number(value: float) -> str:
    return f"{100 * value:.1f}"
