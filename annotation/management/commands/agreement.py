"""How far people agree: `manage.py agreement --batch "Week 3" --focus safety --json`."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from annotation.core.agreement.report import as_json, as_text
from annotation.core.grades import Focus
from annotation.quality import CONFIDENCE, batch_of_interest, said_in, scales_of
from annotation.quality_figures import Trait


class Command(BaseCommand):
    help = (
        "Agreement between the people of a batch on choice, grade and safety label, with standard errors and "
        "intervals. docs/agreement.md says what each coefficient is."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--batch", default="", metavar="NAME", help="default: the open week, or the newest one"
        )
        parser.add_argument("--focus", default="", choices=["", *Focus], metavar="|".join(Focus))
        parser.add_argument("--json", action="store_true", help="JSON for programs")

    def handle(self, **options: Any) -> None:
        batch = batch_of_interest(options["batch"])
        if batch is None:
            name = options["batch"]
            raise CommandError(f"There is no batch named {name!r}." if name else "No batch was opened yet.")
        focus = options["focus"]
        said = said_in(batch)
        scales = scales_of(said.only({Trait.FOCUS: focus}) if focus else said)
        if options["json"]:
            found = {one.scale: as_json(one.read, one.coefficients, CONFIDENCE) for one in scales}
            self.stdout.write(
                json.dumps({"batch": batch.name, "focus": focus or None, "scales": found}, indent=2)
            )
            return
        for one in scales:
            where = f"{batch}, {focus}" if focus else str(batch)
            self.stdout.write(f"{where}: {one.scale}\n{as_text(one.read, one.coefficients, CONFIDENCE)}")
