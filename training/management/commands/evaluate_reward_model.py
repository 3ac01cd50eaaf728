"""How well a reward model, a judge or both agree with a set: `manage.py evaluate_reward_model VERSION FILE`."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from annotation.core.formats.registry import FORMATS
from annotation.core.records import canonical_json, content_key
from annotation.errors import DomainError
from rewardmodel.core.external_table import as_text
from training.launchers.asking import ChildFailedError, ask_child
from training.services.naming import reward_model_called
from training.services.policies import key_for

MODULE: Final = "rewardmodel.core.evaluate_file"
STOPPED: Final = 130


class Command(BaseCommand):
    help = (
        "Measure a reward model on pairs of a file, as JSON lines or a JSON array, plain or gzip, of any format that "
        "can be imported; and a large model as judge beside it, or alone. Nothing is stored in the database. "
        "docs/external-sets.md says what the figures are."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("version", nargs="?", default="", help="a reward model's name, or its directory")
        parser.add_argument("file", type=Path)
        parser.add_argument("--format", required=True, choices=sorted(FORMATS), dest="form")
        parser.add_argument("--mapping", default="", metavar="JSON", help="what the rows do not say")
        parser.add_argument("--json", action="store_true", help="one JSON document and nothing else")
        parser.add_argument("--limit", type=int, metavar="N", help="the first N pairs alone")
        parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
        parser.add_argument("--tokens-per-batch", type=int, help="of one pass; default: as in its training")
        parser.add_argument(
            "--out", type=Path, metavar="DIR", help="keep figures and rewards there, and go on there"
        )
        parser.add_argument(
            "--backbone", type=Path, metavar="DIR", help="the policy below a directory's reward model"
        )
        parser.add_argument(
            "--backbone-base", type=Path, metavar="DIR", help="base weights, where that is an adapter"
        )
        judge = parser.add_argument_group("a large model as judge")
        judge.add_argument("--judge", default="", metavar="URL", help="a server of OpenAI's chat completions")
        judge.add_argument(
            "--judge-model", default="", metavar="NAME", help="what the server calls the model"
        )
        judge.add_argument(
            "--judge-key-env", default="", metavar="VARIABLE", help="the variable that holds its key"
        )
        judge.add_argument(
            "--judge-at-once", type=int, default=4, metavar="N", help="questions at once; default: 4"
        )
        judge.add_argument(
            "--judge-max-tokens", type=int, default=16, metavar="N", help="of an answer; default: 16"
        )

    def handle(self, **options: Any) -> None:
        try:
            spec = self._spec(options)
            secrets = {"judge_key": self._key(options)} if options["judge"] else {}
            document = ask_child(MODULE, spec, secrets=secrets)
        except (DomainError, ChildFailedError) as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            raise CommandError("Stopped.", returncode=STOPPED) from None
        self.stdout.write(canonical_json(document) if options["json"] else as_text(document).rstrip("\n"))

    def _spec(self, options: dict[str, Any]) -> dict[str, Any]:
        file: Path = options["file"]
        if not file.is_file():
            raise CommandError(f"There is no file {file}.")
        if not options["version"] and not options["judge"]:
            raise CommandError("Name a reward model before the file, a judge with --judge, or both.")
        if bool(options["judge"]) is not bool(options["judge_model"]):
            raise CommandError("--judge and --judge-model go together.")
        spec: dict[str, Any] = {
            "file": str(file.absolute()),
            "format": options["form"],
            "mapping": self._mapping(options["mapping"]),
            "limit": options["limit"],
            "device": options["device"],
            "tokens_per_batch": options["tokens_per_batch"],
            "out": self._out(options),
        }
        if options["version"]:
            spec["reward_model"] = reward_model_called(
                options["version"], backbone=options["backbone"], backbone_base=options["backbone_base"]
            )
        if options["judge"]:
            spec["judge"] = {
                "url": options["judge"],
                "model": options["judge_model"],
                "at_once": options["judge_at_once"],
                "max_tokens": options["judge_max_tokens"],
            }
        return spec

    def _mapping(self, text: str) -> Any:
        if not text:
            return None
        try:
            said = json.loads(text)
        except ValueError as error:
            raise CommandError(f"--mapping is no JSON: {error}.") from error
        if not isinstance(said, dict):
            raise CommandError("--mapping must be a JSON object.")
        return said

    def _out(self, options: dict[str, Any]) -> str | None:
        """Where answers and rewards are kept. A judge's are always: they may have cost money."""
        if options["out"]:
            return str(options["out"].absolute())
        if not options["judge"]:
            return None
        name = content_key("judge", options["judge"], options["judge_model"])[:16]
        place = Path(settings.MARGIN_HOME) / "judged" / name
        self.stderr.write(f"The judge's answers are kept in {place}.")
        return str(place)

    def _key(self, options: dict[str, Any]) -> str:
        """The key for the judge: from the variable that was named, else the one for its host, else none."""
        name = options["judge_key_env"]
        if not name:
            return key_for(options["judge"]) or ""
        key: str = settings.READ_VARIABLE(name)
        if not key:
            raise CommandError(
                f"The variable {name} is not set or empty. --judge-key-env names the one with the key."
            )
        return key
