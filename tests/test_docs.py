"""The manuals say what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from django.core.management import get_commands

from annotation.api import problems
from annotation.core.scopes import SENTENCES, Scope
from annotation.errors import DomainError

ROOT = Path(__file__).resolve().parent.parent
APPS = ("annotation", "config", "frontend", "rewardmodel", "training")
OPERATIONS = (ROOT / "docs/operations.md").read_text()


def test_every_variable_that_settings_read_is_described() -> None:
    settings = (ROOT / "config/settings.py").read_text()
    read = set(re.findall(r'env\.(?:text|flag|number|words|pairs)\(\s*"([A-Z_]+)"', settings))
    described = set(re.findall(r"^\| `([A-Z_]+)`", OPERATIONS, re.MULTILINE))
    assert read == described


def test_every_command_is_described() -> None:
    commands = {name for name, app in get_commands().items() if app in APPS}
    assert {name for name in commands if f"manage.py {name}" not in OPERATIONS} == set()


def test_every_link_between_the_manuals_leads_somewhere() -> None:
    broken = [
        f"{page.relative_to(ROOT)}: {link}"
        for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
        if not (page.parent / link).exists()
    ]
    assert broken == []


def test_every_scope_and_the_common_problems_are_described() -> None:
    manual = (ROOT / "docs/api.md").read_text()
    errors = [error for error in vars(problems).values() if isinstance(error, type)]
    codes = {error.code for error in errors if issubclass(error, DomainError)}
    codes -= {"other-person"}  # the workbench's own
    assert {word for word in [*Scope, *codes] if f"`{word}`" not in manual} == set()
    assert {sentence for sentence in SENTENCES.values() if sentence not in manual} == set()
