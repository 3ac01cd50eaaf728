"""Published values, where they lie beside the checkout: every one of them to its last printed digit."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from annotation.core.agreement.coefficients import (
    Coefficient,
    alpha,
    brennan_prediger,
    cohen,
    conger,
    fleiss,
    gwet,
    krippendorff,
    percent_agreement,
)
from annotation.core.agreement.tables import Ratings
from annotation.core.agreement.weights import Metric, Weighting
from annotation.tests.format_rows import DATA

# The file's names: scott is Scott's pi, which Fleiss' kappa is of two raters.
METHODS: dict[str, Callable[[Ratings, Weighting], Coefficient]] = {
    "bp": brennan_prediger,
    "cohen": cohen,
    "conger": conger,
    "fleiss": fleiss,
    "gwet": gwet,
    "krippendorff": krippendorff,
    "pa2": percent_agreement,
    "scott": fleiss,
}
FIELDS = {
    "coefficient_value": "value",
    "pa": "observed",
    "pe": "expected",
    "se": "se",
    "ci_low": "low",
    "ci_high": "high",
    "p_value": "p_value",
}


@pytest.fixture(scope="module")
def oracles() -> dict[str, Any]:
    path = DATA / "agreement_oracles.json"
    if not path.exists():
        pytest.skip(f"the published values are not here: shared/data/{path.name} beside the checkout")
    loaded: dict[str, Any] = json.loads(path.read_text())
    return loaded


def ratings_of(oracles: dict[str, Any], kind: str, name: str) -> Ratings:
    rows = oracles["data"][name]
    return Ratings.from_matrix(rows) if kind == "raw" else Ratings.from_table(rows)


def test_every_published_value_is_found_again(oracles: dict[str, Any]) -> None:
    wrong = []
    compared = 0
    for oracle in oracles["published"]:
        ratings = ratings_of(oracles, oracle["kind"], oracle["dataset"])
        found = METHODS[oracle["method"]](ratings, Weighting(oracle["weights"]))
        for key, field in FIELDS.items():
            if key not in oracle["expected"]:
                continue
            is_p, printed = key == "p_value", oracle["expected"][key]
            digits = oracle["expected"]["p_digits"] if is_p else oracle["digits"]
            # Brennan-Prediger's published p values are one-sided, all others two-sided.
            value = getattr(found, "p_one_sided" if is_p and oracle["method"] == "bp" else field)
            compared += 1
            # Half a unit of the last digit: 0.9725 is printed as 0.972.
            if abs(value - printed) > 0.5 * 10**-digits + 1e-12:
                wrong.append((oracle["test"], key, value, printed))
    assert wrong == []
    assert compared == 413


@pytest.mark.parametrize("metric", Metric)
def test_krippendorffs_example_with_missing_values(oracles: dict[str, Any], metric: Metric) -> None:
    found = alpha(ratings_of(oracles, "raw", "raw_4raters"), metric)
    assert found.value == pytest.approx(oracles["krippendorff_C_data_alpha"][metric], abs=5e-7)
