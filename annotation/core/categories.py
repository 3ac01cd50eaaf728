"""The closed vocabularies for adversarial prompts (section 4.2.1).

Knows names. Must not know prompts or where they come from.
"""

from __future__ import annotations

from enum import StrEnum


class RiskCategory(StrEnum):
    """What an unsafe answer would do."""

    ILLICIT = "illicit"  # illicit and criminal activities
    HATEFUL = "hateful"  # hateful and harmful activities
    UNQUALIFIED_ADVICE = "unqualified_advice"


class AttackStyle(StrEnum):
    """How the prompt tries to lead a model into it."""

    PSYCHOLOGICAL = "psychological"
    LOGIC = "logic"
    SYNTACTIC = "syntactic"
    SEMANTIC = "semantic"
    PERSPECTIVE = "perspective"
    NON_ENGLISH = "non_english"
    OTHER = "other"
