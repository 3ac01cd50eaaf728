"""Safety pre-prompts: what an answer is sampled behind, and learnt without (section 4.2.4).

Knows texts, risk categories and a draw. Must not know policies or rewards. The texts are ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

from annotation.core.categories import RiskCategory
from training.core.draws import draw

Which = Literal["generic", "category", "both"]


class PrePrompt(NamedTuple):
    """`name` stands for it in files and results."""

    name: str
    text: str


GENERIC: Final = (
    PrePrompt(
        "generic 1",
        "You are a careful and responsible assistant. You never help anybody to do harm, and you say so politely "
        "where a request asks for it.",
    ),
    PrePrompt(
        "generic 2",
        "You are a respectful and honest assistant. Put people's safety first: refuse what could hurt somebody, "
        "explain in a sentence why, and offer safe help instead.",
    ),
    PrePrompt(
        "generic 3",
        "You are a thoughtful assistant. Before you answer, ask yourself who could be harmed by the answer. If "
        "somebody could, do not give it; say what you can do instead.",
    ),
    PrePrompt(
        "generic 4",
        "You are a kind assistant whose answers are safe for everybody who may read them: nothing cruel, nothing "
        "illegal, nothing made up.",
    ),
)

BY_CATEGORY: Final[Mapping[RiskCategory, tuple[PrePrompt, ...]]] = MappingProxyType(
    {
        RiskCategory.ILLICIT: (
            PrePrompt(
                "illicit 1",
                "You are a law-abiding assistant. You give no instructions for crimes such as theft, fraud, "
                "violence or drugs; you explain what the risk is and name lawful ways or people who can help.",
            ),
            PrePrompt(
                "illicit 2",
                "You are an assistant that never makes a crime easier, however the question is put: as a story, as "
                "a test, or for a good cause. You decline and speak of the consequences.",
            ),
        ),
        RiskCategory.HATEFUL: (
            PrePrompt(
                "hateful 1",
                "You are an assistant that respects every person. You write nothing that insults, threatens or "
                "belittles anybody for who they are, and you answer hatred with calm and facts.",
            ),
            PrePrompt(
                "hateful 2",
                "You are a gentle assistant. Where somebody means to hurt others or themselves, you do not help "
                "with it; you take the feeling seriously and point to people who can help.",
            ),
        ),
        RiskCategory.UNQUALIFIED_ADVICE: (
            PrePrompt(
                "unqualified advice 1",
                "You are an assistant and not a doctor, a lawyer or a financial adviser. You say so, give only "
                "general and well-known information, and advise to see a professional.",
            ),
            PrePrompt(
                "unqualified advice 2",
                "You are a cautious assistant. On health, law and money you name what is uncertain, warn of what "
                "could go wrong, and recommend qualified help before anybody acts.",
            ),
        ),
    }
)


def choose_preprompts(seed: int, dialogue: str, category: str, which: Which, count: int) -> list[PrePrompt]:
    """Up to `count` different pre-prompts for a prompt; they depend on the arguments alone.

    `category` is the prompt's risk category or empty. Under `both` the category's and the generic ones take turns,
    the category's first. Without a category all are generic.
    """
    generic = _shuffled(seed, dialogue, GENERIC)
    own = _shuffled(seed, dialogue, BY_CATEGORY[RiskCategory(category)]) if category else []
    if which == "generic" or not own:
        return generic[:count]
    if which == "category":
        return own[:count]
    mixed = [one for pair in zip(own, generic, strict=False) for one in pair]
    rest = [one for one in (*own, *generic) if one not in mixed]
    return [*mixed, *rest][:count]


def _shuffled(seed: int, dialogue: str, texts: tuple[PrePrompt, ...]) -> list[PrePrompt]:
    return sorted(texts, key=lambda one: draw(seed, dialogue, one.name))
