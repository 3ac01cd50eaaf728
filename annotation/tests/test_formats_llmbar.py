"""LLMBar."""

from __future__ import annotations

from typing import Any

import pytest

from annotation.core.formats.detection import first_rows, guess_format
from annotation.core.records import canonical_json
from annotation.tests.format_rows import chosen, judgment, other, prompt, reason


def row(**fields: Any) -> dict[str, Any]:
    return {"input": "Name a bird.", "output_1": "Bat.", "output_2": "Wren.", "label": 2} | fields


@pytest.mark.parametrize(("label", "better", "worse"), [(1, "Bat.", "Wren."), (2, "Wren.", "Bat.")])
def test_the_label_counts_the_outputs_from_one(label: int, better: str, worse: str) -> None:
    item = judgment("llmbar", row(label=label))
    assert (prompt(item), chosen(item), other(item)) == ("Name a bird.", better, worse)
    assert (item.grade, item.annotator) == (None, "")


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"label": 0}, "label is 0: use a whole number from 1 to 2"),
        ({"label": "1"}, "label is '1': use a whole number from 1 to 2"),
        ({"output_1": ""}, "output_1 is empty"),
        ({"output_1": "Wren."}, "both responses are the same text"),
        ({"input": None}, "input must be text, not null"),
    ],
)
def test_a_row_that_is_no_pair_says_why(fields: dict[str, Any], says: str) -> None:
    assert reason("llmbar", row(**fields)) == says


def test_the_format_is_known_by_its_fields() -> None:
    assert guess_format(first_rows([canonical_json(row())])) == "llmbar"
