"""What a command shows while it waits for runs: progress on a terminal, a line a stage elsewhere."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from training.launchers.children import Children


class Screen(nullcontext[Any]):
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

    def __enter__(self) -> Self:
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
