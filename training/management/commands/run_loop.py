"""`manage.py run_loop`: go once round the loop without people and print what came out."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from annotation.core.formats.registry import FORMATS
from annotation.errors import DomainError
from rewardmodel.core.files import write_atomically
from training.core.spec import RunKind
from training.launchers.children import Children, run_worker
from training.services.loop import Loop, LoopError, Plan, summarise

TINY: dict[str, dict[str, Any]] = {
    RunKind.SAMPLE: {"prompts": 24, "max_new_tokens": 16},
    RunKind.TRAIN_REWARD_MODEL: {},
    RunKind.REJECTION_SAMPLE: {"prompts": 8, "samples_per_prompt": 3, "max_new_tokens": 16},
    RunKind.FINETUNE: {"examples_per_step": 4, "learning_rate": 1e-3},
}
FULL: dict[str, dict[str, Any]] = {
    RunKind.SAMPLE: {"prompts": 96, "max_new_tokens": 64},
    RunKind.TRAIN_REWARD_MODEL: {},
    RunKind.REJECTION_SAMPLE: {"prompts": 48, "samples_per_prompt": 4, "max_new_tokens": 64},
    RunKind.FINETUNE: {"examples_per_step": 8, "learning_rate": 2e-4},
}


class Command(BaseCommand):
    help = (
        "Import or simulate judgments, seal, train both reward models, select, fine-tune, feed back. Resumes."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--model", default="smollm2", help="tiny, smollm2, a folder, a GGUF file or a Hub id"
        )
        parser.add_argument("--data", type=Path, help="real judgments; default: simulated annotators")
        parser.add_argument(
            "--format", dest="form", choices=sorted(FORMATS), help="of --data; default: by its name"
        )
        parser.add_argument("--seed", type=int, default=0)
        parser.add_argument("--no-worker", action="store_true", help="a Celery worker runs already")

    def handle(self, **options: Any) -> None:
        plan = Plan(
            model=options["model"],
            seed=options["seed"],
            params=TINY if options["model"] == "tiny" else FULL,
            data=options["data"].resolve() if options["data"] else None,
            form=options["form"] or _guess_format(options["data"]),
        )
        workers = Children() if options["no_worker"] else Children(run_worker())
        console = Console()
        with workers, _Screen(console, workers) as screen:
            loop = Loop(plan, screen)
            try:
                iteration = loop.run()
            except (DomainError, LoopError) as error:
                raise CommandError(str(error)) from error
        summary = summarise(loop, iteration)
        path = settings.MARGIN_HOME / "summary.json"
        write_atomically(path, json.dumps(summary, indent=2, sort_keys=True) + "\n")
        _print_summary(console, summary)
        console.print(f"Written to {path}", soft_wrap=True)


def _guess_format(path: Path | None) -> str:
    """The format whose name begins the file's name (hh_harmless… is HH-RLHF)."""
    if path is None:
        return ""
    name = path.name.lower().replace("_", "-")
    for form in sorted(FORMATS, key=len, reverse=True):
        if name.startswith((form, form.replace("-rlhf", ""))):
            return form
    raise CommandError(
        f"Cannot tell the format of {path.name}. Name it: --format {'|'.join(sorted(FORMATS))}"
    )


class _Screen(nullcontext[Any]):
    """Progress on a terminal, a line a stage elsewhere; keeps the worker alive while waiting."""

    def __init__(self, console: Console, workers: Children) -> None:
        super().__init__()
        self.console = console
        self.workers = workers
        self.bar = Progress(
            TextColumn("{task.description:<28}"),
            BarColumn(),
            TextColumn("{task.completed}/{task.total}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )
        self.task = self.bar.add_task("", total=None)

    def __enter__(self) -> _Screen:
        if self.console.is_terminal:
            self.bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.bar.stop()

    def stage(self, name: str) -> None:
        self.bar.reset(self.task, description=name, total=None)

    def progress(self, text: str, done: int, total: int) -> None:
        self.bar.update(self.task, description=text, completed=done, total=total or None)

    def finished(self, name: str, seconds: float, what: str) -> None:
        self.console.print(f"{name:<14} {seconds:>7.1f} s  {what}", highlight=False)

    def tick(self) -> None:
        for name in self.workers.revive():
            self.console.print(f"The {name} had died and was started again.")


def _print_summary(console: Console, summary: dict[str, Any]) -> None:
    snapshot, selection = summary["snapshot"], summary["selection"]
    table = Table(
        title=f"{summary['iteration']} on {summary['data']}, {summary['model']}, seed {summary['seed']}"
    )
    table.add_column("what")
    table.add_column("result", overflow="fold")
    table.add_row("snapshot", f"{snapshot['rows']:,} rows, sha256 {snapshot['sha256'][:16]}…")
    for name, metrics in summary["reward_models"].items():
        table.add_row(name, _accuracy(metrics))
    table.add_row(
        "selection", f"mean score {selection['mean_score']:.3f}, best of K {selection['best_score']:.3f}"
    )
    tuning = summary["fine_tuning"]
    table.add_row(
        "fine-tuning",
        f"{tuning['examples']} winners, loss {tuning['loss_first']:.3f} to {tuning['loss_last']:.3f}",
    )
    table.add_row("policy", summary["policy"]["name"])
    table.add_row(
        "next batch", f"{summary['next_batch']['name']}: {summary['next_batch']['comparisons']} pairs"
    )
    table.add_row("time", f"{summary['seconds']['total']:.0f} s")
    console.print(table)


def _accuracy(metrics: dict[str, Any]) -> str:
    if metrics["accuracy"] is None:
        return "no held-out pairs"
    grades = ", ".join(
        f"{grade.replace('_', ' ')} {values['accuracy']:.2f} ({values['pairs']})"
        for grade, values in metrics["by_grade"].items()
        if values["pairs"]
    )
    baseline = f"longer answer {metrics['length_baseline']:.2f}"
    tested = f"{metrics['pairs']} {metrics['split']} pairs"
    return f"accuracy {metrics['accuracy']:.3f} on {tested}; {baseline}; {grades}"
