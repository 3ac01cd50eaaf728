"""The run of rejection sampling: K samples a prompt, scored by both reward models, the best kept (section 3.2.3).

Knows prompts, seeds, stages and files. Must not know how a sample is drawn or a reward computed, nor what is
learnt from the winners.

Inputs: policy, helpfulness and safety (references), prompts, a JSON lines file of {"dialogue", "messages", "focus"},
and optionally `bank`, the winners of earlier rounds, oldest first: {"file", "from", "iteration"} each, and `round`, the
same of this one without a file. Output: candidates.jsonl, in the order of prompts, temperatures and samples;
winners.jsonl; bank.jsonl, the best of all rounds by the rewards of this one; and the figures, as numbers and drawn.
Rewards are raw, before the sigmoid. Result: means over all samples, `best_score` over the winners, the curves, the best
temperature and what the bank holds.

With several workers each does the same, stage for stage, on its share (training.core.shards); the leading one alone
selects and publishes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import torch

from rewardmodel.core.backbone import PolicyRef
from rewardmodel.core.report import Reporter, RunFailedError
from training.core import bank
from training.core.chunks import Row, read_lines
from training.core.crew import Crew, Following, Leading
from training.core.generate import SILENT, Generator, Request, Sample
from training.core.job import Job
from training.core.rating import Rater
from training.core.sample import Within, draw, generators
from training.core.selecting import publish
from training.core.shard_worker import command
from training.core.shards import Place, finished, plan_shares, run_shared
from training.core.specs.rejection import RejectionSampleSpec

SHARES: Final = 4  # of a worker: one that is slower than the others holds them up by a part of its work only
FIELDS: Final = frozenset({"dialogue", "messages", "focus"})
MODELS: Final = ("helpfulness", "safety")


@dataclass(frozen=True, slots=True)
class Seat:
    """One process at work on the run: the run, whom it tells, and its place among those that share it."""

    job: Job
    report: Reporter
    place: Place

    @property
    def spec(self) -> RejectionSampleSpec:
        return cast("RejectionSampleSpec", self.job.file.spec())


def run(job: Job) -> dict[str, Any]:
    """Generate, score twice, select. One model is in memory at a time."""
    count = cast("RejectionSampleSpec", job.file.spec()).workers
    place = Place(0, count)
    if count == 1:
        work = _work(Seat(job, job, place))
    else:
        threads = _divide_threads(job, count)
        with Crew(count, lambda index: _command(job, Place(index, count), threads), job) as crew:
            work = _work(Seat(job, Leading(job, crew), place))
    job.stage("select")
    return publish(job, work.prompts, work.groups, work.entries)


def work_along(job: Job, place: Place) -> None:
    """Do a share of the run that another process leads; returns when nothing is left to compute."""
    _work(Seat(job, Following(job, job.out), place))


def sample_seed(seed: int, dialogue: str, temperature: float, number: int) -> int:
    """The seed of one sample, by hash: it depends neither on the other prompts nor on the other temperatures."""
    digest = hashlib.sha256(f"{seed}:{dialogue}:{temperature!r}:{number}".encode()).digest()
    return int.from_bytes(digest[:8]) % 2**31


@dataclass(frozen=True, slots=True)
class _Work:
    """All that is computed: each prompt's candidates with rewards, and the bank's entries with new ones."""

    prompts: list[Row]
    groups: list[list[Row]]
    entries: list[Row]


def _work(seat: Seat) -> _Work:
    prompts = _read_prompts(seat)
    entries = _read_bank(seat)
    groups = _candidates(seat, prompts)
    rewards = {name: _rate(seat, name, prompts, groups, entries) for name in MODELS}
    return _Work(prompts, groups, bank.rescore(entries, rewards["helpfulness"], rewards["safety"]))


def _read_prompts(seat: Seat) -> list[Row]:
    """Every dialogue once, the first line of a repeated one."""
    lines = read_lines(Path(seat.job.file.inputs["prompts"]))
    for number, line in enumerate(lines, start=1):
        if missing := FIELDS - line.keys():
            raise RunFailedError(f"prompt {number} lacks {', '.join(sorted(missing))}")
    prompts = list({line["dialogue"]: line for line in reversed(lines)}.values())[::-1]
    if not prompts:
        raise RunFailedError("there is nothing to answer: the prompts are empty")
    if len(prompts) < len(lines):
        seat.report.note(f"{len(lines) - len(prompts)} prompts occur more than once and are used once.")
    return prompts


def _read_bank(seat: Seat) -> list[Row]:
    """The winners of earlier rounds, oldest round first."""
    rounds = []
    for origin in seat.job.file.inputs.get("bank", ()) if seat.spec.bank else ():
        winners = read_lines(Path(origin["file"]))
        for number, line in enumerate(winners, start=1):
            if missing := bank.FIELDS - line.keys():
                raise RunFailedError(f"{origin['file']}, line {number} lacks {', '.join(sorted(missing))}")
        rounds.append((origin, winners))
    return bank.entries_of(rounds)


def _candidates(seat: Seat, prompts: Sequence[Row]) -> list[list[Row]]:
    """Each prompt's samples, K at each temperature, without rewards."""
    seat.report.stage("generate")
    groups = [_planned(seat, prompt["dialogue"]) for prompt in prompts]
    asked = [
        Request(
            messages=tuple(prompt["messages"]),
            temperature=row["temperature"],
            top_p=seat.spec.top_p,
            seed=row["seed"],
            max_new_tokens=seat.spec.max_new_tokens,
        )
        for prompt, group in zip(prompts, groups, strict=True)
        for row in group
    ]
    samples = iter(_draw(seat, asked, len(groups[0])))
    for group in groups:
        for row in group:
            row.update(next(samples))
    return groups


def _planned(seat: Seat, dialogue: str) -> list[Row]:
    seed = seat.job.file.seed
    drawn = [
        (temperature, number)
        for temperature in seat.spec.temperatures
        for number in range(seat.spec.samples_per_prompt if temperature else 1)  # greedy repeats itself
    ]
    return [
        {
            "dialogue": dialogue,
            "index": index,
            "temperature": temperature,
            "seed": sample_seed(seed, dialogue, temperature, number),
        }
        for index, (temperature, number) in enumerate(drawn)
    ]


def _draw(seat: Seat, requests: Sequence[Request], samples: int) -> list[Row]:
    """One row a request; `samples` requests of a prompt stand together and are drawn by one process."""
    directory = seat.job.work / "samples"
    generator = _Kept(generators(seat.job, seat.spec)(PolicyRef.from_json(seat.job.file.inputs["policy"])))
    shares = SHARES * seat.place.count if seat.place.count > 1 else 1
    plan = [
        range(share[0] * samples, (share[-1] + 1) * samples)
        for share in plan_shares(len(requests) // samples, shares)
    ]

    def compute(indices: Sequence[int]) -> list[Row]:
        own = [requests[index] for index in indices]
        part = Within(seat.report, finished(directory, plan), len(requests))
        return draw(own, generator, directory / f"share-{indices[0]:09d}", part)

    try:
        return run_shared(directory, plan, compute, seat.report, "responses", seat.place)
    finally:
        generator.end()


class _Kept:
    """A generator that stays open from one share to the next."""

    def __init__(self, inner: Generator) -> None:
        self._inner = inner

    def plan(self, requests: Sequence[Request]) -> list[list[int]]:
        return self._inner.plan(requests)

    def generate(self, requests: Sequence[Request], reporter: Reporter = SILENT) -> list[Sample]:
        return self._inner.generate(requests, reporter)

    def close(self) -> None:
        """Not yet: see `end`."""

    def end(self) -> None:
        self._inner.close()


def _rate(
    seat: Seat, name: str, prompts: Sequence[Row], groups: Sequence[list[Row]], entries: Sequence[Row]
) -> list[float]:
    """Add raw rewards under `name` to every candidate; returns those of the bank's entries."""
    rater = Rater(seat.job, name)
    try:
        seat.report.stage(f"score {name}")
        asked = [
            (prompt["messages"], [row["text"] for row in group])
            for prompt, group in zip(prompts, groups, strict=True)
        ]
        for group, rewards in zip(
            groups, rater.rate(asked, seat.job.work / name, seat.report, seat.place), strict=True
        ):
            for row, reward in zip(group, rewards, strict=True):
                row[name] = reward
        return _rate_bank(seat, name, rater, entries) if entries else []
    finally:
        rater.close()


def _rate_bank(seat: Seat, name: str, rater: Rater, entries: Sequence[Row]) -> list[float]:
    """The rounds' answers to one dialogue are scored together: they share its computation."""
    seat.report.stage(f"score bank {name}")
    places: dict[str, list[int]] = {}
    for index, entry in enumerate(entries):
        places.setdefault(entry["dialogue"], []).append(index)
    asked = [
        (entries[own[0]]["messages"], [entries[index]["text"] for index in own]) for own in places.values()
    ]
    rated = rater.rate(asked, seat.job.work / f"bank-{name}", seat.report, seat.place)
    of = {
        index: reward
        for own, rewards in zip(places.values(), rated, strict=True)
        for index, reward in zip(own, rewards, strict=True)
    }
    return [of[index] for index in range(len(entries))]


def _divide_threads(job: Job, count: int) -> int:
    """On a CPU every worker gets its part of the threads, this process too; 0 where GPUs compute."""
    if job.file.device != "cpu" and torch.cuda.is_available():
        return 0
    threads = max(1, torch.get_num_threads() // count)
    torch.set_num_threads(threads)
    return threads


def _command(job: Job, place: Place, threads: int) -> list[str]:
    """A GPU is named by its UUID, which means the same whatever this process was allowed to see."""
    if threads:
        return command(job.out, place, threads=threads)
    gpus = torch.cuda.device_count()
    uuid = torch.cuda.get_device_properties(place.index % gpus).uuid
    return command(job.out, place, device=f"GPU-{uuid}")
