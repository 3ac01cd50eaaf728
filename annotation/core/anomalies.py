"""What is odd about one person's figures, in words for a reviewer.

Nothing here is a verdict: a figure may have a good reason. Something is said only where three things hold.

- There is enough to go by: FEWEST judgments, or pairs, of the kind.
- Chance is no explanation: looking at many people, one in a thousand is found by chance alone. The bar rises with the
  number of people and of figures looked at (Bonferroni), so that among honest people who judge alike, however many,
  nobody at all is named with probability 0.95.
- The difference matters: people do differ a little, and thousands of judgments prove any difference. Each kind has a
  smallest difference that is worth somebody's time, and a larger one that is a warning.

Knows figures (annotation.core.conduct). Must not know rows, names or what is done about it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from statistics import NormalDist
from typing import Final

from annotation.core.conduct import Conduct, Use
from annotation.core.grades import Grade, SafetyLabel
from annotation.core.shares import Share

FEWEST: Final = 30
CHANCE: Final = 0.05  # of naming anybody wrongly
# Seven kinds are one figure each; grades and labels are looked at word by word.
FIGURES: Final = 7 + len(Grade) + len(SafetyLabel)

_WORDS: Final[Mapping[str, str]] = {
    Grade.SIGNIFICANTLY_BETTER: "significantly better",
    Grade.BETTER: "better",
    Grade.SLIGHTLY_BETTER: "slightly better",
    Grade.NEGLIGIBLY_BETTER: "negligibly better",
    SafetyLabel.CHOSEN_SAFE: "only the chosen one is safe",
    SafetyLabel.BOTH_SAFE: "both are safe",
    SafetyLabel.BOTH_UNSAFE: "both are unsafe",
}


class AnomalyKind(StrEnum):
    """What is odd."""

    AGREEMENT = "agreement"  # agrees with the others too seldom
    ECHO = "echo"  # is with the majority more often than judging alone explains
    SIDE = "side"  # prefers a side of the screen
    LENGTH = "length"  # prefers the longer, or the shorter, response
    GRADES = "grades"  # uses one grade for nearly everything
    LABELS = "labels"  # the same of safety labels
    PACE = "pace"  # too quick to have read
    DRIFT = "drift"  # agrees less than before
    HASTE = "haste"  # much quicker than before and than others


class Severity(StrEnum):
    """How soon somebody should look."""

    NOTICE = "notice"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Anomaly:
    kind: AnomalyKind
    severity: Severity
    sentence: str


@dataclass(frozen=True, slots=True)
class HouseFigures:
    """Of all whose figures are looked at together: `people` have enough judgments to be named at all."""

    people: int

    @property
    def bar(self) -> float:
        """Standard errors beyond which chance is no explanation, on either side."""
        return -NormalDist().inv_cdf(self.chance / 2)

    @property
    def chance(self) -> float:
        """Of one figure of one person."""
        return CHANCE / (FIGURES * max(1, self.people))


def house_of(conducts: Mapping[int, Conduct]) -> HouseFigures:
    return HouseFigures(sum(conduct.judgments >= FEWEST for conduct in conducts.values()))


def anomalies_of(conduct: Conduct, house: HouseFigures) -> list[Anomaly]:
    """What stands out, warnings first."""
    finders = (_agreement, _echo, _side, _length, _grades, _labels, _pace, _drift, _haste)
    found = [anomaly for find in finders for anomaly in find(conduct, house)]
    return sorted(found, key=lambda anomaly: anomaly.severity is not Severity.WARNING)


def _agreement(conduct: Conduct, house: HouseFigures) -> Iterator[Anomaly]:
    share = conduct.agreement
    if _stands_out(share, house, least=-0.10):
        yield _anomaly(
            AnomalyKind.AGREEMENT,
            share.excess <= -0.15,
            f"Agrees with the others on {_percent(share.value)} of {share.trials:,} shared pairs; "
            f"all others together on {_percent(share.others)}.",
        )


def _echo(conduct: Conduct, house: HouseFigures) -> Iterator[Anomaly]:
    share = conduct.majority
    dissent = 1 - (share.value or 0)
    if _stands_out(share, house, least=0.10) and 4 * dissent <= dissent + share.excess:
        yield _anomaly(
            AnomalyKind.ECHO,
            False,
            f"Chose what most others chose in {_of(share)} pairs; others do so in {_percent(share.others)}. "
            "People who judge alone seldom follow it so closely.",
        )


def _side(conduct: Conduct, house: HouseFigures) -> Iterator[Anomaly]:
    share = conduct.left
    if share.trials >= FEWEST and conduct.left_p < house.chance and abs(share.excess) >= 0.10:
        around = 1.96 * math.sqrt(share.trials) / 2
        low, high = round(share.trials / 2 - around), round(share.trials / 2 + around)
        yield _anomaly(
            AnomalyKind.SIDE,
            abs(share.excess) >= 0.20,
            f"Chose the left response in {_of(share)} pairs; a fair reader does so in {low:,} to {high:,}.",
        )


def _length(conduct: Conduct, house: HouseFigures) -> Iterator[Anomaly]:
    share = conduct.longer
    if _stands_out(share, house, least=0.15) or _stands_out(share, house, least=-0.15):
        yield _anomaly(
            AnomalyKind.LENGTH,
            abs(share.excess) >= 0.25,
            f"Chose the longer response in {_of(share)} pairs; others do so in {_percent(share.others)}.",
        )


def _grades(conduct: Conduct, house: HouseFigures) -> Iterator[Anomaly]:
    return _overused(AnomalyKind.GRADES, conduct.grades, house)


def _labels(conduct: Conduct, house: HouseFigures) -> Iterator[Anomaly]:
    return _overused(AnomalyKind.LABELS, conduct.labels, house)


def _overused(kind: AnomalyKind, use: Use, house: HouseFigures) -> Iterator[Anomaly]:
    word, share = max(use.shares.items(), key=lambda item: item[1].excess)
    if _stands_out(share, house, least=0.30):
        always = share.hits >= 0.95 * share.trials
        yield _anomaly(
            kind,
            always,
            f"Said “{_WORDS[word]}” of {_of(share)} pairs; others do so in {_percent(share.others)}.",
        )


def _pace(conduct: Conduct, house: HouseFigures) -> Iterator[Anomaly]:
    pace = conduct.pace
    if not _stands_out(pace.hasty, house, least=0.30):
        return
    others = "" if pace.others is None else f"; others take {_seconds(pace.others)}"
    yield _anomaly(
        AnomalyKind.PACE,
        2 * pace.hasty.hits >= pace.hasty.trials,
        f"{_of(pace.hasty).capitalize()} pairs took under {_seconds(pace.floor)}{others}.",
    )


def _drift(conduct: Conduct, house: HouseFigures) -> Iterator[Anomaly]:
    drift = conduct.drift
    fall = drift.early.excess - drift.late.excess
    if min(drift.early.trials, drift.late.trials) >= FEWEST and drift.z <= -house.bar and fall >= 0.15:
        yield _anomaly(
            AnomalyKind.DRIFT,
            fall >= 0.25,
            f"Agreed with the others on {_percent(drift.early.value)} at first and on "
            f"{_percent(drift.late.value)} in the last third; the others went from "
            f"{_percent(drift.early.others)} to {_percent(drift.late.others)} meanwhile.",
        )


def _haste(conduct: Conduct, house: HouseFigures) -> Iterator[Anomaly]:
    early, late, others = conduct.drift.early_seconds, conduct.drift.late_seconds, conduct.pace.others
    if early is None or late is None or others is None or conduct.pace.hasty.trials < FEWEST:
        return
    if conduct.drift.pace_z <= -house.bar and 2 * late <= min(early, others):
        yield _anomaly(
            AnomalyKind.HASTE,
            4 * late <= min(early, others),
            f"Takes {_seconds(late)} a pair in the last third and took {_seconds(early)} before; "
            f"others take {_seconds(others)}.",
        )


def _stands_out(share: Share, house: HouseFigures, *, least: float) -> bool:
    """By at least `least`, above where that is positive and below where it is negative."""
    way = math.copysign(1, least)
    return share.trials >= FEWEST and way * share.excess >= abs(least) and way * share.z >= house.bar


def _anomaly(kind: AnomalyKind, is_warning: bool, sentence: str) -> Anomaly:
    return Anomaly(kind, Severity.WARNING if is_warning else Severity.NOTICE, sentence)


def _of(share: Share) -> str:
    return f"{share.hits:,.0f} of {share.trials:,}"


def _percent(share: float | None) -> str:
    return "unknown" if share is None else f"{100 * share:.0f} %"


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f} seconds" if seconds < 3 else f"{seconds:.0f} seconds"
