"""Instructions that are to hold over a whole dialogue (section 3.3): made up from short lists, by seed.

Knows lists and wordings. Must not know dialogues, policies or files. The paper's lists were written by its own
model and are not published; these are ours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

from annotation.core.records import Message
from training.core.draws import draw
from training.core.rules import COMMON, Rule, RuleName

Family = Literal["paper", "rules", "both"]

HOBBIES: Final = (
    "tennis",
    "chess",
    "gardening",
    "sailing",
    "cooking",
    "astronomy",
    "photography",
    "pottery",
    "knitting",
    "cycling",
    "fishing",
    "climbing",
    "birdwatching",
    "painting",
    "swimming",
    "running",
    "origami",
    "baking",
    "juggling",
    "hiking",
)
LANGUAGES: Final = tuple(name for name in COMMON if name != "English")
FIGURES: Final = (
    "Napoleon",
    "Cleopatra",
    "Mozart",
    "Marie Curie",
    "Leonardo da Vinci",
    "Shakespeare",
    "Isaac Newton",
    "Joan of Arc",
    "Charles Darwin",
    "Ada Lovelace",
    "Julius Caesar",
    "Jane Austen",
    "Galileo",
    "Florence Nightingale",
    "Socrates",
    "Beethoven",
    "Frida Kahlo",
    "Marco Polo",
    "Queen Victoria",
    "Confucius",
)
WORDS: Final = (
    "banana",
    "lantern",
    "harbour",
    "violin",
    "pepper",
    "glacier",
    "copper",
    "meadow",
    "orchid",
    "compass",
)


@dataclass(frozen=True, slots=True)
class Part:
    """One constraint: how it is said, how it is said in short, and the rule that checks it.

    Where there is a `question`, the rule holds for the answer to that alone: who enjoys tennis need not speak of it.
    Without one it holds for every answer.
    """

    kind: str
    text: str
    short: str
    rule: Rule
    question: str = ""


@dataclass(frozen=True, slots=True)
class Instruction:
    """Constraints that hold together."""

    parts: tuple[Part, ...]

    @property
    def kind(self) -> str:
        return "+".join(part.kind for part in self.parts)

    @property
    def text(self) -> str:
        return " ".join(part.text for part in self.parts)

    @property
    def short(self) -> str:
        return " ".join(part.short for part in self.parts)

    @property
    def rules(self) -> tuple[Rule, ...]:
        """Those that every answer must obey."""
        return tuple(part.rule for part in self.parts if not part.question)


def hobby(name: str) -> Part:
    return Part(
        "hobby",
        f"You enjoy {name}.",
        f"Hobby: {name}.",
        Rule(RuleName.MENTIONS, name),
        question="What do you enjoy doing in your free time?",
    )


def language(name: str) -> Part:
    return Part("language", f"Always answer in {name}.", f"{name} only.", Rule(RuleName.LANGUAGE, name))


def figure(name: str) -> Part:
    """No rule tells whether an answer sounds like somebody; whether it says who it is, one does."""
    return Part(
        "figure",
        f"Always act as {name}.",
        f"Figure: {name}.",
        Rule(RuleName.MENTIONS, name),
        question="Who are you?",
    )


def last_word(word: str) -> Part:
    return Part(
        "last word",
        f"Always end your answer with the word {word}.",
        f"Last word: {word}.",
        Rule(RuleName.ENDS_WITH, word),
    )


def first_word(word: str) -> Part:
    return Part(
        "first word",
        f"Always begin your answer with the word {word}.",
        f"First word: {word}.",
        Rule(RuleName.BEGINS_WITH, word),
    )


def mention(word: str) -> Part:
    return Part(
        "mention",
        f"Always use the word {word} in your answer.",
        f"Mention: {word}.",
        Rule(RuleName.MENTIONS, word),
    )


def capitals(_: str) -> Part:
    return Part(
        "capitals",
        "Always answer in capital letters.",
        "Capitals only.",
        Rule(RuleName.UPPER_CASE),
    )


_Source = tuple[Callable[[str], Part], tuple[str, ...]]

PAPER: Final[Mapping[str, _Source]] = MappingProxyType(
    {"hobby": (hobby, HOBBIES), "language": (language, LANGUAGES), "figure": (figure, FIGURES)}
)
CHECKED: Final[Mapping[str, _Source]] = MappingProxyType(
    {
        "last word": (last_word, WORDS),
        "first word": (first_word, WORDS),
        "mention": (mention, WORDS),
        "capitals": (capitals, ("",)),
        "language": (language, LANGUAGES),
    }
)
# Every choice of one constraint or more is as likely as any other: three single ones, three pairs, all three.
COMBINATIONS: Final = tuple(
    tuple(name for bit, name in enumerate(PAPER) if chosen >> bit & 1) for chosen in range(1, 2 ** len(PAPER))
)


def draw_instruction(seed: int, key: str, family: Family) -> Instruction:
    """The instruction of the dialogue `key`: it depends on the arguments alone.

    `paper` combines hobby, language and public figure at random; `rules` takes one that a rule can check; `both`
    takes either as often.
    """
    if _family(seed, key, family) == "rules":
        return Instruction((draw_part(seed, key, "rules"),))
    combination = COMBINATIONS[draw(seed, key, "combination") % len(COMBINATIONS)]
    return Instruction(tuple(_part(PAPER[name], seed, key, name) for name in combination))


def draw_part(seed: int, key: str, family: Family) -> Part:
    """A single constraint, as a test of recall wants it."""
    sources = CHECKED if _family(seed, key, family) == "rules" else PAPER
    names = list(sources)
    name = names[draw(seed, key, "kind") % len(names)]
    return _part(sources[name], seed, key, name)


def is_shortened(seed: int, key: str, share: float) -> bool:
    """Whether the instruction of the dialogue `key` is learnt in its short form."""
    return draw(seed, key, "short") < share * 2**64


def with_instruction(messages: Sequence[Message], text: str, *, system: bool = False) -> list[Message]:
    """The dialogue with the instruction where it is given once: before the first user turn, or as system message.

    Of a dialogue that has a system message the instruction becomes the second part.
    """
    if not system:
        first = next(index for index, message in enumerate(messages) if message["role"] == "user")
        return [
            _behind(text, message) if index == first else message for index, message in enumerate(messages)
        ]
    head = [message["content"] for message in messages[:1] if message["role"] == "system"]
    opening: Message = {"role": "system", "content": "\n".join([*head, text])}
    return [opening, *messages[len(head) :]]


def with_every(messages: Sequence[Message], text: str) -> list[Message]:
    """The dialogue with the instruction before every user turn, as it is sampled."""
    return [_behind(text, message) if message["role"] == "user" else message for message in messages]


def _behind(text: str, message: Message) -> Message:
    return {"role": message["role"], "content": f"{text}\n{message['content']}"}


def _family(seed: int, key: str, family: Family) -> Family:
    if family == "both":
        return "rules" if draw(seed, key, "family") % 2 else "paper"
    return family


def _part(source: _Source, seed: int, key: str, name: str) -> Part:
    make, values = source
    return make(values[draw(seed, key, name, "value") % len(values)])
