"""A reward model, a judge and both on a file: the document, what is kept, and what is said when it fails."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from rewardmodel.core import child
from rewardmodel.core.backbone import PolicyRef
from rewardmodel.core.evaluate_file import EvaluateSpec, evaluate_file
from rewardmodel.core.report import RunFailedError, Silent
from rewardmodel.core.scorer import load
from rewardmodel.tests.examples import make_record
from rewardmodel.tests.judge_server import JudgeHouse, likes
from rewardmodel.tests.probes import train_probe


@pytest.fixture(scope="module")
def reference(tiny: PolicyRef, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A probe on a dozen pairs; never write into it."""
    return train_probe(tmp_path_factory.mktemp("reward-model"), tiny, "kind")


def write(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def rows(count: int = 6) -> list[dict[str, Any]]:
    made = [make_record(number) for number in range(count)]
    return [
        {"prompt": r.messages[0]["content"], "chosen": r.chosen, "rejected": r.rejected, "subset": "hep-cpp"}
        for r in made
    ]


def spec_of(file: Path, **fields: Any) -> EvaluateSpec:
    return EvaluateSpec.model_validate({"file": file, "format": "rewardbench", "device": "cpu", **fields})


def test_the_figures_are_those_of_the_rewards(reference: dict[str, Any], tmp_path: Path) -> None:
    file = write(tmp_path / "x.jsonl", rows())
    found = evaluate_file(spec_of(file, reward_model=reference), key="", report=Silent())
    groups = [([{"role": "user", "content": r["prompt"]}], [r["chosen"], r["rejected"]]) for r in rows()]
    right = [chosen > rejected for chosen, rejected in load(reference, device="cpu").score(groups)]  # type: ignore[arg-type]
    assert (found["accuracy"], found["pairs"]) == (sum(right) / 6, 6)
    assert found["rewardbench"]["sections"]["Reasoning"]["score"] == found["accuracy"]
    assert (found["reader"]["name"], found["reader"]["focus"]) == ("kind", "helpfulness")
    assert found["file"]["format"] == "rewardbench"


def test_a_second_evaluation_into_the_same_folder_rates_nothing_and_says_the_same(
    reference: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = spec_of(write(tmp_path / "x.jsonl", rows()), reward_model=reference, out=tmp_path / "out")
    first = evaluate_file(spec, key="", report=Silent())
    monkeypatch.setattr(
        "rewardmodel.core.scorer.Scorer.rewards", lambda *_: pytest.fail("it was rated again")
    )
    assert evaluate_file(spec, key="", report=Silent()) == first
    assert json.loads((tmp_path / "out" / "evaluation.json").read_text()) == first
    kept = [json.loads(line) for line in (tmp_path / "out" / "pairs.jsonl").read_text().splitlines()]
    assert [one["line"] for one in kept] == [1, 2, 3, 4, 5, 6]
    assert sum(one["chosen"] > one["rejected"] for one in kept) == first["accuracy"] * 6


def test_a_pair_that_is_too_long_is_named_and_the_others_rated(
    reference: dict[str, Any], tmp_path: Path
) -> None:
    long = {**rows(1)[0], "chosen": "long " * 4000}  # 20,000 tokens: one a byte
    file = write(tmp_path / "x.jsonl", [*rows(), long])
    found = evaluate_file(spec_of(file, reward_model=reference), key="", report=Silent())
    assert found["pairs"] == 6
    (left,) = found["left_out"]["unratable"]
    assert left["line"] == 7
    assert left["reason"].startswith("chosen: dialogue and response are 20,")


def test_a_judge_alone_is_the_reader(tmp_path: Path) -> None:
    file = write(tmp_path / "x.jsonl", [{**r, "chosen": "right"} for r in rows(2)])
    with JudgeHouse(likes("right")) as house:
        judge = {"url": house.url, "model": "big"}
        found = evaluate_file(spec_of(file, judge=judge, out=tmp_path / "out"), key="k", report=Silent())
    assert (found["accuracy"], found["pairs"], found["reader"]) == (1.0, 2, {"kind": "judge", "name": "big"})
    assert (found["judge"]["same"], found["judge"]["said_a"]) == (2, 0.5)
    assert house.keys == ["Bearer k"] * 4


def test_a_judge_that_always_says_a_is_worth_a_coin(tmp_path: Path) -> None:
    file = write(tmp_path / "x.jsonl", rows(3))
    with JudgeHouse(lambda _: "A") as house:
        judge = {"url": house.url, "model": "big"}
        found = evaluate_file(spec_of(file, judge=judge, out=tmp_path / "out"), key="", report=Silent())
    assert (found["accuracy"], found["ties"], found["judge"]["differ"]) == (0.5, 3, 3)


def test_a_judge_stands_beside_the_reward_model(reference: dict[str, Any], tmp_path: Path) -> None:
    file = write(tmp_path / "x.jsonl", [{**r, "chosen": "right"} for r in rows(3)])
    answers = {"3": "neither"}
    with JudgeHouse(lambda q: answers.get("3", "") if "Question 2?" in q else likes("right")(q)) as house:
        judge = {"url": house.url, "model": "big"}
        spec = spec_of(file, reward_model=reference, judge=judge, out=tmp_path / "out")
        found = evaluate_file(spec, key="", report=Silent())
    assert (found["reader"]["name"], found["pairs"]) == ("kind", 3)
    assert (found["judge"]["accuracy"], found["judge"]["pairs"], found["judge"]["unreadable"]) == (1.0, 2, 1)
    assert found["judge"]["unratable"] == [{"line": 3, "reason": "the judge's answer names neither response"}]
    assert found["left_out"]["unratable"] == []


def test_a_judge_that_nobody_can_read_has_no_figures(tmp_path: Path) -> None:
    file = write(tmp_path / "x.jsonl", rows(1))
    with JudgeHouse(lambda _: "Well.") as house:
        spec = spec_of(file, judge={"url": house.url, "model": "big"}, out=tmp_path / "out")
        with pytest.raises(RunFailedError, match=r"No pair of x\.jsonl can be rated; .* names neither"):
            evaluate_file(spec, key="", report=Silent())


def test_a_directory_that_is_no_reward_model_is_refused(reference: dict[str, Any], tmp_path: Path) -> None:
    file = write(tmp_path / "x.jsonl", rows(1))
    with pytest.raises(RunFailedError, match="is not the directory of a reward model"):
        evaluate_file(
            spec_of(file, reward_model={**reference, "path": str(tmp_path)}), key="", report=Silent()
        )


@pytest.mark.parametrize(
    "fields", [{}, {"judge": {"url": "http://a", "model": "b"}}, {"limit": 0}, {"extra": 1}]
)
def test_a_spec_names_who_reads_and_where_a_judge_is_kept(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        EvaluateSpec.model_validate({"file": "x", "format": "native", **fields})


def test_a_child_says_its_result_on_one_line_and_a_failure_as_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = tmp_path / "spec.json"
    spec.write_text("{}")

    def fail(*_: object) -> dict[str, Any]:
        raise RunFailedError("There is no such thing.")

    assert child.run(["--spec", str(spec)], name="x", work=lambda *_: {"b": 1, "a": 2}) == 0
    assert child.run(["--spec", str(spec)], name="x", work=fail) == child.FAILED
    assert capsys.readouterr().out == '{"a":2,"b":1}\n{"error":"There is no such thing."}\n'


def test_a_child_says_what_is_wrong_with_its_spec(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = tmp_path / "spec.json"
    spec.write_text('{"file": "x", "format": "native", "limit": -1, "reward_model": {}}')
    run = child.run(
        ["--spec", str(spec)],
        name="x",
        work=lambda text, *_: EvaluateSpec.model_validate_json(text).model_dump(),
    )
    assert run == child.FAILED
    assert "The spec cannot be used: limit: Input should be greater" in capsys.readouterr().out


def test_progress_is_told_at_most_every_two_seconds_and_at_the_end(
    capsys: pytest.CaptureFixture[str],
) -> None:
    now = iter([0.0, 1.0, 3.0, 3.0, 4.0, 5.0])
    told = child.Told(clock=lambda: next(now))
    told.stage("rate")
    for done in (1, 2):
        told.progress(done, 9, "responses")
    told.progress(9, 9, "responses")
    assert capsys.readouterr().err == "rate: 2 of 9 responses\nrate: 9 of 9 responses\n"
