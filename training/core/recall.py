"""How long a policy remembers an instruction that was given once, at the first turn (section 3.3, Table 30).

Knows probes, turns and rules. Must not know how an answer is drawn, nor what a policy learnt from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from annotation.core.records import Message
from annotation.core.shares import wilson
from training.core.dialogue_rounds import Ask, Asked
from training.core.draws import draw_seed
from training.core.instructions import Part, with_instruction
from training.core.rules import obeys

TURNS: Final = (1, 2, 4, 6, 20)  # the paper's, and the first: who does not obey at once has nothing to forget


@dataclass(frozen=True, slots=True)
class Probe:
    """A dialogue to hold: an instruction, and what the user says at each turn."""

    key: str
    part: Part
    questions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Recall:
    """Of each probe, in their order, whether the answer at this turn obeyed."""

    turn: int
    obeyed: tuple[bool, ...]

    @property
    def share(self) -> float:
        return sum(self.obeyed) / len(self.obeyed)

    def to_json(self) -> dict[str, float]:
        """The share with the ends of its 95 % interval."""
        low, high = wilson(self.share, len(self.obeyed))
        return {
            "dialogues": len(self.obeyed),
            "share": round(self.share, 4),
            "low": round(low, 4),
            "high": round(high, 4),
        }


def measure_recall(
    ask: Ask,
    probes: Sequence[Probe],
    turns: Sequence[int] = TURNS,
    *,
    seed: int = 0,
    temperature: float = 1.0,
    system: bool = False,
) -> list[Recall]:
    """Hold every dialogue up to the last of `turns`, and see at each of them who still obeys.

    The instruction stands before the first question, or in a system message. The policy's own answers are the
    history. An instruction that only its own question shows is asked for it in a branch that the dialogue then
    forgets, so that the question reminds of nothing.

    Raises:
        ValueError: if a probe has fewer questions than there are turns, or there are no probes.
    """
    last = max(turns)
    if not probes or any(len(probe.questions) < last for probe in probes):
        raise ValueError(f"recall at turn {last} needs probes of {last} questions")
    histories: list[list[Message]] = [[] for _ in probes]
    found = []
    for turn in range(1, last + 1):
        tested = turn in turns
        asked = [
            Asked(
                _said(history, probe, None, system), temperature, draw_seed(seed, "recall", probe.key, turn)
            )
            for history, probe in zip(histories, probes, strict=True)
        ]
        branches = {
            i: asked[i]._replace(messages=_said(histories[i], probe, probe.part.question, system))
            for i, probe in enumerate(probes)
            if tested and probe.part.question
        }
        rows = ask(f"recall/{turn:02d}", [*asked, *branches.values()])
        for history, one, row in zip(histories, asked, rows, strict=False):
            history[:] = [*one.messages, {"role": "assistant", "content": row["text"]}]
        if tested:
            texts = [row["text"] for row in rows[: len(probes)]]
            for place, i in enumerate(branches, start=len(probes)):
                texts[i] = rows[place]["text"]
            pairs = zip(probes, texts, strict=True)
            found.append(Recall(turn, tuple(obeys(probe.part.rule, text) for probe, text in pairs)))
    return found


def by_kind(probes: Sequence[Probe], recalls: Sequence[Recall]) -> dict[str, dict[str, Any]]:
    """Recall at each turn for each kind of instruction: {kind: {turn: share with interval}}."""
    kinds = sorted({probe.part.kind for probe in probes})
    return {
        kind: {
            str(recall.turn): Recall(
                recall.turn,
                tuple(o for o, probe in zip(recall.obeyed, probes, strict=True) if probe.part.kind == kind),
            ).to_json()
            for recall in recalls
        }
        for kind in kinds
    }


def _said(history: Sequence[Message], probe: Probe, question: str | None, system: bool) -> list[Message]:
    """The history and the next question: the probe's of this turn, or another."""
    said = probe.questions[sum(turn["role"] == "user" for turn in history)] if question is None else question
    if history:
        return [*history, {"role": "user", "content": said}]
    return with_instruction([{"role": "user", "content": said}], probe.part.text, system=system)
