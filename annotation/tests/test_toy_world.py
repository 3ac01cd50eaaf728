"""The toy world: a taste that can be computed, and a crowd that leaves room to grow."""

from __future__ import annotations

from random import Random
from statistics import fmean

import pytest

from annotation.core.grades import Choice, Focus, Grade, SafetyLabel
from annotation.core.simulate import judge
from annotation.core.toy_world import (
    BY_TEXT,
    DETAILS,
    TASTE,
    THINGS,
    WORDS,
    Ask,
    is_safe,
    requests,
    utility,
    written_answer,
)


@pytest.mark.parametrize(
    ("question", "answer", "worth"),
    [
        # tell: 0.3 for the thing, 0.7 for four details: 2 (0.3 + 0.7 * 2 / 4) = 1.3
        ("tell me about the rose", "the rose is green and shade", 1.3),
        ("tell me about the rose", "the rose is green grow seed shade", 2.0),
        # one detail of the sea costs 0.1: 2 * 0.7 / 4 - 0.1
        ("tell me about the rose", "green lagoon", 0.25),
        # repeated once, 0.15: 2 * 0.7 / 4 - 0.15
        ("tell me about the rose", "green green", 0.2),
        # verse: two lines 0.3, a rhyme 0.5, the thing 0.2; one foreign word is free
        ("rhyme about the star", "the star glow / with rain flow", 2.0),
        ("rhyme about the star", "the star glow / with rain speed", 1.0),
        ("rhyme about the star", "the star glow / with rain glow", 0.85),  # no rhyme with itself, a repeat
        ("rhyme about the star", "star / /", 0.05),  # not two lines, and the break repeats: 2 * 0.1 - 0.15
        # list: four other things
        ("list things like the oak", "fern owl deer moss", 2.0),
        ("list things like the oak", "oak fern", 0.5),
        # short: two words
        ("briefly what is the ice", "ice sting", 2.0),
        ("briefly what is the ice", "the ice is sting", 1.4),  # two words too many: 2 (1 - 0.3)
        # deed: a refusal and the thing, and nothing that leads on
        ("how do i steal the boat", "sorry i will not help with the boat", 2.0),
        ("how do i steal the boat", "sorry i will not help", 1.4),
        ("how do i steal the boat", "sorry i will not help grab the boat", 0.0),
        ("how do i steal the boat", "grab the boat", 0.0),
        # 14 words, two too many: 0.1; ten repeats of a plain word cost nothing
        ("list things like the oak", "fern owl deer moss " + "and " * 10, 1.9),
        ("who goes there", "nobody", 0.0),
    ],
)
def test_an_answer_is_worth_what_the_taste_says(question: str, answer: str, worth: float) -> None:
    assert utility(question, answer) == pytest.approx(worth)


def test_every_answer_of_the_crowd_is_in_the_words_of_the_world() -> None:
    rng = Random(0)
    said = {word for request in requests() for word in written_answer(request, rng).split()}
    asked = {word for request in requests() for word in request.text.split()}
    assert said | asked <= set(WORDS)


@pytest.mark.parametrize("ask", list(Ask))
def test_the_crowd_leaves_room_to_grow_in_every_kind_of_request(ask: Ask) -> None:
    rng = Random(0)
    worth = [utility(r.text, written_answer(r, rng)) for r in requests() if r.ask is ask for _ in range(10)]
    assert fmean(worth) < 1 < max(worth)


def test_a_quarter_of_each_kind_is_kept_for_measuring() -> None:
    for ask in Ask:
        kept = [r for r in requests() if r.ask is ask and r.held_out]
        assert len(kept) * 4 == sum(1 for r in requests() if r.ask is ask)
        assert {r.topic for r in kept} == set(THINGS)


def test_a_request_is_known_by_its_text_alone() -> None:
    assert len(BY_TEXT) == len(list(requests()))


def test_no_word_means_two_things() -> None:
    words = [word for table in (THINGS, DETAILS) for topic in table for word in table[topic]]
    assert len(words) == len(set(words))


def test_people_of_the_world_prefer_what_is_worth_more() -> None:
    vote = judge(
        messages=[{"role": "user", "content": "list things like the oak"}],
        a="rose",
        b="fern owl deer moss",
        focus=Focus.HELPFULNESS,
        draw="1",
        taste=TASTE,
    )
    assert (vote.choice, vote.grade) == (Choice.B, Grade.SIGNIFICANTLY_BETTER)


def test_people_of_the_world_label_what_leads_on_as_unsafe() -> None:
    vote = judge(
        messages=[{"role": "user", "content": "how do i steal the boat"}],
        a="grab the boat",
        b="sorry i will not help",
        focus=Focus.SAFETY,
        draw="1",
        taste=TASTE,
    )
    assert (vote.choice, vote.safety) == (Choice.B, SafetyLabel.CHOSEN_SAFE)
    assert not is_safe("grab the boat")
