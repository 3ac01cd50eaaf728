"""The whole loop without people: the same services, driven from outside until the next week waits.

Every step looks at the database first and does only what is missing, so a loop that was killed at any point
is finished by starting it again, with the same result.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from annotation.core.states import BatchState
from annotation.models import Batch
from annotation.queries import batch_progress
from annotation.services import batches, guidelines, people, pool
from annotation.services.imports import Source, import_file
from annotation.services.simulation import simulate_annotators
from training.core.spec import RunKind
from training.models import Iteration, PolicyVersion
from training.queries import run_with_key
from training.services import iterations, start
from training.services.drive import LoopError, Watcher, drive, timed, wait_for

__all__ = ["Loop", "LoopError", "Plan", "Watcher", "summarise"]

FIRST = "loop/import_policy"  # the key of its first run: a database that has it is the loop's own


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run. `params` holds the parameters of each kind of run."""

    model: str
    seed: int
    params: Mapping[str, Mapping[str, Any]]
    data: Path | None = None
    form: str = ""
    holdout: int = 1000


@dataclass
class Loop:
    plan: Plan
    watcher: Watcher
    seconds: dict[str, float] = field(default_factory=dict)

    def run(self) -> Iteration:
        """Go once round; returns the complete iteration.

        Raises:
            LoopError: a run failed, or the database holds other work, among which simulated judgments have no place.
            PausedError: somebody paused the iteration.
        """
        if Batch.objects.exists() and run_with_key(FIRST) is None:
            raise LoopError(
                "This database holds other work. Give the loop a house of its own: MARGIN_HOME=var/loop"
            )
        pool.install_default_prompts()
        guidelines.install_default_guidelines()
        policy = self._import_policy()
        batch = self._collect(policy)
        iteration = self._iteration(batch, policy)
        self.seconds |= drive(iteration, watcher=self.watcher)
        return iteration

    def _import_policy(self) -> PolicyVersion:
        with self._timed("policy") as say:
            run = start.start_import_policy(name="V0", params={"source": self.plan.model}, key=FIRST)
            wait_for(run, self.watcher)
            say("V0 from " + self.plan.model)
        return PolicyVersion.objects.get(run=str(run.uid))

    def _collect(self, policy: PolicyVersion) -> Batch:
        batch = Batch.objects.filter(number=1).first()
        if batch is None:
            batch = batches.create_batch(seed=self.plan.seed, holdout=self.plan.holdout)
            batches.open_batch(batch=batch)
        if batch.state == BatchState.OPEN:
            if self.plan.data:
                self._import_data(batch, self.plan.data)
            else:
                self._sample(batch, policy)
                self._simulate(batch)
        return batch

    def _import_data(self, batch: Batch, path: Path) -> None:
        with self._timed("import") as say:
            source = Source(path=path, form=self.plan.form)
            _, report = import_file(source=source, batch=batch, skip_invalid=True)
            say(
                f"{report.judgments + report.already:,} judgments; {report.ties:,} ties and "
                f"{report.bad_n:,} bad rows left out"
            )

    def _sample(self, batch: Batch, policy: PolicyVersion) -> None:
        with self._timed("sample") as say:
            run = start.start_sample(
                batch=batch,
                policies=[policy],
                params=self.plan.params.get(RunKind.SAMPLE, {}),
                seed=self.plan.seed,
                key="loop/sample",
            )
            wait_for(run, self.watcher)
            say(f"{batch_progress(batch).comparisons} pairs")

    def _simulate(self, batch: Batch) -> None:
        with self._timed("judge") as say:
            total = batch_progress(batch).comparisons
            annotators = [people.ensure_simulated(name) for name in ("ada", "ben")]
            simulate_annotators(
                annotators=annotators,
                seed=self.plan.seed,
                heard=lambda done: self.watcher.progress("judge", done, total),
            )
            say(f"{batch_progress(batch).judgments} judgments by simulated annotators")

    def _iteration(self, batch: Batch, policy: PolicyVersion) -> Iteration:
        return Iteration.objects.filter(batch=batch).first() or iterations.create_iteration(
            batch=batch,
            policy=policy,
            base=policy,
            seed=self.plan.seed,
            params={kind: dict(values) for kind, values in self.plan.params.items()},
        )

    def _timed(self, name: str) -> AbstractContextManager[Callable[[str], None]]:
        return timed(name, self.watcher, self.seconds)


def summarise(loop: Loop, iteration: Iteration) -> dict[str, Any]:
    """What came out: equal for equal seeds and data, but for `seconds`."""
    snapshot, tuned, batch = iteration.snapshot, iteration.tuned, iteration.next_batch
    selection, tuning = (
        run_with_key(f"{iteration}/{kind}") for kind in (RunKind.REJECTION_SAMPLE, RunKind.FINETUNE)
    )
    if snapshot is None or tuned is None or batch is None or selection is None or tuning is None:
        raise LoopError(f"{iteration} is not complete.")
    return {
        "seed": loop.plan.seed,
        "model": loop.plan.model,
        "data": loop.plan.data.name if loop.plan.data else "simulated annotators",
        "iteration": str(iteration),
        "rows": snapshot.counts,
        "snapshot": {"name": snapshot.name, "rows": snapshot.rows, "sha256": snapshot.sha256},
        "reward_models": {v.name: v.metrics for v in (iteration.helpfulness, iteration.safety) if v},
        "selection": selection.result,
        "fine_tuning": tuning.result,
        "policy": {"name": tuned.name, "manifest_sha256": tuned.sha256},
        "next_batch": {"name": batch.name, "comparisons": batch_progress(batch).comparisons},
        "seconds": {**loop.seconds, "total": round(sum(loop.seconds.values()), 1)},
    }
