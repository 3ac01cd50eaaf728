"""Whether an answer obeys an instruction, as far as a rule can tell.

Knows words and letters. Must not know models, and cannot judge what needs a reader: whether somebody sounds like
Napoleon.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

MOSTLY: Final = 0.9  # of the letters: a name keeps its capital
SPOKEN: Final = 0.1  # of the words: fewer common words than that are no sentence of the language

# The commonest words of each language that are not words of the others too.
COMMON: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        name: frozenset(words.split())
        for name, words in {
            "English": "the and of to is that it for you with this are was have not be they from",
            "French": "le les et des est une dans pour que qui vous sur avec pas ce il nous sont",
            "German": "der die das und ist nicht ein eine mit zu den von sich auf für sie auch ich",
            "Spanish": "el los las y una por con para es del se lo como más pero su está hay",
            "Italian": "il di che è gli della per un non sono con una più anche nel questo alla",
            "Portuguese": "o os da do em não uma um com para dos na no por mais é são você",
            "Dutch": "de het een van en niet op te dat voor zijn met ook aan wordt je naar bij",
            "Swedish": "och att det som på är av för inte till med har ett den om jag kan du",
        }.items()
    }
)


class RuleName(StrEnum):
    """What is looked at."""

    ENDS_WITH = "ends with"  # the last word is the value
    BEGINS_WITH = "begins with"  # the first word is the value
    MENTIONS = "mentions"  # one of the value's words stands anywhere
    UPPER_CASE = "upper case"  # nearly all letters are capitals
    LANGUAGE = "language"  # common words of the language, and more of them than of any other


@dataclass(frozen=True, slots=True)
class Rule:
    """`value` is a word, words separated by blanks, a language of COMMON, or empty, as the name needs."""

    name: RuleName
    value: str = ""


def obeys(rule: Rule, text: str) -> bool:
    """Whether `text` does what the rule asks. An empty answer obeys nothing."""
    words = words_of(text)
    if not words:
        return False
    match rule.name:
        case RuleName.ENDS_WITH:
            return words[-1] == _folded(rule.value)
        case RuleName.BEGINS_WITH:
            return words[0] == _folded(rule.value)
        case RuleName.MENTIONS:
            return not set(words_of(rule.value)).isdisjoint(words)
        case RuleName.UPPER_CASE:
            return _is_upper(text)
        case RuleName.LANGUAGE:
            return language_of(text) == rule.value


def words_of(text: str) -> list[str]:
    """Its words in small letters, without what stands between them."""
    letters = (c if c.isalnum() or unicodedata.combining(c) else " " for c in _folded(text))
    return "".join(letters).split()


def language_of(text: str) -> str | None:
    """The language whose common words are most frequent, if they make a tenth of all words and it is one alone."""
    words = words_of(text)
    counts = {name: sum(word in common for word in words) for name, common in COMMON.items()}
    best = max(counts, key=lambda name: counts[name])
    alone = sum(count == counts[best] for count in counts.values()) == 1
    return best if alone and counts[best] >= max(1.0, SPOKEN * len(words)) else None


def _is_upper(text: str) -> bool:
    letters = [c for c in text if c.isupper() or c.islower()]
    return bool(letters) and sum(c.isupper() for c in letters) >= MOSTLY * len(letters)


def _folded(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold()
