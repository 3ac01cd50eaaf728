"""`manage.py run_weeks`: simulated weeks in the toy world, to see whether the loop makes answers better."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.table import Table

from annotation.core.grades import Focus
from annotation.errors import DomainError
from rewardmodel.core.files import write_atomically
from training.core.recipe import Recipe
from training.launchers.asking import ChildFailedError, ask_child
from training.launchers.children import Children, run_worker
from training.management.screen import Screen
from training.services.drive import LoopError, PausedError
from training.services.weeks import LONGEST, Weeks, WeeksPlan

# Settings for a model of half a million parameters, which learns in steps that would break a large one.
PROMPTS: Final = {"prompts": 1080, "safety_share": 0.2, "max_new_tokens": LONGEST}
SAMPLE: Final = {**PROMPTS, "temperatures": (0.8, 1.2)}
REWARD_MODEL: Final = {"recipe": "full", "learning_rate": 1e-3, "pairs_per_step": 16, "epochs": 6}
REJECTION: Final = {**PROMPTS, "samples_per_prompt": 8}
FINETUNE: Final = {"recipe": "full", "examples_per_step": 16, "learning_rate": 1e-3, "epochs": 4}
PPO: Final = {
    **PROMPTS,
    "recipe": "full",
    "iterations": 60,
    "prompts_per_iteration": 128,
    "mini_batch": 32,
    "learning_rate": 3e-4,
    "value_learning_rate": 3e-3,
}
METHODS: Final = MappingProxyType({"rejection": ("rejection_sample", "finetune"), "ppo": ("ppo",)})


class Command(BaseCommand):
    help = (
        "Simulate weeks in a small world whose people have a known taste: collect, train, improve, measure. Resumes. "
        "docs/simulated-weeks.md says more."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--weeks", type=int, default=3)
        parser.add_argument("--method", choices=sorted(METHODS), default="rejection")
        parser.add_argument(
            "--forget",
            action="store_true",
            help="learn from the last week's winners alone, as the paper did up to V3",
        )
        parser.add_argument(
            "--changing",
            action="store_true",
            help="ask for other kinds of answer each week, which shows what is forgotten",
        )
        parser.add_argument(
            "--model", default="toy", help="what the weeks begin with: toy, or a directory of one"
        )
        parser.add_argument("--seed", type=int, default=0)
        parser.add_argument("--no-worker", action="store_true", help="a Celery worker runs already")

    def handle(self, **options: Any) -> None:
        plan = WeeksPlan(
            weeks=options["weeks"],
            seed=options["seed"],
            recipe=recipe_of(options["method"], forget=options["forget"]),
            sample=SAMPLE,
            changing=options["changing"],
            source=options["model"],
        )
        workers = Children() if options["no_worker"] else Children(run_worker())
        console = Console()
        with workers, Screen(console, workers) as screen:
            try:
                summary = Weeks(plan, screen, ask=ask_child).run()
            except (DomainError, LoopError, PausedError, ChildFailedError) as error:
                raise CommandError(str(error)) from error
        path = Path(settings.MARGIN_HOME) / "summary.json"
        write_atomically(path, json.dumps(summary, indent=2, sort_keys=True) + "\n")
        console.print(_table(summary))
        console.print(f"Written to {path}", soft_wrap=True)


def recipe_of(method: str, *, forget: bool) -> Recipe:
    """Both reward models, the method, and the next week."""
    params: dict[str, dict[str, Any]] = {
        "rejection_sample": {**REJECTION, "bank": not forget},
        "finetune": {**FINETUNE, "every_iteration": not forget},
        "ppo": PPO,
    }
    models = [
        {"kind": "train_reward_model", "params": {**REWARD_MODEL, "focus": focus.value}} for focus in Focus
    ]
    steps = [{"kind": kind, "params": params[kind]} for kind in METHODS[method]]
    return Recipe.model_validate({"steps": [*models, *steps, {"kind": "sample", "params": SAMPLE}]})


def _table(summary: dict[str, Any]) -> Table:
    table = Table(
        title=f"{summary['weeks']} weeks, seed {summary['seed']}: true utility on requests never asked before"
    )
    kinds = list(summary["policies"][0]["by_request"])
    for column in ("policy", "utility", "95 %", *kinds, "gain"):
        table.add_column(column, justify="left" if column == "policy" else "right")
    for policy, gain in zip(summary["policies"], [None, *summary["gains"]], strict=True):
        low, high = policy["interval"]
        told = f"{gain['gain']:+.3f} [{gain['interval'][0]:+.3f}, {gain['interval'][1]:+.3f}]" if gain else ""
        worth = [f"{policy['by_request'][kind]:.2f}" for kind in kinds]
        table.add_row(policy["name"], f"{policy['utility']:.3f}", f"{low:.3f} to {high:.3f}", *worth, told)
    return table
