"""Rules that tell whether an answer obeys, the instructions that have them, and how long they are remembered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.core.dialogue_rounds import Asked
from training.core.instructions import (
    CHECKED,
    COMBINATIONS,
    PAPER,
    Instruction,
    Part,
    draw_instruction,
    draw_part,
    figure,
    last_word,
    with_every,
    with_instruction,
)
from training.core.recall import Probe, by_kind, measure_recall
from training.core.rules import COMMON, Rule, RuleName, language_of, obeys, words_of

SENTENCES = {
    "English": "The cat and the dog have not been seen with you.",
    "French": "Les enfants sont dans la maison avec une amie et il ne dit pas que vous êtes là.",
    "German": "Die Kinder sind nicht im Haus und der Hund ist auch mit einer Katze auf dem Dach.",
    "Spanish": "Los niños están en la casa y el perro no lo sabe, pero hay una puerta para él.",
    "Italian": "Il cane è nella casa con gli altri e non sono più alla porta, che anche una gatta.",
    "Portuguese": "O cão não está em casa com os meninos, mas você é mais um dos que são da rua.",
    "Dutch": "Het kind is niet in het huis en de hond wordt ook naar de tuin van een buur gebracht.",
    "Swedish": "Barnet är inte i huset och hunden har ett ben som du kan ge till den av jag.",
}


@pytest.mark.parametrize(
    ("rule", "obeying", "disobeying"),
    [
        (Rule(RuleName.ENDS_WITH, "banana"), "It is so. Banana!", "A banana it is."),
        (Rule(RuleName.BEGINS_WITH, "banana"), "“Banana”, I say.", "I say banana."),
        (Rule(RuleName.MENTIONS, "banana"), "One BANANA, please", "Bananas, please"),
        (Rule(RuleName.MENTIONS, "Marie Curie"), "I am Marie.", "I am a model."),
        (Rule(RuleName.UPPER_CASE), "YES, IT IS 3.", "Yes, it is."),
        (Rule(RuleName.LANGUAGE, "French"), SENTENCES["French"], SENTENCES["English"]),
    ],
)
def test_a_rule_tells_an_answer_that_obeys(rule: Rule, obeying: str, disobeying: str) -> None:
    assert obeys(rule, obeying)
    assert not obeys(rule, disobeying)


@pytest.mark.parametrize("name", list(RuleName))
@pytest.mark.parametrize("text", ["", " \n", "...", "!?"])
def test_an_answer_without_words_obeys_nothing(name: RuleName, text: str) -> None:
    assert not obeys(Rule(name, "banana"), text)


def test_capitals_allow_a_letter_in_ten() -> None:
    # Ten letters with one small one are 0.9; nine with one small one are 0.89.
    assert obeys(Rule(RuleName.UPPER_CASE), "ABCDEFGHIj")
    assert not obeys(Rule(RuleName.UPPER_CASE), "ABCDEFGHi")
    assert not obeys(Rule(RuleName.UPPER_CASE), "123")


@pytest.mark.parametrize("name", list(COMMON))
def test_each_language_is_told_from_the_others(name: str) -> None:
    assert language_of(SENTENCES[name]) == name


def test_a_text_of_no_known_language_has_none() -> None:
    assert language_of("xyzzy plugh") is None
    assert language_of("Bonjour") is None
    # One common word of eleven is less than a tenth.
    assert language_of("nous " + "xyzzy " * 10) is None


@given(st.text())
def test_words_are_without_blanks_and_case(text: str) -> None:
    for word in words_of(text):
        assert word == word.casefold()
        assert not any(letter.isspace() for letter in word)


def test_instructions_combine_hobby_language_and_figure_in_every_way() -> None:
    kinds = {draw_instruction(1, f"d{number}", "paper").kind for number in range(300)}
    assert kinds == {"+".join(combination) for combination in COMBINATIONS}
    assert len(COMBINATIONS) == 7  # three alone, three pairs, all three


def test_an_instruction_depends_on_seed_and_dialogue_alone() -> None:
    assert draw_instruction(1, "d", "both") == draw_instruction(1, "d", "both")
    texts = {draw_instruction(seed, "d", "both").text for seed in range(50)}
    assert len(texts) > 30


def test_a_family_draws_its_own_kinds() -> None:
    assert {draw_part(1, str(number), "rules").kind for number in range(200)} == set(CHECKED)
    assert {draw_part(1, str(number), "paper").kind for number in range(200)} == set(PAPER)
    assert {draw_part(1, str(number), "both").kind for number in range(300)} == set(CHECKED) | set(PAPER)


def test_only_rules_for_every_answer_check_an_answer_that_was_not_asked_for_them() -> None:
    assert Instruction((figure("Napoleon"),)).rules == ()
    assert Instruction((figure("Napoleon"), last_word("banana"))).rules == (
        Rule(RuleName.ENDS_WITH, "banana"),
    )


def test_the_short_form_is_shorter() -> None:
    for number in range(200):
        instruction = draw_instruction(1, str(number), "both")
        assert len(instruction.short) < len(instruction.text)


def test_the_instruction_goes_before_user_turns_alone() -> None:
    messages: Any = [
        {"role": "user", "content": "A"},
        {"role": "assistant", "content": "B"},
        {"role": "user", "content": "C"},
    ]
    assert [m["content"] for m in with_every(messages, "Do.")] == ["Do.\nA", "B", "Do.\nC"]
    assert [m["content"] for m in with_instruction(messages, "Do.")] == ["Do.\nA", "B", "C"]
    headed = with_instruction([{"role": "system", "content": "Be."}, *messages], "Do.", system=True)
    assert [m["content"] for m in headed] == ["Be.\nDo.", "A", "B", "C"]
    assert with_instruction(messages, "Do.", system=True)[0]["role"] == "system"


BANANA = last_word("banana")


def _probes(part: Part, count: int = 4) -> list[Probe]:
    return [Probe(f"p{n}", part, tuple(f"Q{turn}" for turn in range(1, 7))) for n in range(count)]


def _forgets_after(turns: int) -> Any:
    """A policy that ends with the word as long as the instruction is at most so many user turns ago."""

    def ask(name: str, asked: Sequence[Asked]) -> list[dict[str, Any]]:
        rows = []
        for one in asked:
            said = [m["content"] for m in one.messages if m["role"] == "user"]
            ago = next(number for number, words in enumerate(reversed(said)) if "banana" in words)
            rows.append({"text": "Banana." if ago < turns else "What?"})
        return rows

    return ask


def test_recall_is_told_at_each_turn() -> None:
    recalls = measure_recall(_forgets_after(3), _probes(BANANA), (1, 2, 4, 6))
    assert [(recall.turn, recall.share) for recall in recalls] == [(1, 1), (2, 1), (4, 0), (6, 0)]


def test_the_instruction_is_given_once_and_the_policys_own_answers_are_the_history() -> None:
    seen: list[Asked] = []

    def ask(name: str, asked: Sequence[Asked]) -> list[dict[str, Any]]:
        seen.extend(asked)
        return [{"text": f"said in {name}"} for _ in asked]

    measure_recall(ask, _probes(BANANA, 1), (3,))
    assert [m["content"] for m in seen[-1].messages] == [
        f"{BANANA.text}\nQ1",
        "said in recall/01",
        "Q2",
        "said in recall/02",
        "Q3",
    ]
    assert len({one.seed for one in seen}) == 3


def test_a_figure_is_asked_for_in_a_branch_that_the_dialogue_forgets() -> None:
    seen: list[list[str]] = []

    def ask(name: str, asked: Sequence[Asked]) -> list[dict[str, Any]]:
        seen.append([one.messages[-1]["content"] for one in asked])
        assert not any("Who are you?" in m["content"] for one in asked for m in one.messages[:-1])
        return [{"text": "I am Napoleon." if "Who" in said else "So."} for said in seen[-1]]

    recalls = measure_recall(ask, _probes(figure("Napoleon"), 1), (1, 3), system=True)
    assert seen == [["Q1", "Who are you?"], ["Q2"], ["Q3", "Who are you?"]]
    assert [recall.share for recall in recalls] == [1.0, 1.0]


def test_kinds_are_told_apart() -> None:
    probes = [*_probes(BANANA, 3), *_probes(figure("Napoleon"), 1)]
    recalls = measure_recall(lambda name, asked: [{"text": "banana"} for _ in asked], probes, (1,))
    kinds = by_kind(probes, recalls)
    assert kinds["last word"]["1"]["share"] == 1.0
    assert kinds["figure"]["1"] == {"dialogues": 1, "share": 0.0, "low": 0.0, "high": 0.7935}  # z² / (1 + z²)


def test_probes_need_enough_questions() -> None:
    with pytest.raises(ValueError, match="needs probes of 20 questions"):
        measure_recall(_forgets_after(1), _probes(BANANA))
    with pytest.raises(ValueError, match="needs probes"):
        measure_recall(_forgets_after(1), [], (1,))
