"""Mixes that grow harder, draws that keep to them, and how hard a prompt is."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from annotation.core.curriculum import (
    LONGEST,
    Candidate,
    Mix,
    MixError,
    difficulties,
    draw,
    harder,
    standing_of,
    third_of,
)

EVEN = Mix(easy=1 / 3, middle=1 / 3, hard=1 / 3, safety_share=0)
DIFFICULTY = {"easy": 0.1, "middle": 0.5, "hard": 0.9}


def pool(easy: int = 0, middle: int = 0, hard: int = 0, **columns: Any) -> list[Candidate]:
    sizes = {"easy": easy, "middle": middle, "hard": hard}
    return [
        Candidate(key := f"{third} {n} {columns}", family=key, difficulty=DIFFICULTY[third], **columns)
        for third, size in sizes.items()
        for n in range(size)
    ]


def thirds(keys: tuple[str, ...]) -> dict[str, int]:
    return {third: sum(key.startswith(third) for key in keys) for third in DIFFICULTY}


# Mixes


def test_a_mix_goes_through_json() -> None:
    mix = Mix(easy=0.2, middle=0.3, hard=0.5, turns=3, topics={"law": 2.0}, sources={"live": 0})
    assert Mix.from_json(json.loads(json.dumps(mix.to_json()))) == mix
    assert Mix.from_json({}) == Mix()


@pytest.mark.parametrize(
    ("data", "fields"),
    [
        ({"easy": 0.9}, ["hard"]),  # 0.9, 0.3 and 0.1 are 1.3
        ({"easy": -0.1, "hard": 2}, ["easy", "hard"]),
        ({"easy": "0.6"}, ["easy"]),
        ({"easy": True, "middle": 0, "hard": 0}, ["easy"]),
        ({"safety_share": float("nan")}, ["safety_share"]),
        ({"turns": 0}, ["turns"]),
        ({"turns": 1.5}, ["turns"]),
        ({"topics": ["law"]}, ["topics"]),
        ({"topics": {"law": -1}, "sources": {"live": "much"}}, ["topics.law", "sources.live"]),
        ({"esay": 0.6, "length": 3}, ["esay", "length"]),
        ([], ["mix"]),
    ],
)
def test_a_mix_that_cannot_be_is_refused_by_its_fields(data: Any, fields: list[str]) -> None:
    with pytest.raises(MixError) as refused:
        Mix.from_json(data)
    assert [error["field"] for error in refused.value.errors] == fields
    assert all(name in str(refused.value) for name in fields)


def test_next_week_is_a_tenth_harder_and_a_turn_longer() -> None:
    following = harder(Mix(easy=0.6, middle=0.3, hard=0.1, turns=1))
    assert following == Mix(easy=0.5, middle=0.3, hard=0.2, turns=2)


def test_a_mix_grows_up_to_its_bounds_and_stays_there() -> None:
    mix = Mix(topics={"law": 2.0})
    for _ in range(20):
        mix = harder(mix)
    assert mix == Mix(easy=0.1, middle=0.3, hard=0.6, turns=LONGEST, topics={"law": 2.0})
    assert harder(mix) == mix


@pytest.mark.parametrize(
    "mix", [Mix(easy=0, middle=0, hard=1, turns=12), Mix(easy=0.05, middle=0.95, hard=0)]
)
def test_what_is_beyond_the_bounds_stays(mix: Mix) -> None:
    after = harder(mix)
    assert after.shares == mix.shares
    assert after.turns == max(mix.turns, 2)


@given(st.floats(0, 1), st.floats(0, 1), st.integers(1, 10))
def test_no_step_makes_a_mix_easier_or_shorter(one: float, other: float, turns: int) -> None:
    low, high = sorted((one, other))
    mix = Mix(easy=low, middle=high - low, hard=1 - high, turns=turns)
    after = harder(mix)
    assert after.easy <= mix.easy + 1e-6
    assert after.hard >= mix.hard - 1e-6
    assert after.turns >= mix.turns


# Draws


def test_a_draw_keeps_to_its_shares() -> None:
    prompts = pool(50, 50, 50) + pool(50, 50, 50, safety=True)
    drawn = draw(prompts, Mix(easy=0.5, middle=0.3, hard=0.2, safety_share=0.25), count=40, seed=1)
    assert thirds(drawn.keys[:30]) == {"easy": 15, "middle": 9, "hard": 6}
    assert thirds(drawn.keys[30:]) == {"easy": 5, "middle": 3, "hard": 2}
    assert all("True" in key for key in drawn.keys[30:])
    assert drawn.lacking == {}


@pytest.mark.parametrize(
    ("count", "expected"),
    [(10, (5, 3, 2)), (3, (1, 1, 1)), (1, (1, 0, 0)), (0, (0, 0, 0)), (7, (4, 2, 1))],  # 3.5, 2.1, 1.4
)
def test_places_that_do_not_come_out_even_go_to_the_largest_remainders(
    count: int, expected: tuple[int, int, int]
) -> None:
    mix = Mix(easy=0.5, middle=0.3, hard=0.2, safety_share=0)
    assert tuple(thirds(draw(pool(20, 20, 20), mix, count=count, seed=1).keys).values()) == expected


@pytest.mark.parametrize(
    ("sizes", "expected", "lacking"),
    [
        ((10, 10, 1), (4, 7, 1), {"helpfulness hard": 3}),  # hard: middle first
        ((1, 10, 10), (1, 7, 4), {"helpfulness easy": 3}),
        ((10, 0, 10), (8, 0, 4), {"helpfulness middle": 4}),
        ((10, 0, 0), (10, 0, 0), {"helpfulness middle": 4, "helpfulness hard": 4}),
    ],
)
def test_neighbours_fill_a_shortage_and_it_is_told(
    sizes: tuple[int, int, int], expected: tuple[int, int, int], lacking: dict[str, int]
) -> None:
    drawn = draw(pool(*sizes), EVEN, count=12, seed=1)
    assert tuple(thirds(drawn.keys).values()) == expected
    assert drawn.lacking == lacking


def test_prompts_without_an_estimate_count_as_middle() -> None:
    assert [third_of(value) for value in (None, 0, 0.33, 1 / 3, 0.66, 0.67, 1)] == [
        "middle",
        "easy",
        "easy",
        "middle",
        "middle",
        "hard",
        "hard",
    ]


def test_prompts_meant_for_longer_dialogues_wait() -> None:
    long = pool(0, 5, 0, turns=3)
    assert draw(long, replace(EVEN, turns=2), count=3, seed=1).keys == ()
    assert len(draw(long, replace(EVEN, turns=3), count=3, seed=1).keys) == 3


def test_near_duplicates_are_drawn_once() -> None:
    prompts = [Candidate(f"prompt {n}", family=f"family {n // 2}") for n in range(20)]
    drawn = draw(prompts, EVEN, count=20, seed=1).keys
    assert sorted(int(key.split()[1]) // 2 for key in drawn) == list(range(10))


def test_weights_say_how_readily_a_topic_is_drawn() -> None:
    # Of two equal halves, weighted 3 to 1, a quarter of the pool is drawn. Each prompt waits an exponential time;
    # with rates 3 and 1, e^-t = x solves x^3 + x = 1.5 at x = 0.861: 1 - x^3 = 0.36 of the one half and 0.14 of the
    # other, 72 % and 28 % of the draw.
    prompts = pool(0, 4_000, 0, topic="law") + pool(0, 4_000, 0, topic="love")
    drawn = draw(prompts, replace(EVEN, topics={"law": 3.0}), count=2_000, seed=1).keys
    # Standard deviation of the share below sqrt(0.72 * 0.28 / 2000) = 0.01.
    assert sum("law" in key for key in drawn) / 2_000 == pytest.approx(0.72, abs=0.05)


def test_a_weight_of_zero_is_never_drawn() -> None:
    prompts = pool(0, 9, 0, source="old") + pool(0, 3, 0, source="new")
    assert len(draw(prompts, replace(EVEN, sources={"old": 0}), count=9, seed=1).keys) == 3


CANDIDATES = st.lists(
    st.builds(
        Candidate,
        key=st.text("abcdef", min_size=1, max_size=4),
        family=st.text("xyz", min_size=1, max_size=3),
        safety=st.booleans(),
        difficulty=st.none() | st.floats(0, 1),
        turns=st.integers(1, 3),
    ),
    max_size=30,
    unique_by=lambda candidate: candidate.key,
)


@given(CANDIDATES, st.integers(0, 20), st.integers(0, 5))
def test_a_draw_does_not_depend_on_the_order_and_gives_as_many_as_there_are(
    prompts: list[Candidate], count: int, seed: int
) -> None:
    mix = Mix(turns=2)
    drawn = draw(prompts, mix, count=count, seed=seed)
    assert draw(prompts[::-1], mix, count=count, seed=seed) == drawn
    assert len(set(drawn.keys)) == len(drawn.keys) <= count
    families = {prompt.family for prompt in prompts if prompt.turns <= 2}
    if len(drawn.keys) < count and not any(prompt.safety for prompt in prompts):
        assert len(drawn.keys) == len(families)


@given(CANDIDATES, st.integers(0, 20), st.integers(0, 5))
def test_a_prompt_that_is_added_takes_at_most_one_others_place(
    prompts: list[Candidate], count: int, seed: int
) -> None:
    assume(prompts)
    prompts = [prompt._replace(family=prompt.key) for prompt in prompts]
    mix = Mix(turns=3)
    after = set(draw(prompts, mix, count=count, seed=seed).keys)
    before = set(draw(prompts[1:], mix, count=count, seed=seed).keys)
    assert len(before - after) <= 1


# Difficulty


def test_a_standing_is_mean_and_best() -> None:
    assert standing_of([1.0, -1.0, 3.0]) == (1.0, 3.0)


@pytest.mark.parametrize("rewards", [[], [float("nan")], [1.0, float("inf")]])
def test_rewards_that_are_none_are_refused(rewards: list[float]) -> None:
    with pytest.raises(ValueError, match="finite"):
        standing_of(rewards)


def test_difficulty_by_hand() -> None:
    # Means 0, 1, 2, 2 have the percentiles 1/8, 3/8, 6/8, 6/8; bests 4, 1, 2, 3 have 7/8, 1/8, 3/8, 5/8.
    house = [standing_of(r) for r in ([-4.0, 4.0], [1.0, 1.0], [2.0, 2.0], [1.0, 3.0])]
    assert difficulties(house, house) == [1 - 8 / 16, 1 - 4 / 16, 1 - 9 / 16, 1 - 11 / 16]


def test_a_prompt_that_stands_alone_is_of_middle_difficulty() -> None:
    alone = standing_of([5.0])
    assert difficulties([alone], [alone]) == [0.5]


REWARDS = st.lists(st.lists(st.integers(-50, 50), min_size=3, max_size=3), min_size=2, max_size=12)


@given(REWARDS)
def test_where_mean_and_best_fall_a_prompt_is_harder(groups: list[list[int]]) -> None:
    house = [standing_of(group) for group in groups]
    found = difficulties(house, house)
    assert all(0 < difficulty < 1 for difficulty in found)
    for a, hard in zip(house, found, strict=True):
        for b, other in zip(house, found, strict=True):
            if a.mean <= b.mean and a.best <= b.best:
                assert hard >= other


@given(REWARDS, st.integers(1, 9), st.integers(-20, 20))
def test_the_scale_of_the_reward_model_does_not_matter(groups: list[list[int]], by: int, shift: int) -> None:
    house = [standing_of(group) for group in groups]
    scaled = [standing_of([by * reward + shift for reward in group]) for group in groups]
    assert difficulties(scaled, scaled) == difficulties(house, house)
