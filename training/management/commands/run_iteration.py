"""`manage.py run_iteration`: begin an iteration or go on with one, print its plan, and drive it to its end.

It does what the admin's buttons do, by the same services. Killed at any point it goes on when it is started again.
"""

from __future__ import annotations

import json
from argparse import ArgumentParser
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from rich.console import Console
from rich.table import Table

from annotation.core.states import BatchState
from annotation.errors import DomainError
from annotation.models import Batch
from annotation.queries import batch_progress
from training.core.recipe import PRESETS, Recipe
from training.core.states import StepState
from training.launchers.children import Children, run_worker
from training.management.screen import Screen
from training.models import Iteration, PolicyVersion
from training.services import iterations
from training.services.drive import LoopError, PausedError, drive
from training.services.iterations.compose import read_recipe
from training.services.iterations.planning import Fate, PlanLine, plan_iteration, total_seconds
from training.templatetags.loop import span

FAILED: Final = 1  # a run ended without success, or something cannot be done as asked
UNSEALED: Final = 3  # people still judge the batch
PAUSED: Final = 4


class Command(BaseCommand):
    help = (
        "Drive an iteration to its end, or up to a step. Exit codes: 0 it is there, 1 a run failed or the request was "
        "refused, 3 people still judge its batch, 4 it is paused."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("iteration", nargs="?", help="V3: go on with this one; else begin one on --batch")
        parser.add_argument("--batch", type=int, help="number of the week to begin with")
        parser.add_argument("--policy", help="the newest policy; it samples")
        parser.add_argument("--base", help="where fine-tuning starts; default: --policy")
        parser.add_argument(
            "--recipe",
            default="rejection",
            help=f"{', '.join(PRESETS)}, or a file of JSON; see docs/iterations.md",
        )
        parser.add_argument("--seed", type=int, default=0)
        parser.add_argument(
            "--seal", action="store_true", help="seal the batch though people could still judge"
        )
        parser.add_argument("--until", default="", help="stop behind this step, or all steps of this kind")
        parser.add_argument("--dry-run", action="store_true", help="print the plan, change nothing")
        parser.add_argument("--json", action="store_true", help="print JSON")
        parser.add_argument("--no-worker", action="store_true", help="a Celery worker runs already")

    def handle(self, **options: Any) -> None:
        try:
            self._handle(options)
        except (DomainError, LoopError) as error:
            raise CommandError(str(error), returncode=FAILED) from error
        except PausedError as error:
            raise CommandError(str(error), returncode=PAUSED) from error

    def _handle(self, options: dict[str, Any]) -> None:
        console = Console(stderr=options["json"])
        with transaction.atomic():
            iteration = self._iteration(options)
            plan = plan_iteration(iteration)
            if options["dry_run"]:
                transaction.set_rollback(True)
        if not options["json"]:
            print_plan(console, iteration, plan)
        if not options["dry_run"]:
            self._drive(iteration, options, console)
            plan = plan_iteration(iteration)
        if options["json"]:
            self.stdout.write(json.dumps(report(iteration, plan), indent=2))
        elif not options["dry_run"]:
            console.print(_ended(iteration), highlight=False)

    def _iteration(self, options: dict[str, Any]) -> Iteration:
        """The one that is named or that the batch has; else a new one."""
        if (name := options["iteration"]) is not None:
            number = int(name[1:]) if name[:1] == "V" and name[1:].isdecimal() else 0
            found = Iteration.objects.filter(number=number).first()
            if found is None:
                raise CommandError(
                    f"There is no iteration {name}. Name one such as V3, or begin one on --batch."
                )
            return found
        if options["batch"] is None:
            raise CommandError(
                "Name an iteration, such as V3, or a week to begin one on: --batch 3 --policy V2"
            )
        batch = Batch.objects.filter(number=options["batch"]).first()
        if batch is None:
            raise CommandError(f"There is no week number {options['batch']}.")
        if (there := batch.iterations.order_by("number").first()) is not None:
            return there
        policy, base = _policy(options["policy"]), options["base"]
        return iterations.create_iteration(
            batch=batch,
            policy=policy,
            base=_policy(base) if base else policy,
            seed=options["seed"],
            recipe=_recipe(options["recipe"]),
        )

    def _drive(self, iteration: Iteration, options: dict[str, Any], console: Console) -> None:
        if iteration.batch.state != BatchState.SEALED and not options["seal"]:
            done = batch_progress(iteration.batch)
            raise CommandError(
                f"{iteration.batch} is {iteration.batch.state}, and {done.complete:,} of {done.comparisons:,} pairs "
                "are complete. Seal it, or let this command do so with --seal.",
                returncode=UNSEALED,
            )
        workers = Children() if options["no_worker"] else Children(run_worker())
        with workers, Screen(console, workers) as screen:
            drive(iteration, watcher=screen, until=options["until"])


def _policy(name: str | None) -> PolicyVersion:
    found = PolicyVersion.objects.filter(name=name).first() if name else None
    if found is None:
        raise CommandError(
            f"There is no policy {name}. Name one with --policy." if name else "Name a --policy."
        )
    return found


def _recipe(word: str) -> Recipe:
    """A preset by its name, else a file."""
    if word in PRESETS:
        return PRESETS[word]
    try:
        given = json.loads(Path(word).read_text(encoding="utf-8"))
    except OSError as error:
        raise CommandError(
            f"{word} is no preset ({', '.join(PRESETS)}) and no file: {error.strerror}."
        ) from error
    except ValueError as error:
        raise CommandError(f"{word} is not JSON: {error}") from error
    return read_recipe(given)


def report(iteration: Iteration, plan: list[PlanLine]) -> dict[str, Any]:
    """What `--json` prints: where it stands, and its steps."""
    return {
        "iteration": str(iteration),
        "state": iteration.state,
        "batch": iteration.batch.number,
        "policy": iteration.policy.name,
        "base": iteration.base.name,
        "tuned": iteration.tuned.name if iteration.tuned else None,
        "next_batch": iteration.next_batch.number if iteration.next_batch else None,
        "seconds_left": total_seconds(plan),
        "steps": [line.to_json() for line in plan],
    }


FATES: Final = {
    Fate.DONE: "done",
    Fate.WORKING: "at work",
    Fate.BROKEN: "ended without success",
    Fate.REUSE: "used again",
    Fate.NEW: "to do",
    Fate.REFUSED: "cannot start",
}


def print_plan(console: Console, iteration: Iteration, plan: list[PlanLine]) -> None:
    table = Table(title=f"{iteration} on {iteration.batch}")
    for column in ("step", "what", "parameters", "reads", "about"):
        table.add_column(column, overflow="fold")
    for line in plan:
        what = f"{FATES[line.fate]}: {line.why}" if line.why else FATES[line.fate]
        params = ", ".join(f"{name} {value}" for name, value in line.params.items() if name != "focus")
        table.add_row(line.name, what, params, ", ".join(line.reads), _cost(line))
    console.print(table)
    left = total_seconds(plan)
    if left != 0:
        words = "not known" if left is None else f"about {span(timedelta(seconds=left))}"
        console.print(f"Still to compute: {words}.", highlight=False)


def _cost(line: PlanLine) -> str:
    if line.fate in (Fate.DONE, Fate.REUSE) or line.name in ("seal", "snapshot"):
        return ""
    if line.seconds is None:
        return "unknown"
    memory = f", {line.memory_bytes / 2**30:.1f} GiB" if line.memory_bytes else ""
    return f"{span(timedelta(seconds=line.seconds))}{memory}"


def _ended(iteration: Iteration) -> str:
    left = [step.name for step in iterations.steps_of(iteration) if step.state != StepState.DONE]
    if left:
        return f"{iteration} stands before {left[0]}."
    made = f" {iteration.tuned} is its policy." if iteration.tuned else ""
    waits = f" The new policy's pairs wait in {iteration.next_batch}." if iteration.next_batch else ""
    return f"{iteration} is complete.{made}{waits}"
