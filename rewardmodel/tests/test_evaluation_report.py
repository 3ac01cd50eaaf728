"""The report of a version: files that are whole, equal for equal figures, and text whatever the names are."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from huggingface_hub import ModelCard

from annotation.core.grades import Focus, Grade, MarginTable, SafetyLabel
from rewardmodel.core.backbone import PolicyRef
from rewardmodel.core.evaluate import ScoredPair, evaluate, write_report
from rewardmodel.core.evaluation.drift import drift
from rewardmodel.core.evaluation.limits import limits
from rewardmodel.core.files import verify_manifest
from rewardmodel.core.report import Silent
from rewardmodel.core.spec import TrainRewardModelSpec
from rewardmodel.core.train import train
from rewardmodel.tests.examples import make_record, write_snapshot
from rewardmodel.tests.scored import scored

HOSTILE = '</svg><script>alert(1)</script> | # week "1": & ![x](http://x)'

FACTS: dict[str, Any] = {
    "name": "safety-V2",
    "focus": "safety",
    "recipe": "probe",
    "backbone": {"name": "policy-V1", "sha256": "a1" * 32},
    "snapshot": {"name": "week-1: all", "sha256": "c3" * 32},
    "code_version": "test",
    "seed": 3,
    "dtype": "float32",
    "params": TrainRewardModelSpec.model_validate({"focus": "safety"}).model_dump(mode="json"),
    "mixture": {"own": 12, "other": 1, "other_available": 4, "too_long": 0, "test_too_long": 0},
}


def pairs_of(batch: str = "week-1", number: int = 40) -> list[ScoredPair]:
    grades = list(Grade)
    return [
        ScoredPair(
            replace(
                make_record(one, focus=Focus.SAFETY, grade=grades[one % 4], safety=SafetyLabel.CHOSEN_SAFE),
                batch=batch,
                judgments=3,
                weight=2 / 3,
            ),
            float(one % 5),
            float(one % 3),
        )
        for one in range(number)
    ]


def figures_of(pairs: list[ScoredPair]) -> dict[str, Any]:
    train = [pair.record for pair in pairs]
    return evaluate(pairs, pairs[:5], train=train, split="test", margin_table=MarginTable.SMALL)


def files_of(directory: Path) -> Mapping[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*.*")}


def test_a_report_has_figures_a_card_and_all_plots(tmp_path: Path) -> None:
    written = write_report(tmp_path, figures_of(pairs_of()), FACTS)
    names = ["accuracy_by_batch", "accuracy_by_grade", "margins", "reliability", "rewards", "unsafe"]
    assert sorted(str(path.relative_to(tmp_path)) for path in written) == sorted(
        ["README.md", "evaluation.json", *(f"plots/{name}.svg" for name in names)]
    )


def test_equal_figures_give_equal_bytes(tmp_path: Path) -> None:
    pairs = pairs_of()
    for name, order in (("one", pairs), ("other", pairs[::-1])):
        (tmp_path / name).mkdir()
        figures = evaluate(
            order, order, train=[p.record for p in order], split="test", margin_table=MarginTable.NONE
        )
        write_report(tmp_path / name, figures, FACTS)
    assert files_of(tmp_path / "one") == files_of(tmp_path / "other")


def test_the_figures_are_kept_whole(tmp_path: Path) -> None:
    figures = figures_of(pairs_of())
    write_report(tmp_path, figures, FACTS)
    assert json.loads((tmp_path / "evaluation.json").read_text()) == figures


@pytest.mark.parametrize("number", [0, 1, 40])
def test_a_report_of_any_size_is_readable(tmp_path: Path, number: int) -> None:
    write_report(tmp_path, figures_of(pairs_of(number=number)), FACTS)
    card = (tmp_path / "README.md").read_text()
    plots = sorted(path.name for path in (tmp_path / "plots").iterdir())
    assert sorted(re.findall(r"\(plots/([a-z_]+\.svg)\)", card)) == plots
    for plot in plots:
        ElementTree.fromstring((tmp_path / "plots" / plot).read_text())  # noqa: S314  # our own
    assert not re.search(r"\bnan\b|\binf\b", card, re.IGNORECASE)


def test_the_hub_reads_the_card(tmp_path: Path) -> None:
    figures = figures_of(pairs_of())
    write_report(tmp_path, figures, FACTS)
    data = ModelCard.load(tmp_path / "README.md").data.to_dict()
    assert data["base_model"] == "policy-V1"
    assert "reward-model" in data["tags"]
    (result,) = data["model-index"][0]["results"]
    assert result["dataset"] == {"type": "margin-snapshot", "name": "week-1: all", "split": "test"}
    assert result["metrics"][0]["value"] == pytest.approx(figures["accuracy"], rel=1e-5)


def test_names_stay_text(tmp_path: Path) -> None:
    write_report(tmp_path, figures_of(pairs_of(HOSTILE)), {**FACTS, "name": HOSTILE})
    card = (tmp_path / "README.md").read_text()
    body = card.split("\n---\n", 1)[1].split("## How to load it")[0]
    assert "<script>" not in body.replace("\\<", "")
    assert "![x]" not in body
    plot = (tmp_path / "plots" / "accuracy_by_batch.svg").read_text()
    assert "<script>" not in plot
    ElementTree.fromstring(plot)  # noqa: S314  # our own
    assert ModelCard.load(tmp_path / "README.md").data.to_dict()["model-index"][0]["name"] == HOSTILE


def test_without_facts_the_card_says_what_it_can(tmp_path: Path) -> None:
    write_report(tmp_path, figures_of(pairs_of()), {})
    card = (tmp_path / "README.md").read_text()
    assert "# Reward model\n" in card
    assert "## How it was made" not in card


@pytest.mark.parametrize(
    ("recipe", "named", "not_named"),
    [("probe", "Layer fraction", "Learning rate"), ("lora", "Lora rank", "Layer fraction")],
)
def test_the_card_names_the_settings_that_the_recipe_used(
    tmp_path: Path, recipe: str, named: str, not_named: str
) -> None:
    write_report(tmp_path, figures_of(pairs_of()), {**FACTS, "recipe": recipe})
    card = (tmp_path / "README.md").read_text()
    assert f"| {named} |" in card
    assert f"| {not_named} |" not in card
    assert "| Margin table | small |" in card


def test_the_card_tells_how_far_the_rewards_moved_where_an_earlier_version_was_scored(tmp_path: Path) -> None:
    pairs = pairs_of()
    moved = {"name": "safety-V1", "drift": drift(pairs, pairs)}
    write_report(tmp_path, {**figures_of(pairs), "against": moved}, FACTS)
    card = (tmp_path / "README.md").read_text()
    assert "Compared with safety-V1" in card
    assert "| Pairs that both scored | 40 |" in card


def test_training_pairs_are_no_test() -> None:
    pairs = pairs_of()
    figures = evaluate(pairs, [], train=(), split="train", margin_table=MarginTable.NONE)
    assert any("measured on pairs that it learnt from" in limit for limit in limits(figures))


def test_a_model_that_only_likes_length_is_told_apart() -> None:
    # The model is right exactly where the longer response was chosen, in half of the pairs.
    pairs = [scored(*pair, lengths=lengths) for pair, lengths in [((2, 1), (2, 1)), ((1, 2), (1, 2))] * 10]
    figures = evaluate(pairs, [], train=(), split="test", margin_table=MarginTable.NONE)
    assert "It is not better than choosing the longer response beyond what chance explains." in limits(
        figures
    )


def test_nothing_measured_is_said() -> None:
    figures = evaluate([], [], train=(), split="test", margin_table=MarginTable.NONE)
    assert limits(figures)[0].startswith("Nothing was measured.")


def test_every_trained_version_has_its_report_under_its_manifest(tiny: PolicyRef, tmp_path: Path) -> None:
    records = [make_record(n) for n in range(6)] + [make_record(50 + n, split="test") for n in range(4)]
    snapshot = write_snapshot(tmp_path / "snapshot", records)
    (tmp_path / "work").mkdir()
    result = train(
        spec=TrainRewardModelSpec.model_validate({"focus": "helpfulness", "max_length": 256}),
        inputs={"snapshot": str(snapshot), "backbone": tiny.to_json(), "name": "helpfulness-V1"},
        seed=3,
        device="cpu",
        code_version="test",
        work=tmp_path / "work",
        output=tmp_path / "output",
        report=Silent(),
    )
    manifest = verify_manifest(tmp_path / "output")
    assert {"evaluation.json", "README.md", "plots/accuracy_by_grade.svg"} <= manifest["files"].keys()
    assert "# helpfulness-V1\n" in (tmp_path / "output" / "README.md").read_text()
    kept = json.loads((tmp_path / "output" / "evaluation.json").read_text())
    assert kept["accuracy"] == result["metrics"]["accuracy"]
    assert kept["bag_of_words"] is not None
