"""What a reader should not conclude from the figures, in sentences.

Knows figures. Must not know Markdown tables, files or plots.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

FEW_PAIRS: Final = 100  # below it an interval is wider than 19 points

ALWAYS: Final = (
    "It says what people of these weeks preferred under their guidelines. It knows no facts, and may like what only "
    "looks right.",
    "Intervals are of 95 % and take prompts as a sample; pairs of one prompt count as one cluster.",
    "The share of people who agree counts those who made the choice, and evenly split pairs are in no snapshot: as a "
    "ceiling it is rather too high.",
)


def limits(figures: Mapping[str, Any]) -> list[str]:
    """The sentences that hold for these figures, the gravest first."""
    return [*_of_data(figures), *_of_baselines(figures), *_of_calibration(figures), *ALWAYS]


def _of_data(figures: Mapping[str, Any]) -> list[str]:
    if figures["accuracy"] is None:
        return ["Nothing was measured. Hold out pairs of its focus before it is used."]
    found = []
    if figures["split"] == "train":
        found.append(
            "It was measured on pairs that it learnt from, since none were held out: it is worse on new ones, and so "
            "are the baselines that learn."
        )
    if figures["pairs"] < FEW_PAIRS:
        found.append(f"{figures['pairs']} pairs are few: the figures may be off by ten points and more.")
    return found


def _of_baselines(figures: Mapping[str, Any]) -> list[str]:
    named = (("length", "choosing the longer response"), ("bag_of_words", "a bag of words"))
    found = []
    for key, words in named:
        beyond = figures["beyond"][key]
        if beyond and beyond["low"] is not None and beyond["low"] <= 0:
            found.append(f"It is not better than {words} beyond what chance explains.")
    return found


def _of_calibration(figures: Mapping[str, Any]) -> list[str]:
    found = figures["calibration"]
    if not found or found["ece"] <= max(2 * found["ece_by_chance"], 0.02):
        return []
    more = "surer than it is right" if found["too_sure"] > 0 else "less sure than it is right"
    return [f"It is {more}: do not read the sigmoid of a difference as a probability."]
