"""Coefficients as text for people and as JSON for programs.

Knows coefficients and how they are called. Must not know how they are computed. Every weighting is named with whose
it is: "ordinal weights" are Gwet's, "ordinal metric" is Krippendorff's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, Final

from annotation.core.agreement.coefficients import Coefficient
from annotation.core.agreement.reading import Read
from annotation.core.agreement.weights import Weighting

# coefficient: (its name with identity weights or a metric, its name with other weights), for programs and people
_NAMES: Final = {
    "percent": ("percent_agreement", "weighted_percent_agreement"),
    "brennan_prediger": ("brennan_prediger", "weighted_brennan_prediger"),
    "cohen": ("cohen_kappa", "cohen_weighted_kappa"),
    "conger": ("conger_kappa", "conger_weighted_kappa"),
    "fleiss": ("fleiss_kappa", "fleiss_weighted_kappa"),
    "gwet": ("gwet_ac1", "gwet_ac2"),
    "krippendorff": ("krippendorff_alpha", "krippendorff_weighted_alpha"),
}
_LABELS: Final = {
    "percent": ("percent agreement", "weighted percent agreement"),
    "brennan_prediger": ("Brennan-Prediger", "weighted Brennan-Prediger"),
    "cohen": ("Cohen's kappa", "Cohen's weighted kappa"),
    "conger": ("Conger's kappa", "Conger's weighted kappa"),
    "fleiss": ("Fleiss' kappa", "Fleiss' weighted kappa"),
    "gwet": ("Gwet's AC1", "Gwet's AC2"),
    "krippendorff": ("Krippendorff's alpha", "Krippendorff's weighted alpha"),
}


def as_json(read: Read, coefficients: Sequence[Coefficient], confidence: float) -> dict[str, Any]:
    """The shape that docs/agreement.md describes; what has no value is None."""
    ratings = read.ratings
    return {
        "n_items": ratings.items,
        "n_items_with_two": ratings.paired.items,
        "n_raters": ratings.raters,
        "n_ratings": len(ratings.item),
        "categories": list(ratings.categories),
        "confidence": confidence,
        "notes": list(read.notes),
        "coefficients": [_entry(found, read) for found in coefficients],
    }


def as_text(read: Read, coefficients: Sequence[Coefficient], confidence: float) -> str:
    """A table for people, in aligned columns."""
    ratings = read.ratings
    lines = [
        f"{ratings.items:,} items, {ratings.paired.items:,} of them with two ratings or more; "
        f"{ratings.raters:,} raters; {len(ratings.item):,} ratings",
        f"categories: {', '.join(map(str, ratings.categories))}",
        *(f"note: {note}" for note in read.notes),
    ]
    for scale, group in groupby(coefficients, key=_scale):
        found = list(group)
        lines += [
            "",
            f"{scale:34}{'value':>8}{'pa':>8}{'pe':>8}{'se':>8}{f'{confidence:g} interval':>20}{'p':>9}",
        ]
        lines += [f"  {_label(one):32}{''.join(_numbers(one))}" for one in found]
        lines += [f"  {reason}" for reason in _reasons(found)]
    return "\n".join(lines) + "\n"


def _entry(found: Coefficient, read: Read) -> dict[str, Any]:
    return {
        "coefficient": found.name,
        "name": _NAMES[found.name][_is_weighted(found)],
        "label": f"{_label(found)}, {_scale(found)}",
        "weights": found.weights,
        "metric": found.metric,
        "value": found.value,
        "pa": found.observed,
        "pe": found.expected,
        "se": found.se,
        "se_method": found.se_method,
        "ci_low": found.low,
        "ci_high": found.high,
        "confidence": found.confidence,
        "p_value": found.p_value,
        "p_value_one_sided": found.p_one_sided,
        "n_items": found.items,
        "n_raters": found.raters,
        "categories": list(read.ratings.categories),
        "why": found.why,
    }


def _is_weighted(found: Coefficient) -> bool:
    return found.weights not in {None, Weighting.IDENTITY}


def _scale(found: Coefficient) -> str:
    return f"{found.metric} metric" if found.metric else f"{found.weights} weights"


def _label(found: Coefficient) -> str:
    return _LABELS[found.name][_is_weighted(found)]


def _reasons(found: Sequence[Coefficient]) -> Iterator[str]:
    """Each reason once, after those that it holds for."""
    for why in dict.fromkeys(one.why for one in found if one.why):
        whose = [_label(one) for one in found if one.why == why]
        yield f"{'All' if len(whose) == len(found) else ', '.join(whose)}: {why}."


def _numbers(found: Coefficient) -> Iterator[str]:
    for number in (found.value, found.observed, found.expected, found.se):
        yield f"{_short(number):>8}"
    ends = "-" if found.low is None else f"{_short(found.low)} to {_short(found.high)}"
    yield f"{ends:>20}"
    tiny = found.p_value is not None and found.p_value < 0.0001
    yield f"{'<0.0001' if tiny else _short(found.p_value):>9}"


def _short(number: float | None) -> str:
    return "-" if number is None else f"{round(number, 4) + 0.0:.4f}"  # + 0.0: no -0.0000
