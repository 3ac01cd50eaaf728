"""The run that draws responses for annotators to compare (section 3.2.1).

Knows requests, which policy answers which, and the order of the output. Must not know why a policy, temperature
or seed was chosen.

Inputs: policies (references) and requests, a JSON lines file of {"dialogue", "messages", "policy",
"temperature", "seed"}. Output: responses.jsonl in the order of the requests. Result: responses, mean_tokens.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, Final, cast

from rewardmodel.core.backbone import PolicyRef, pick_device
from rewardmodel.core.files import write_atomically
from rewardmodel.core.report import Reporter, RunFailedError
from training.core.chunks import Row, read_lines, run_chunks, to_lines
from training.core.generate import Generator, LocalGenerator, Request, Sample
from training.core.job import Job
from training.core.server_generator import ServerGenerator, read_keys
from training.core.specs.sampling import SampleSpec, SamplingSpec
from training.core.vllm_generator import VllmGenerator

FIELDS: Final = frozenset({"dialogue", "messages", "policy", "temperature", "seed"})

MakeGenerator = Callable[[PolicyRef], Generator]


def run(job: Job) -> dict[str, Any]:
    """Answer every request, one policy in memory at a time."""
    spec = cast("SampleSpec", job.file.spec())
    lines = read_requests(Path(job.file.inputs["requests"]))
    refs = {ref.name: ref for ref in map(PolicyRef.from_json, job.file.inputs["policies"])}
    wanted = sorted({line["policy"] for line in lines})
    if unknown := [name for name in wanted if name not in refs]:
        raise RunFailedError(f"requests name policies that the run was not given: {', '.join(unknown)}")
    make = generators(job, spec)
    rows: dict[int, Row] = {}
    for number, name in enumerate(wanted):
        job.stage(f"generate with {name}")
        own = [index for index, line in enumerate(lines) if line["policy"] == name]
        requests = [request_of(lines[index], spec) for index in own]
        samples = draw(requests, make(refs[name]), job.work / "responses" / f"{number:03d}", job)
        rows.update(zip(own, samples, strict=True))
    output = [_response(lines[index], rows[index], spec) for index in range(len(lines))]
    publish_lines(job, {"responses.jsonl": output})
    return {"responses": len(output), "mean_tokens": sum(row["tokens"] for row in output) / len(output)}


def draw(requests: Sequence[Request], generator: Generator, directory: Path, reporter: Reporter) -> list[Row]:
    """Samples as rows, in the order of the requests; `directory` holds what an earlier attempt has drawn.

    The generator tells tokens a second, and is closed: the next model needs the memory.
    """
    try:
        plan = generator.plan(requests)
        before = dict(zip((chunk[0] for chunk in plan), accumulate(map(len, plan), initial=0), strict=False))

        def compute(indices: Sequence[int]) -> list[Row]:
            within = Within(reporter, before[indices[0]], len(requests))
            return [_row(sample) for sample in generator.generate([requests[i] for i in indices], within)]

        return run_chunks(directory, plan, compute, reporter, "responses")
    finally:
        generator.close()


class Within:
    """A reporter for a part of the work: its progress is the whole's."""

    def __init__(self, reporter: Reporter, before: int, total: int) -> None:
        self._before = before
        self._total = total
        self._reporter = reporter
        self.stage, self.metric = reporter.stage, reporter.metric
        self.note, self.check = reporter.note, reporter.check

    def progress(self, done: int, total: int, unit: str) -> None:
        self._reporter.progress(self._before + done, self._total, unit)


def read_requests(path: Path) -> list[Row]:
    """The lines of the requests file.

    Raises:
        RunFailedError: if there are none, or one lacks a field.
    """
    lines = read_lines(path)
    if not lines:
        raise RunFailedError("there is nothing to answer: the requests are empty")
    for number, line in enumerate(lines, start=1):
        if missing := FIELDS - line.keys():
            raise RunFailedError(f"request {number} lacks {', '.join(sorted(missing))}")
    return lines


def request_of(line: Mapping[str, Any], spec: SamplingSpec) -> Request:
    return Request(
        messages=tuple(line["messages"]),
        temperature=line["temperature"],
        top_p=spec.top_p,
        seed=line["seed"],
        max_new_tokens=spec.max_new_tokens,
    )


def generators(job: Job, spec: SamplingSpec) -> MakeGenerator:
    """The backend that the spec names, on the run's device, or the error that says why not."""
    if spec.backend == "server":
        keys = read_keys(job.out)
        return lambda ref: ServerGenerator(ref, at_once=spec.at_once, keys=keys)
    if spec.backend == "vllm":
        return lambda ref: VllmGenerator(ref, seed=job.file.seed)
    try:
        device = pick_device(job.file.device)
    except ValueError as error:
        raise RunFailedError(str(error)) from error
    return lambda ref: LocalGenerator(ref, device, spec.tokens_per_batch)


def publish_lines(job: Job, files: Mapping[str, Sequence[Row]]) -> None:
    """Put JSON lines files, all of them complete, into the job's output."""
    staged = job.work / "staged"
    shutil.rmtree(staged, ignore_errors=True)
    staged.mkdir()
    for name, rows in files.items():
        write_atomically(staged / name, to_lines(rows))
    job.publish(staged)


def _row(sample: Sample) -> Row:
    return {
        "text": sample.text,
        "tokens": sample.tokens,
        "finish_reason": sample.finish_reason,
        "latency_ms": round(1000 * sample.seconds),
    }


def _response(line: Row, sample: Row, spec: SamplingSpec) -> Row:
    asked = {field: line[field] for field in ("dialogue", "policy", "temperature", "seed")}
    return {**asked, "top_p": spec.top_p, **sample}
