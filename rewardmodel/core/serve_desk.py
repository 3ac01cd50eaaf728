"""Where what several threads ask at once becomes one pass of the model.

Knows threads, rows and patience. Must not know HTTP, nor what the rewards are used for.

One thread alone tokenises and computes: neither a tokenizer nor a network is safe to share. While it computes, what
comes in gathers, and the next pass takes all of it, so that prompts that are asked about twice are computed once.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from rewardmodel.core.asked import Rewarder, check_numbers, encode_all
from rewardmodel.core.rows import Row
from rewardmodel.core.scorer import Group

MOST_WAITING: Final = 2048  # responses; whoever comes then is sent away at once
MOST_TOGETHER: Final = 512  # responses of one pass, if more than one ask is in it


class BusyError(Exception):
    """More waits than can be answered in good time."""


class LateError(Exception):
    """No answer came within the time that the asker had."""


@dataclass(slots=True)
class _Ask:
    groups: Sequence[Group]
    deadline: float
    done: threading.Event = field(default_factory=threading.Event)
    rows: list[list[Row]] = field(default_factory=list)
    rewards: list[list[float]] = field(default_factory=list)
    error: Exception | None = None

    @property
    def responses(self) -> int:
        return sum(len(responses) for _, responses in self.groups)

    def end(self, error: Exception | None = None) -> None:
        self.error = error
        self.done.set()


class Desk:
    """Takes asks from any number of threads; `run` is the one that answers them."""

    def __init__(self, rewarder: Rewarder, *, most_waiting: int = MOST_WAITING) -> None:
        self._rewarder = rewarder
        self._most_waiting = most_waiting
        self._asks: deque[_Ask] = deque()
        self._news = threading.Condition()
        self._closed = False
        self.waiting = 0  # responses that are asked about and not answered
        self.passes = 0

    def ask(self, groups: Sequence[Group], *, seconds: float) -> list[list[float]]:
        """Rewards of `groups`, as `Scorer.score` gives them, within `seconds`.

        Raises:
            BusyError: too much waits already, or the desk is closing.
            LateError: the time is over.
            AskedError: the model cannot read or rate these texts.
        """
        ask = _Ask(groups, time.monotonic() + seconds)
        with self._news:
            if self._closed or (self.waiting and self.waiting + ask.responses > self._most_waiting):
                raise BusyError
            self.waiting += ask.responses
            self._asks.append(ask)
            self._news.notify()
        if not ask.done.wait(seconds):
            raise LateError
        if ask.error is not None:
            raise ask.error
        check_numbers(ask.rewards)
        return ask.rewards

    def run(self) -> None:
        """Answer until `close` was called and nothing waits."""
        while asks := self._next():
            self._answer(asks)
            with self._news:
                self.waiting -= sum(ask.responses for ask in asks)

    def close(self) -> None:
        """Take nothing more; what waits is answered."""
        with self._news:
            self._closed = True
            self._news.notify()

    def _next(self) -> list[_Ask]:
        """All that waits, up to what one pass takes; empty: closed."""
        with self._news:
            self._news.wait_for(lambda: self._asks or self._closed)
            taken: list[_Ask] = []
            size = 0
            while self._asks and (not taken or size + self._asks[0].responses <= MOST_TOGETHER):
                taken.append(self._asks.popleft())
                size += taken[-1].responses
            return taken

    def _answer(self, asks: Sequence[_Ask]) -> None:
        ready = [ask for ask in asks if self._encoded(ask)]
        try:
            rewards = iter(self._rewarder.rewards([rows for ask in ready for rows in ask.rows]))
        except Exception as error:  # noqa: BLE001  it is raised again in the threads that asked
            for ask in ready:
                ask.end(error)
            return
        self.passes += bool(ready)
        for ask in ready:
            ask.rewards = [next(rewards) for _ in ask.groups]
            ask.end()

    def _encoded(self, ask: _Ask) -> bool:
        """Texts that cannot be read end their own ask alone; one that nobody waits for any more is not computed."""
        if time.monotonic() >= ask.deadline:
            ask.end(LateError())
            return False
        try:
            ask.rows = encode_all(self._rewarder, ask.groups)
        except Exception as error:  # noqa: BLE001  it is raised again in the thread that asked
            ask.end(error)
            return False
        return True
