"""Dialogues that are drawn turn by turn: turn t of all of them together, the model loaded once.

Knows requests and where the answers of a turn are kept. Must not know who speaks, nor what is made of the dialogues.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self

from annotation.core.records import Message
from rewardmodel.core.backbone import PolicyRef
from rewardmodel.core.report import Reporter, RunFailedError
from training.core.chunks import Row, read_lines
from training.core.generate import SILENT, Generator, Request, Sample
from training.core.job import Job
from training.core.sample import draw, generators
from training.core.specs.sampling import SamplingSpec

FIELDS: Final = frozenset({"dialogue", "messages", "focus"})


class Asked(NamedTuple):
    """One message to draw. `longest` is in tokens; None: what the run's parameters say."""

    messages: Sequence[Message]
    temperature: float
    seed: int
    longest: int | None = None


Ask = Callable[[str, Sequence[Asked]], list[Row]]


class Rounds:
    """Draws by name: what an earlier attempt has drawn under a name is read back, chunk by chunk.

    Use it as a context manager: the model stays loaded until its end.
    """

    def __init__(self, generator: Generator, spec: SamplingSpec, directory: Path, reporter: Reporter) -> None:
        self._generator = _Lasting(generator)
        self._spec = spec
        self._directory = directory
        self._reporter = reporter

    @classmethod
    def of(cls, job: Job, spec: SamplingSpec) -> Self:
        """Those of the run's own policy."""
        ref = PolicyRef.from_json(job.file.inputs["policy"])
        return cls(generators(job, spec)(ref), spec, job.work, job)

    def ask(self, name: str, asked: Sequence[Asked]) -> list[Row]:
        """Rows as of `draw`, in the order of `asked`; none for nothing."""
        if not asked:
            return []
        requests = [
            Request(
                messages=tuple(one.messages),
                temperature=one.temperature,
                top_p=self._spec.top_p,
                seed=one.seed,
                max_new_tokens=one.longest or self._spec.max_new_tokens,
            )
            for one in asked
        ]
        return draw(requests, self._generator, self._directory / name, self._reporter)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._generator.end()


class _Lasting:
    """A generator that is not closed with each draw: the next turn needs the same model."""

    def __init__(self, generator: Generator) -> None:
        self._inner = generator

    def plan(self, requests: Sequence[Request]) -> list[list[int]]:
        return self._inner.plan(requests)

    def generate(self, requests: Sequence[Request], reporter: Reporter = SILENT) -> list[Sample]:
        return self._inner.generate(requests, reporter)

    def close(self) -> None:
        """Not yet."""

    def end(self) -> None:
        self._inner.close()


def read_prompts(job: Job) -> list[Row]:
    """The run's prompts, every dialogue once.

    Raises:
        RunFailedError: if there are none, or one lacks a field.
    """
    lines = read_lines(Path(job.file.inputs["prompts"]))
    for number, line in enumerate(lines, start=1):
        if missing := FIELDS - line.keys():
            raise RunFailedError(f"prompt {number} lacks {', '.join(sorted(missing))}")
    if not lines:
        raise RunFailedError(
            "there is nothing to begin with: the prompts are empty. Add prompts to the pool, or change safety_share"
        )
    return list({line["dialogue"]: line for line in reversed(lines)}.values())[::-1]
