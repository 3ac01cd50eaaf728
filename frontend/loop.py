"""One sentence on where the loop stands, for the researcher's home page."""

from __future__ import annotations

from dataclasses import dataclass

from annotation.core.states import BatchState
from annotation.queries import batch_progress
from training.core.states import IterationState
from training.models import Iteration
from training.queries import active_runs, latest_iteration, worker_is_alive


@dataclass(frozen=True, slots=True)
class LoopNow:
    sentence: str
    warning: str = ""


STANDING = {
    IterationState.SEALED: "its batch is sealed; the snapshot comes next",
    IterationState.SNAPSHOT: "the snapshot is written; the reward models come next",
    IterationState.REWARDED: "both reward models are trained; rejection sampling comes next",
    IterationState.SELECTED: "the best responses are chosen; fine-tuning comes next",
    IterationState.TUNED: "the new policy is tuned; its responses come next",
    IterationState.FED_BACK: "it is complete, and the new policy's responses wait for people",
}


def loop_now() -> LoopNow:
    warning = "" if worker_is_alive() else "No worker is running: runs wait until one starts."
    iteration = latest_iteration()
    if iteration is None:
        return LoopNow("The loop has not begun: there is no iteration yet.", warning)
    runs = len(active_runs(iteration))
    busy = f" {runs} {'run is' if runs == 1 else 'runs are'} at work." if runs else ""
    return LoopNow(f"{iteration}: {_standing(iteration)}.{busy}", warning)


def _standing(iteration: Iteration) -> str:
    state = IterationState(iteration.state)
    if state is not IterationState.COLLECTING:
        return STANDING[state]
    progress = batch_progress(iteration.batch)
    verb = "collects judgments" if iteration.batch.state == BatchState.OPEN else f"is {iteration.batch.state}"
    return f"{iteration.batch} {verb}, {progress.complete:,} of {progress.comparisons:,} pairs are complete"
