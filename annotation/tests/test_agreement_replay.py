"""Agreement of real annotators, where their data lie beside the checkout: figures that other programs found, too."""

from __future__ import annotations

import gzip
import json
from itertools import combinations
from typing import Any

import pytest

from annotation.core.agreement.coefficients import alpha, fleiss, gwet, krippendorff, percent_agreement
from annotation.core.agreement.tables import Ratings
from annotation.core.agreement.weights import Metric, Weighting
from annotation.tests.format_rows import DATA

SEVERITIES = (1, 0, -1, -2, -3)
STRENGTHS = {
    "a-is-better": 2,
    "a-is-slightly-better": 1,
    "tie": 0,
    "b-is-slightly-better": -1,
    "b-is-better": -2,
}


def rows_of(name: str) -> list[dict[str, Any]]:
    path = DATA / f"{name}.jsonl.gz"
    if not path.exists():
        pytest.skip(f"the published data are not here: shared/data/{path.name} beside the checkout")
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def ukpconvarg() -> Ratings:
    """Five votes a pair by strangers: a1, a2 or equal."""
    rows = enumerate(rows_of("ukpconvarg_5annotators"))
    return Ratings.from_rows(
        (i, vote["worker"], vote["value"]) for i, row in rows for vote in row["assignments"]
    )


def pandalm() -> Ratings:
    return Ratings.from_matrix(
        [[row[f"annotator{g}"] for g in (1, 2, 3)] for row in rows_of("pandalm_3annotators")]
    )


def pyrit(file: str) -> Ratings:
    rows = [row for row in rows_of("pyrit_harm_3raters") if row["file"] == file]
    return Ratings.from_matrix([[row[f"human_score_{g}"] for g in (1, 2, 3)] for row in rows])


def tulu() -> Ratings:
    """How much better the model is whose name comes first; an evaluator's last word on a pair; pairs with two."""
    last: dict[tuple[Any, str], int] = {}
    for row in rows_of("tulu_human_eval_annotations"):
        strength = STRENGTHS[row["preference"]]
        models = tuple(sorted((row["model_a"], row["model_b"])))
        last[(row["instance_id"], models), row["evaluator"]] = (
            strength if row["model_a"] == models[0] else -strength
        )
    return Ratings.from_rows((item, rater, strength) for (item, rater), strength in last.items()).paired


def convabuse() -> Ratings:
    """How abusive a message is; an annotator's first word on it."""
    first: dict[tuple[Any, str], int] = {}
    for row in rows_of("convabuse_annotations"):
        (severity,) = (value for value in SEVERITIES if row[f"is_abuse.{value}"])
        item = tuple(row[key] for key in ("bot", "conv_id", "agent", "user", "prev_agent", "prev_user"))
        first.setdefault((item, row["annotator_id"]), severity)
    return Ratings.from_rows((item, rater, severity) for (item, rater), severity in first.items()).paired


PEOPLE = {
    "ukpconvarg votes": ukpconvarg,
    "pandalm": pandalm,
    "pyrit hate_speech_multi_score.csv": lambda: pyrit("hate_speech_multi_score.csv"),
    "pyrit violence_multi_score.csv": lambda: pyrit("violence_multi_score.csv"),
    "tulu_strength_items>=2 (oriented to sorted model name; last per evaluator)": tulu,
    "convabuse_severity (first per item,annotator; items>=2)": convabuse,
}


@pytest.mark.parametrize("name", PEOPLE)
def test_other_programs_found_the_same(name: str) -> None:
    ratings = PEOPLE[name]()
    known = json.loads((DATA / "agreement_oracles.json").read_text())["real"][name]
    assert ratings.items == known["n_items"]
    for weighting in (weighting for weighting in Weighting if weighting in known):
        ac, fields = gwet(ratings, weighting), known[weighting]
        found = {
            "pa": ac.observed,
            "gwet_ac": ac.value,
            "gwet_se": ac.se,
            "alpha_irrcac": krippendorff(ratings, weighting).value,
            "fleiss": fleiss(ratings, weighting).value,
        }
        assert found == pytest.approx(fields, abs=5e-9)
    for metric, value in known["krippendorff_pkg"].items():
        assert alpha(ratings, Metric(metric)).value == pytest.approx(value, abs=1e-9)


def test_five_strangers_agree_as_often_as_a_plain_count_says() -> None:
    shares = []
    for row in rows_of("ukpconvarg_5annotators"):
        pairs = list(combinations([vote["value"] for vote in row["assignments"]], 2))
        shares.append(sum(a == b for a, b in pairs) / len(pairs))
    assert percent_agreement(ukpconvarg()).value == pytest.approx(sum(shares) / len(shares))


def test_linear_weights_of_harm_scores_are_the_mean_distance() -> None:
    # Scores lie between 0 and 1, so a pair's weight is 1 less the distance of its scores.
    rows = [row for row in rows_of("pyrit_harm_3raters") if row["file"] == "violence_multi_score.csv"]
    apart = [
        abs(row[f"human_score_{g}"] - row[f"human_score_{h}"])
        for row in rows
        for g, h in combinations((1, 2, 3), 2)
    ]
    found = percent_agreement(pyrit("violence_multi_score.csv"), Weighting.LINEAR).value
    assert found == pytest.approx(1 - sum(apart) / len(apart))
