"""`manage.py plan_run KIND`: what would be launched for a run, what it needs and how long. Nothing is started."""

from __future__ import annotations

import dataclasses
import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from pydantic import ValidationError

from training.core.dry_run import DryRun, amounts, dry_run, table
from training.core.estimate_run import EXAMPLE_TOKENS, PROMPT_TOKENS, Work
from training.core.launch_plan import Place
from training.core.sizes import CPU, GPUS, ModelSize, llama, machine_called, of_config
from training.core.spec import SPECS, RunKind
from training.models import PolicyVersion
from training.services.estimates import house_place, size_of_policy

EXAMPLES = 10_000  # pairs or targets, where nobody says how many


class Command(BaseCommand):
    help = (
        "Print the command lines, the queue, and memory and time on paper of a run, and what to change where it does "
        "not fit. Nothing is started. docs/scaling.md says more."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("kind", nargs="?", choices=[str(kind) for kind in RunKind], metavar="KIND")
        parser.add_argument(
            "--params", nargs="*", default=[], metavar="K=V", help="parameters, or a JSON file of them"
        )
        parser.add_argument("--model", default="7b", help="7b, 13b, 70b, a policy's name, or a folder")
        parser.add_argument("--reward-model", help="as --model; default: as large as the policy")
        parser.add_argument("--device", choices=(CPU, *GPUS), help="default: the setting MARGIN_GPU")
        parser.add_argument("--gpus", type=int, help="of each machine; default: as the settings say")
        parser.add_argument("--nodes", type=int, help="machines that compute together")
        parser.add_argument("--examples", type=int, default=EXAMPLES, help="pairs or targets to learn from")
        parser.add_argument("--example-tokens", type=int, default=EXAMPLE_TOKENS, help="of each, on average")
        parser.add_argument("--prompt-tokens", type=int, default=PROMPT_TOKENS, help="on average")
        parser.add_argument("--json", action="store_true", help="for programs")
        parser.add_argument("--table", action="store_true", help="the table of docs/scaling.md for --device")

    def handle(self, **options: Any) -> None:
        device = options["device"] or settings.MARGIN_GPU
        if options["table"]:
            self._table(device)
            return
        if options["kind"] is None:
            raise CommandError(f"Name a kind of run: {', '.join(RunKind)}.")
        kind = RunKind(options["kind"])
        place = _place(options["gpus"], options["nodes"])
        found = dry_run(
            kind,
            _params(kind, options["params"]),
            _work(kind, options),
            machine_called(device),
            place,
            model=options["model"],
            own=settings.MARGIN_QUEUES,
        )
        self.stdout.write(json.dumps(_plain(found), indent=2) if options["json"] else _said(found))

    def _table(self, device: str) -> None:
        if device == CPU:
            raise CommandError(f"The table is for GPUs: --device {'|'.join(GPUS)}")
        self.stdout.write(f"{table(device)}\n\n{amounts()}")


def _place(gpus: int | None, nodes: int | None) -> Place:
    """As asked; of what nobody asked about, as the settings say."""
    try:
        house = house_place()
    except OSError as error:
        raise CommandError(f"MARGIN_ACCELERATE_CONFIG cannot be read: {error}") from error
    if gpus is None and nodes is None:
        return house
    if min(gpus or 1, nodes or 1) < 1 or gpus == 0 or nodes == 0:
        raise CommandError("--gpus and --nodes must be at least 1.")
    return Place(gpus or house.processes, nodes or 1)


def _params(kind: RunKind, given: list[str]) -> dict[str, Any]:
    """Complete parameters, from words k=v and JSON files; later ones win."""
    found: dict[str, Any] = {}
    for word in given:
        name, equals, value = word.partition("=")
        if equals:
            found[name] = _value(value)
            continue
        try:
            found |= json.loads(Path(word).read_bytes())
        except (OSError, ValueError, TypeError) as error:
            raise CommandError(f"{word} is neither K=V nor a JSON file of parameters: {error}") from error
    if kind == RunKind.TRAIN_REWARD_MODEL:
        found.setdefault("focus", "helpfulness")  # which does not change the cost
    if kind == RunKind.IMPORT_POLICY:
        found.setdefault("source", "FOLDER")
    try:
        return SPECS[kind].model_validate(found).model_dump(mode="json")
    except ValidationError as error:
        wrong = [f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()]
        raise CommandError(f"These parameters cannot be run. {'; '.join(wrong)}") from error


def _value(word: str) -> Any:
    try:
        return json.loads(word)
    except ValueError:
        return word


def _work(kind: RunKind, options: dict[str, Any]) -> Work:
    policy = _size(options["model"])
    scorer = _size(options["reward_model"]) if options["reward_model"] else policy
    prompts = _params(kind, options["params"]).get("prompts", 0)
    return Work(
        (policy,),
        (scorer,) if kind in (RunKind.DISTILL, RunKind.SCORE) else (scorer, scorer),
        prompts=prompts,
        prompt_tokens=options["prompt_tokens"],
        examples=options["examples"],
        example_tokens=options["example_tokens"],
    )


def _size(name: str) -> ModelSize:
    billions = name.removesuffix("b")
    if name.endswith("b") and billions.isdecimal():
        try:
            return llama(int(billions))
        except ValueError as error:
            raise CommandError(f"{error}.") from error
    policy = PolicyVersion.objects.select_related("adapter_on").filter(name=name).first()
    if policy is not None and (size := size_of_policy(policy)) is not None:
        return size
    try:
        return of_config(Path(name))
    except ValueError:
        raise CommandError(
            f"{name!r} is neither 7b, 13b or 70b, nor a policy whose folder is here, nor a folder with a config.json."
        ) from None


def _plain(found: DryRun) -> dict[str, Any]:
    return dataclasses.asdict(found)


def _said(found: DryRun) -> str:
    lines = ["Queue:   " + found.queue]
    lines += [f"Command: {command}" for command in found.commands]
    if found.estimate is None:
        lines.append("Nothing can be said of memory and time.")
    else:
        lines.append(f"Memory:  {found.estimate.gib:.1f} GiB of the fullest device, on paper")
        lines.append(f"Time:    {_duration(found.estimate.seconds)}, on paper")
        lines.append(f"Tokens:  {found.estimate.tokens:,}")
        lines.append(f"Why:     {found.estimate.why}")
    lines += [f"Server:  {line}" for line in found.servers]
    lines += [f"Warning: {warning}" for warning in found.warnings]
    return "\n".join(lines)


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
