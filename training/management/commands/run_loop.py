"""`manage.py run_loop`: go once round the loop without people and print what came out."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.table import Table

from annotation.core.formats.registry import FORMATS
from annotation.errors import DomainError
from rewardmodel.core.files import write_atomically
from training.core.spec import RunKind
from training.launchers.children import Children, run_worker
from training.management.screen import Screen
from training.services.drive import PausedError
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
        with workers, Screen(console, workers) as screen:
            loop = Loop(plan, screen)
            try:
                iteration = loop.run()
            except (DomainError, LoopError, PausedError) as error:
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
