"""Pacing: what is shown is the text, and its timing does not tell which side was the faster one."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import mean, pstdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.core.pacing import BREATH, SLOW, WIDTH, Cutter, paced
from training.tests.fake_time import run_in_no_time

texts = st.text(alphabet=st.sampled_from("ab \n漢字éẞ👍🏽\t-"), max_size=120)


@dataclass(frozen=True)
class Side:
    """A server: its text comes in parts of `size` characters, the first after `first` s, then every `every` s."""

    text: str
    every: float = 0.1
    first: float = 0.1
    size: int = 4
    breaks_after: int | None = None

    async def stream(self) -> AsyncIterator[str]:
        for number, start in enumerate(range(0, len(self.text), self.size)):
            await asyncio.sleep(self.every if number else self.first)
            if number == self.breaks_after:
                raise ConnectionError
            yield self.text[start : start + self.size]


@dataclass(frozen=True)
class Shown:
    lines: list[tuple[str, str]]
    times: list[float]  # seconds since the beginning

    @property
    def together(self) -> int:
        return sum(bool(one and other) for one, other in self.lines)

    def text(self, side: int) -> str:
        return "".join(line[side] for line in self.lines)


def show(one: Side, other: Side) -> Shown:
    async def watch() -> Shown:
        clock = asyncio.get_running_loop().time
        began, lines, times = clock(), [], []
        async for line in paced(one.stream(), other.stream()):
            if line is not None:
                lines.append(line)
                times.append(round(clock() - began, 6))
        return Shown(lines, times)

    return run_in_no_time(watch())


def cut(parts: Sequence[str]) -> list[str]:
    cutter = Cutter()
    return [piece for part in parts for piece in cutter.feed(part)] + cutter.end()


@given(texts, st.lists(st.integers(0, 120)))
def test_pieces_do_not_depend_on_how_the_text_came(text: str, places: list[int]) -> None:
    places = sorted({0, *(p for p in places if p < len(text)), len(text)})
    assert cut([text[a:b] for a, b in pairwise(places)]) == cut([text])


@given(texts)
def test_pieces_are_the_text_and_none_is_long(text: str) -> None:
    pieces = cut([text])
    assert "".join(pieces) == text
    assert all(0 < len(piece) <= WIDTH for piece in pieces)


def test_a_piece_is_a_word_with_the_blank_before_it() -> None:
    assert cut(["One two,\n\nthree incomprehensible"]) == [
        "One",
        " two,",
        "\n\nthree",
        " incomprehen",
        "sible",
    ]


def test_a_chinese_piece_is_a_few_characters() -> None:
    assert cut(["人工智能可以帮助人们"]) == ["人工智能", "可以帮助", "人们"]


sides = st.builds(
    Side,
    text=texts,
    every=st.sampled_from([0.0, 0.01, 0.05, 0.3]),
    first=st.sampled_from([0.0, 0.1, 2.5]),
    size=st.integers(1, 40),
)


@given(sides, sides)
def test_what_is_shown_is_what_was_written(one: Side, other: Side) -> None:
    shown = show(one, other)
    assert (shown.text(0), shown.text(1)) == (one.text, other.text)


@given(sides, sides)
def test_both_texts_stay_level_until_one_has_ended(one: Side, other: Side) -> None:
    lines = show(one, other).lines
    assert all(a and b for a, b in lines[: min(len(cut([one.text])), len(cut([other.text])))])


@given(sides, sides)
def test_exchanging_the_sides_exchanges_nothing_but_the_sides(one: Side, other: Side) -> None:
    here, there = show(one, other), show(other, one)
    assert here.times == there.times
    assert here.lines == [(a, b) for b, a in there.lines]


WORDS = "word " * 60
SPOKEN = " word" * 40  # as tokens are: the blank comes first


def test_a_fast_left_and_a_fast_right_look_exactly_alike() -> None:
    fast, slow = Side(WORDS, 0.01, 0.2, 5), Side(WORDS, 0.08, 1.5, 5)
    here, there = show(fast, slow), show(slow, fast)
    assert (here.lines, here.times) == (there.lines, there.times)


def test_the_pace_and_the_wait_are_the_slower_sides() -> None:
    fast, slow = Side(WORDS, 0.01, 0.2, 5), Side(WORDS, 0.08, 1.5, 5)
    alone, both = show(slow, slow), show(fast, slow)
    assert both.times == alone.times


def gaps(shown: Shown) -> list[float]:
    return [b - a for a, b in pairwise(shown.times)]


def test_the_rest_of_a_fast_side_comes_at_the_pace_of_both() -> None:
    shown = show(Side(WORDS * 2, 0.001, 0.1, 5), Side(WORDS, 0.08, 0.1, 5))
    apart, rest = gaps(shown)[: shown.together - 1], gaps(shown)[shown.together :]
    assert len(rest) > 50
    assert rest == pytest.approx([mean(apart)] * len(rest), abs=1e-5)


@given(sides, sides)
def test_no_rest_is_faster_than_both_were(one: Side, other: Side) -> None:
    shown = show(one, other)
    apart, rest = gaps(shown)[: max(0, shown.together - 1)], gaps(shown)[shown.together :]
    assert not apart or not rest or min(rest) >= mean(apart) - 1e-5


@dataclass(frozen=True)
class Uneven(Side):
    """As servers are: the times between two packets differ, by a gamma distribution, and the end is one too."""

    seed: int = 0

    async def stream(self) -> AsyncIterator[str]:
        draw = random.Random(self.seed)
        for start in range(0, len(self.text) + self.size, self.size):
            await asyncio.sleep(self.every * draw.gammavariate(4, 0.25))
            yield self.text[start : start + self.size]


def tells(shown: Shown) -> dict[str, float]:
    """What somebody with a stop-watch could look at to find out whether the longer side was the faster one."""
    apart, rest = gaps(shown)[: shown.together - 1], gaps(shown)[shown.together :]
    return {
        "speed of the rest": mean(rest) / mean(apart),
        "unevenness of the rest": pstdev(rest),
        "longest halt": max(rest) / mean(apart),
        "halt before the rest": gaps(shown)[shown.together - 1] / mean(apart),
        "end of both": apart[-1] / mean(apart),
    }


def test_a_stop_watch_does_not_tell_whether_the_longer_answer_came_from_the_faster_model() -> None:
    def look(longer: float, shorter: float, seed: int) -> dict[str, float]:
        return tells(
            show(
                Uneven(SPOKEN * 2, longer, size=5, seed=seed),
                Uneven(SPOKEN, shorter, size=5, seed=-seed - 1),
            )
        )

    by_fast = [look(0.02, 0.06, seed) for seed in range(40)]
    by_slow = [look(0.06, 0.02, seed + 40) for seed in range(40)]
    for tell in by_fast[0]:
        # How often the greater value is the slow model's: a half where there is nothing to see.
        wins = [
            (s[tell] > f[tell] + 1e-9) + 0.5 * (abs(s[tell] - f[tell]) <= 1e-9)
            for s in by_slow
            for f in by_fast
        ]
        assert 0.3 < mean(wins) < 0.7, tell


def test_one_side_begins_alone_only_after_a_breath() -> None:
    shown = show(Side(WORDS * 2, 0.001, 0.1, 5), Side(WORDS, 0.08, 0.1, 5))
    assert gaps(shown)[shown.together - 1] == pytest.approx(BREATH * 0.08, rel=0.05)


def test_after_a_very_short_answer_the_rest_does_not_rush_in() -> None:
    shown = show(Side(WORDS, 0.0, 0.0, 5), Side("Yes.", 0.0, 0.1))
    assert min(gaps(shown)) >= SLOW - 1e-6


def test_an_empty_answer_does_not_let_the_other_rush_in() -> None:
    shown = show(Side(WORDS, 0.0, 0.0, 5), Side(""))
    assert min(gaps(shown)) >= SLOW - 1e-6


@pytest.mark.parametrize("swapped", [False, True])
def test_a_side_that_fails_stops_both_at_once(swapped: bool) -> None:
    pair = Side(WORDS, 0.1, 0.1, 5), Side(WORDS, 0.1, 0.1, 5, breaks_after=7)
    seen = 0

    async def watch() -> None:
        nonlocal seen
        one, other = pair[::-1] if swapped else pair
        async for _ in paced(one.stream(), other.stream()):
            seen += 1

    with pytest.raises(ConnectionError):
        run_in_no_time(watch())
    assert 5 <= seen <= 7


def test_whoever_leaves_closes_both_sources() -> None:
    closed: list[str] = []

    async def source(name: str) -> AsyncIterator[str]:
        try:
            while True:
                await asyncio.sleep(0.1)
                yield "word "
        finally:
            closed.append(name)

    async def leave() -> None:
        lines = paced(source("one"), source("other"))
        await anext(lines)
        await lines.aclose()

    run_in_no_time(leave())
    assert sorted(closed) == ["one", "other"]


def test_silence_ticks() -> None:
    async def count() -> list[object]:
        return [line async for line in paced(Side("a", first=3.5).stream(), Side("b").stream(), tick=1.0)]

    assert run_in_no_time(count()) == [None, None, None, ("a", "b")]
