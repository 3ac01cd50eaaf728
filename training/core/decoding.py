"""The loop that draws answers token by token: rows that have ended make room, and waiting ones join.

Knows rows, budgets and when an answer ends. Must not know models, caches or text.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import torch
from torch import Tensor

from training.core.batching import Ids, in_groups
from training.core.gumbel import Chooser, Draw, choose

FinishReason = Literal["stop", "length"]


@dataclass(frozen=True, slots=True)
class Ask:
    """One answer to draw, of at most `longest` tokens."""

    prompt: Ids
    draw: Draw
    longest: int


@dataclass(frozen=True, slots=True)
class Drawn:
    """Its tokens, without the one that ended the turn. `seconds`: from when the row joined to its last token."""

    tokens: tuple[int, ...]
    finish_reason: FinishReason
    seconds: float


class Rows(Protocol):
    """A model with rows at work: it computes the logits from which each row's next token is drawn."""

    joins: bool  # whether rows may join others at work

    def cost(self, rows: Iterable[tuple[Ids, int]]) -> int:
        """Tokens that rows (prompt, longest answer) hold at most when they are at work together."""

    def admit(self, prompts: Sequence[Ids]) -> Tensor:
        """New rows behind those at work; their first logits [new rows, vocabulary]."""

    def step(self, tokens: Sequence[int]) -> Tensor:
        """Each row at work takes its token; the next logits [rows, vocabulary]."""

    def keep(self, order: Sequence[int]) -> None:
        """From now on row i is the one that was `order[i]`; the others are gone."""

    def forget(self, prompt: Ids) -> None:
        """No row asks this prompt any more."""


@dataclass(slots=True)
class _Row:
    index: int
    ask: Ask
    chooser: Chooser
    began: float
    tokens: list[int] = field(default_factory=list)


class Decoding:
    """Draws the answers to `asks`.

    Args:
        budget: tokens that rows at work may hold together; one row alone may exceed it.
        stops: tokens that end a turn.
        ended: whether the answer of this number, with these tokens, has come to its end by what it says.
        watch: told after each step how many answers are finished and how many tokens the step has drawn.
    """

    def __init__(
        self,
        rows: Rows,
        asks: Sequence[Ask],
        *,
        device: torch.device,
        budget: int,
        stops: Iterable[int],
        ended: Callable[[int, Sequence[int]], bool],
        watch: Callable[[int, int], None],
    ) -> None:
        self._rows = rows
        self._asks = asks
        self._device = device
        self._budget = budget
        self._stops = frozenset(stops)
        self._ended = ended
        self._watch = watch
        self._waiting = deque(in_groups([ask.prompt for ask in asks]))
        self._wanted = Counter(ask.prompt for ask in asks)  # rows that a prompt still has before it
        self._live: list[_Row] = []
        self._drawn: dict[int, Drawn] = {}

    def run(self) -> list[Drawn]:
        """One answer an ask, in their order."""
        while self._waiting or self._live:
            began = time.perf_counter()
            if joining := self._joining():
                logits = self._rows.admit([self._asks[index].prompt for index in joining])
                fresh = [self._row(index, began) for index in joining]
                self._live += fresh
                self._take(fresh, logits)
            else:
                logits = self._rows.step([row.tokens[-1] for row in self._live])
                self._take(self._live, logits)
        return [self._drawn[index] for index in range(len(self._asks))]

    def _joining(self) -> list[int]:
        """Waiting rows for which there is room now."""
        if self._live and not self._rows.joins:
            return []
        at_work = [(row.ask.prompt, row.ask.longest) for row in self._live]
        joining: list[int] = []
        while self._waiting:
            ask = self._asks[self._waiting[0]]
            at_work.append((ask.prompt, ask.longest))
            if len(at_work) > 1 and self._rows.cost(at_work) > self._budget:
                break
            joining.append(self._waiting.popleft())
        return joining

    def _row(self, index: int, began: float) -> _Row:
        ask = self._asks[index]
        return _Row(index, ask, Chooser(ask.draw, self._device), began)

    def _take(self, rows: Sequence[_Row], logits: Tensor) -> None:
        """Draw a token for each of `rows`; those that end with it leave."""
        tokens = choose(logits, [row.chooser for row in rows])
        for row, token in zip(rows, tokens, strict=True):
            row.tokens.append(token)
        finished = [row for row in rows if self._finish(row)]
        if finished:
            self._retire()
            for row in finished:
                self._wanted[row.ask.prompt] -= 1
                if not self._wanted[row.ask.prompt]:
                    self._rows.forget(row.ask.prompt)
        self._watch(len(self._drawn), len(tokens))

    def _finish(self, row: _Row) -> bool:
        reason: FinishReason = "stop"
        tokens = row.tokens
        if tokens[-1] in self._stops:
            tokens = tokens[:-1]
        elif not self._ended(row.index, tokens):
            if len(tokens) < row.ask.longest:
                return False
            reason = "length"
        self._drawn[row.index] = Drawn(tuple(tokens), reason, time.perf_counter() - row.began)
        return True

    def _retire(self) -> None:
        order = closed_ranks([row.index not in self._drawn for row in self._live])
        self._live = [self._live[number] for number in order]
        self._rows.keep(order)


def closed_ranks(stays: Sequence[bool]) -> list[int]:
    """Numbers of those that stay, each gap filled with the last one, so that few have to move."""
    order = list(range(len(stays)))
    number = 0
    while number < len(order):
        if stays[order[number]]:
            number += 1
        else:
            order[number] = order[-1]
            order.pop()
    return order
