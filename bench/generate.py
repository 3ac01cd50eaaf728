"""`make bench-generate`: K samples a prompt against transformers' `generate(num_return_sequences=K)`.

SmolLM2-135M in float32, in one process, the two taking turns. Both draw with the same noise on the logits, so that they
must come to the same tokens, and the run fails where they do not: whoever computes something else is not faster.

Cases: `even` is K samples of one prompt, all of the longest length; one run is read off at each shorter length on its
way. `uneven` is two prompts with K samples each, of which one is long and the others short; transformers answers them
in two batches, each until its longest has ended, and we with as much room as one such batch takes.

Wall time and CPU time are both told: on a machine that others use too only the second says much.
"""

from __future__ import annotations

import argparse
import gc
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Final, cast

import torch
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList, PreTrainedModel

from bench.models import policy_of
from bench.record import write_result
from bench.rm import touch_memory
from rewardmodel.core.backbone import load_causal_lm
from rewardmodel.core.reading import ROW_ATTENTION
from training.core.batching import Ids
from training.core.decoding import Ask, Decoding, Rows
from training.core.gumbel import Chooser, Draw, choose
from training.core.lanes import choose_rows
from training.core.shared_cache import SHARED_PROMPTS

CPU: Final = torch.device("cpu")
PAD: Final = 0
ALIKE: Final = 0.9  # of the rows must have the same tokens: rounding may decide between near-equal ones
SHORT, LONG = 16, 128  # answers of the uneven case
ENDLESS: Final = 10**9


@dataclass
class Spent:
    """Wall and CPU seconds after each token, and what was drawn."""

    marks: list[tuple[float, float]] = field(default_factory=list)
    tokens: list[tuple[int, ...]] = field(default_factory=list)

    def at(self, tokens: int) -> tuple[float, float]:
        return self.marks[tokens - 1]


class Watch:
    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def read(self) -> tuple[float, float]:
        return time.perf_counter() - self._wall, time.process_time() - self._cpu


class SameNoise(LogitsProcessor):
    """Makes transformers' greedy search draw what we draw, and notes the time of each token."""

    def __init__(self, draws: Sequence[Draw], watch: Watch, marks: list[tuple[float, float]]) -> None:
        self._choosers = [Chooser(draw, CPU) for draw in draws]
        self._watch = watch
        self._marks = marks

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        chosen = torch.tensor(choose(scores, self._choosers))
        self._marks.append(self._watch.read())
        only = torch.full_like(scores, -torch.inf).scatter_(1, chosen[:, None], 0.0)
        return cast("torch.FloatTensor", only)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prompts", type=int, nargs="+", default=[128, 512])
    parser.add_argument("--new", type=int, nargs="+", default=[32, 128, 256])
    parser.add_argument("--samples", type=int, default=16, help="K")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--no-uneven", action="store_true", help="leave out answers of unequal length")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    touch_memory()
    model = load_causal_lm(policy_of("smollm2"), CPU)
    with torch.inference_mode():
        make = choose_rows(model, pad=PAD, device=CPU)
        warm_up(model, make)
        found = Found()
        for prompt in options.prompts:
            even(model, make, prompt, options, found)
            print(found.write(options), flush=True)
        if not options.no_uneven:
            uneven(model, make, options, found)
            print(found.write(options), flush=True)


@dataclass
class Found:
    """Seconds by case and who took them."""

    wall: dict[str, list[float]] = field(default_factory=dict)
    cpu: dict[str, list[float]] = field(default_factory=dict)
    alike: dict[str, float] = field(default_factory=dict)
    load: list[float] = field(default_factory=lambda: [os.getloadavg()[0]])

    def add(self, case: str, who: str, seconds: tuple[float, float]) -> None:
        for book, value in ((self.wall, seconds[0]), (self.cpu, seconds[1])):
            book.setdefault(f"{case} {who}", []).append(round(value, 3))

    def compare(self, case: str, ours: Sequence[Ids], theirs: Sequence[Ids]) -> None:
        same = sum(one == other for one, other in zip(ours, theirs, strict=True)) / len(ours)
        self.alike[case] = min(same, self.alike.get(case, 1.0))
        if same < ALIKE:
            raise SystemExit(
                f"{case}: only {same:.0%} of the rows have the same tokens: nothing was measured"
            )

    def ratios(self, book: dict[str, list[float]]) -> dict[str, float]:
        cases = dict.fromkeys(name.rpartition(" ")[0] for name in book)
        return {
            case: round(median(book[f"{case} transformers"]) / median(book[f"{case} shared"]), 2)
            for case in cases
        }

    def write(self, options: argparse.Namespace) -> str:
        self.load.append(os.getloadavg()[0])
        wall, cpu = self.ratios(self.wall), self.ratios(self.cpu)
        told = "; ".join(f"{case}: {wall[case]:.2f}x (CPU time {cpu[case]:.2f}x)" for case in wall)
        return write_result(
            "generate",
            runs=self.wall,
            unit="seconds",
            floor=next(name for name in self.wall if name.endswith(" shared")),
            says=f"transformers' generate takes so many times as long as we do for {options.samples} samples a "
            f"prompt: {told}",
            cpu_seconds=self.cpu,
            times_as_long=wall,
            times_as_much_cpu=cpu,
            rows_with_the_same_tokens=self.alike,
            threads=options.threads,
            repeats=options.repeats,
            load_average=self.load,
            noise={name: round(max(runs) / min(runs), 2) for name, runs in self.wall.items()},
        )


def even(
    model: PreTrainedModel,
    make: Callable[[], Rows],
    length: int,
    options: argparse.Namespace,
    found: Found,
) -> None:
    longest = max(options.new)
    prompt = made_up(length, seed=length)
    asks = [Ask(prompt, Draw(1.0, 1.0, seed), longest) for seed in range(options.samples)]
    for _ in range(options.repeats):
        ours = by_us(model, make, asks, ENDLESS)
        theirs = by_transformers(model, asks)
        for new in options.new:
            case = f"prompt {length}, new {new}"
            found.add(case, "shared", ours.at(new))
            found.add(case, "transformers", theirs.at(new))
            found.compare(case, *([row[:new] for row in one.tokens] for one in (ours, theirs)))
        print(f"  prompt {length}: {ours.marks[-1]} against {theirs.marks[-1]}", flush=True)
        gc.collect()


def uneven(
    model: PreTrainedModel, make: Callable[[], Rows], options: argparse.Namespace, found: Found
) -> None:
    prompts = [made_up(128, seed=1), made_up(128, seed=2)]
    asks = [
        Ask(prompt, Draw(1.0, 1.0, seed), LONG if seed == 0 else SHORT)
        for prompt in prompts
        for seed in range(options.samples)
    ]
    room = 2 * 128 + (options.samples - 1) * SHORT + LONG
    case = f"two prompts of 128, one answer of {LONG}, the others of {SHORT}"
    for _ in range(options.repeats):
        ours = by_us(model, make, asks, room)
        found.add(case, "shared", ours.marks[-1])
        halves = (asks[: options.samples], asks[options.samples :])
        theirs = [by_transformers(model, half) for half in halves]
        walls, cpus = zip(*(half.marks[-1] for half in theirs), strict=True)
        found.add(case, "transformers", (sum(walls), sum(cpus)))
        found.compare(case, ours.tokens, [row for half in theirs for row in half.tokens])


def by_us(model: PreTrainedModel, make: Callable[[], Rows], asks: Sequence[Ask], room: int) -> Spent:
    model.set_attn_implementation(SHARED_PROMPTS)
    spent, watch = Spent(), Watch()
    drawn = Decoding(
        make(),
        asks,
        device=CPU,
        budget=room,
        stops=(),
        ended=lambda *_: False,
        watch=lambda *_: spent.marks.append(watch.read()),
    ).run()
    spent.tokens = [answer.tokens for answer in drawn]
    return spent


def by_transformers(model: PreTrainedModel, asks: Sequence[Ask]) -> Spent:
    """One prompt, its samples as num_return_sequences."""
    model.set_attn_implementation(ROW_ATTENTION)
    ids = torch.tensor([asks[0].prompt])
    settings: Any = GenerationConfig  # its constructor is not annotated
    untyped: Any = model
    spent, watch = Spent(), Watch()
    output = untyped.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        generation_config=settings(
            max_new_tokens=max(ask.longest for ask in asks),
            num_return_sequences=len(asks),
            # Beams and sampling would take their own randomness; one token is left possible instead.
            do_sample=True,
            top_k=0,
            pad_token_id=PAD,
        ),
        logits_processor=LogitsProcessorList([SameNoise([ask.draw for ask in asks], watch, spent.marks)]),
    )
    spent.marks[-1] = watch.read()
    drawn = output[:, ids.shape[1] :].tolist()
    spent.tokens = [tuple(row[: ask.longest]) for row, ask in zip(drawn, asks, strict=True)]
    return spent


def warm_up(model: PreTrainedModel, make: Callable[[], Rows]) -> None:
    asks = [Ask(made_up(16, seed=0), Draw(1.0, 1.0, seed), 2) for seed in range(2)]
    by_us(model, make, asks, ENDLESS)
    by_transformers(model, asks)


def made_up(length: int, seed: int) -> Ids:
    """A prompt of ordinary tokens."""
    draw = torch.Generator().manual_seed(seed)
    return tuple(torch.randint(1000, 20_000, (length,), generator=draw).tolist())


if __name__ == "__main__":
    main()
