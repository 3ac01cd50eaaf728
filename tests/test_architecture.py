"""What the design forbids, checked on the code."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PLACES = ("annotation", "bench", "client", "config", "frontend", "rewardmodel", "tests", "training")
FILES = sorted(
    path for place in PLACES for path in (ROOT / place).rglob("*.py") if "migrations" not in path.parts
)


def test_the_web_process_never_imports_torch() -> None:
    code = (
        "import django, sys; django.setup(); import config.urls, training.tasks; from django.urls import get_resolver;"
        "get_resolver().url_patterns; sys.exit(1 if {'torch', 'transformers', 'sklearn'} & set(sys.modules) else 0)"
    )
    environment = {"DJANGO_SETTINGS_MODULE": "config.settings", "PATH": "/usr/bin"}
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, check=False)
    assert ended.returncode == 0


@pytest.mark.parametrize("core", ["annotation", "rewardmodel", "training"])
def test_a_core_package_reexports_nothing(core: str) -> None:
    assert (ROOT / core / "core" / "__init__.py").read_text() == ""


def test_no_file_is_longer_than_four_hundred_lines() -> None:
    assert [str(path) for path in FILES if len(path.read_text().splitlines()) > 400] == []


def test_no_function_is_longer_than_sixty_lines() -> None:
    long = [
        f"{path}:{node.lineno} {node.name}"
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or node.lineno) - node.lineno >= 60
    ]
    assert long == []


def test_views_and_admin_ask_no_manager() -> None:
    doors = [p for p in FILES if p.name in {"views.py", "workbench.py"} or p.parent.name == "api"]
    assert [str(p) for p in doors if ".objects" in p.read_text() and "tests" not in p.parts] == []


def test_the_environment_is_read_in_one_place() -> None:
    others = {"tests", "client"}  # the client is a program of its own
    readers = [p for p in FILES if "os.environ" in p.read_text() and p.parts[len(ROOT.parts)] not in others]
    allowed = {"env.py", "asgi.py", "wsgi.py", "celery.py"}
    assert {p.name for p in readers} <= allowed
