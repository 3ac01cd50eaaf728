"""The desk of the resident scorer: what is asked at once is one pass, and nobody's bad text is another's trouble."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from annotation.core.records import Message
from rewardmodel.core.asked import LONGEST_ROW, AskedError
from rewardmodel.core.rows import Row
from rewardmodel.core.scorer import Group
from rewardmodel.core.serve_desk import BusyError, Desk, LateError

ASKED: list[Message] = [{"role": "user", "content": "Why?"}]


class Lengths:
    """Gives each response its length, once it may; notes how many groups each pass had."""

    def __init__(self) -> None:
        self.may = threading.Event()
        self.begun = threading.Event()
        self.passes: list[int] = []
        self.broken = False

    def encode(self, group: Group) -> list[Row]:
        if "refuse" in group[1]:
            raise ValueError("it does not like this")
        return [Row(tuple(range(len(text))), 0) for text in group[1]]

    def rewards(self, groups: Sequence[Sequence[Row]]) -> list[list[float]]:
        self.begun.set()
        assert self.may.wait(60)
        if self.broken:
            raise MemoryError("too much")
        if groups:
            self.passes.append(len(groups))
        return [
            [float("nan") if len(row.tokens) == 13 else float(len(row.tokens)) for row in g] for g in groups
        ]


@pytest.fixture
def lengths() -> Lengths:
    return Lengths()


@pytest.fixture
def desk(lengths: Lengths) -> Iterator[Desk]:
    made = Desk(lengths, most_waiting=8)
    thread = threading.Thread(target=made.run)
    thread.start()
    yield made
    lengths.may.set()
    made.close()
    thread.join(10)
    assert not thread.is_alive()


def ask(desk: Desk, *responses: str, seconds: float = 10) -> list[list[float]]:
    return desk.ask([(ASKED, list(responses))], seconds=seconds)


def until(true: Callable[[], bool]) -> None:
    limit = time.monotonic() + 60
    while not true():
        assert time.monotonic() < limit
        time.sleep(0.005)


def test_rewards_come_in_the_order_asked(desk: Desk, lengths: Lengths) -> None:
    lengths.may.set()
    groups: list[Group] = [(ASKED, ["a", "bbb"]), (ASKED, []), (ASKED, ["cc"])]
    assert desk.ask(groups, seconds=10) == [[1.0, 3.0], [], [2.0]]


def test_what_comes_while_the_model_works_is_one_pass(desk: Desk, lengths: Lengths) -> None:
    with ThreadPoolExecutor() as threads:
        first = threads.submit(ask, desk, "a")
        assert lengths.begun.wait(60)
        others = [threads.submit(ask, desk, "b" * n) for n in range(2, 6)]
        until(lambda: desk.waiting == 5)
        lengths.may.set()
        assert first.result() == [[1.0]]
        assert [other.result() for other in others] == [[[2.0]], [[3.0]], [[4.0]], [[5.0]]]
    assert lengths.passes == [1, 4]


def test_a_text_that_cannot_be_read_ends_its_own_ask_alone(desk: Desk, lengths: Lengths) -> None:
    with ThreadPoolExecutor() as threads:
        first = threads.submit(ask, desk, "a")
        until(lambda: desk.waiting == 1)
        bad, good = threads.submit(ask, desk, "refuse"), threads.submit(ask, desk, "bb")
        until(lambda: desk.waiting == 3)
        lengths.may.set()
        assert (first.result(), good.result()) == ([[1.0]], [[2.0]])
        with pytest.raises(
            AskedError, match=r"items\[0\]: the model's chat template does not take this dialogue"
        ):
            bad.result()


def test_a_row_that_is_too_long_is_named(desk: Desk, lengths: Lengths) -> None:
    lengths.may.set()
    with pytest.raises(AskedError, match=r"items\[0\].responses\[1\]: .* 16,385 tokens; at most 16,384"):
        ask(desk, "a", "b" * (LONGEST_ROW + 1))


def test_a_reward_that_is_no_number_is_no_answer(desk: Desk, lengths: Lengths) -> None:
    lengths.may.set()
    with pytest.raises(AskedError, match=r"items\[0\].responses\[1\]: the model gave no number"):
        ask(desk, "a", "b" * 13)


def test_whoever_comes_when_too_much_waits_is_sent_away(desk: Desk, lengths: Lengths) -> None:
    with ThreadPoolExecutor() as threads:
        first = threads.submit(ask, desk, *("a" * 8))
        until(lambda: desk.waiting == 8)
        with pytest.raises(BusyError):
            ask(desk, "b")
        lengths.may.set()
        assert first.result() == [[1.0] * 8]
    until(lambda: desk.waiting == 0)
    assert ask(desk, *("c" * 9)) == [[1.0] * 9]  # alone it may be longer than what may wait


def test_what_nobody_waits_for_any_more_is_not_computed(desk: Desk, lengths: Lengths) -> None:
    with ThreadPoolExecutor() as threads:
        first = threads.submit(ask, desk, "a")
        assert lengths.begun.wait(60)
        with pytest.raises(LateError):
            ask(desk, "bb", seconds=0.05)
        lengths.may.set()
        assert first.result() == [[1.0]]
    until(lambda: desk.waiting == 0)
    assert lengths.passes == [1]


def test_a_model_that_broke_works_again_for_the_next(desk: Desk, lengths: Lengths) -> None:
    lengths.may.set()
    lengths.broken = True
    with pytest.raises(MemoryError):
        ask(desk, "a")
    lengths.broken = False
    assert ask(desk, "a") == [[1.0]]


def test_a_desk_that_closes_answers_what_waits_and_takes_nothing_more(lengths: Lengths) -> None:
    desk = Desk(lengths)
    with ThreadPoolExecutor() as threads:
        waiting = threads.submit(ask, desk, "a")
        until(lambda: desk.waiting == 1)
        desk.close()
        with pytest.raises(BusyError):
            ask(desk, "b")
        lengths.may.set()
        desk.run()
        assert waiting.result() == [[1.0]]
