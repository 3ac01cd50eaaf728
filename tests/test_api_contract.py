"""The API keeps its schema, and changes of the schema are seen in review."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest
from django.core.management import call_command

from tests.fuzz import run

COMMITTED: Final = Path(__file__).resolve().parent.parent / "docs" / "openapi.yaml"


@pytest.mark.process
def test_every_operation_keeps_its_schema(tmp_path: Path) -> None:
    """A short walk with a fixed seed; `make fuzz` goes further. What was found stands in the output."""
    assert run(tmp_path, examples=2, seed=0, phases="examples,fuzzing,stateful") == 0


def test_the_committed_schema_is_the_one_that_is_served(tmp_path: Path) -> None:
    made = tmp_path / "openapi.yaml"
    call_command("spectacular", file=str(made), validate=True, fail_on_warn=True)
    same = made.read_text() == COMMITTED.read_text()
    assert same, "The API has changed: run make openapi and look at the difference."
