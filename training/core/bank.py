"""The bank: the winners of all rounds, compared by one measure (section 3.2.3).

Until V3 the paper learnt from the last round's samples alone, and the model forgot; later "top-performing samples from
all prior iterations" were kept. Rewards of different rounds come from different reward models, so they cannot be
compared as they stand. Here the winners of earlier rounds get new rewards from the newest models; the best of a
dialogue is then chosen among all rounds by these.

Knows winners as rows and numbers. Must not know models, files or torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from annotation.core.grades import Focus
from training.core.chunks import Row
from training.core.selection import combined_score, mean, normalised

FIELDS = frozenset({"dialogue", "messages", "text", "score", "finish_reason", "policy", "focus"})


def entries_of(rounds: Sequence[tuple[Mapping[str, Any], Sequence[Row]]]) -> list[Row]:
    """Rows of the bank without new scores, oldest round first.

    Each round is {"from", "iteration"} and its winners. `old_score` is what the round's own models gave.
    """
    return [
        {field: row[field] for field in FIELDS}
        | {"old_score": row["score"], "from": origin["from"], "iteration": origin["iteration"]}
        for origin, winners in rounds
        for row in winners
    ]


def rescore(entries: Sequence[Row], helpfulness: Sequence[float], safety: Sequence[float]) -> list[Row]:
    """The entries with `score` by new raw rewards, by the same rule as a round's own candidates."""
    return [
        {**entry, "score": combined_score(helpfulness=h, safety=s, focus=Focus(entry["focus"]))}
        for entry, h, s in zip(entries, helpfulness, safety, strict=True)
    ]


def choose(entries: Sequence[Row]) -> list[Row]:
    """One entry a dialogue: the highest new score, of equal ones the newest round's. In the order of dialogues' first
    appearance. `entries` stand oldest round first."""
    best: dict[str, Row] = {}
    for entry in entries:
        held = best.get(entry["dialogue"])
        if held is None or entry["score"] >= held["score"]:
            best[entry["dialogue"]] = entry
    return list(best.values())


def changed(entries: Sequence[Row], chosen: Sequence[Row]) -> int:
    """Of how many dialogues the scores as they stood would have kept another answer."""
    as_they_stood = {e["dialogue"]: e for e in choose([{**e, "score": e["old_score"]} for e in entries])}
    return sum(
        normalised(as_they_stood[entry["dialogue"]]["text"]) != normalised(entry["text"]) for entry in chosen
    )


def summary(entries: Sequence[Row], chosen: Sequence[Row]) -> dict[str, Any]:
    """How many of each round's winners the bank keeps, oldest round first, and what the new scores changed."""
    rounds = {entry["from"]: entry["iteration"] for entry in entries}
    return {
        "dialogues": len(chosen),
        "mean_score": mean([entry["score"] for entry in chosen]),
        "changed": changed(entries, chosen),
        "rounds": [
            {
                "from": name,
                "iteration": iteration,
                "winners": sum(entry["from"] == name for entry in entries),
                "kept": sum(entry["from"] == name for entry in chosen),
            }
            for name, iteration in rounds.items()
        ],
    }
