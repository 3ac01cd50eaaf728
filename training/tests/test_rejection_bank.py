"""The bank: winners of all rounds, scored by the newest reward models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rewardmodel.core.backbone import PolicyRef
from rewardmodel.core.report import RunFailedError
from training.core import rejection
from training.tests.counted import (
    count_characters,
    five_prompts,
    job_of,
    lines_of,
    prompt,
    say,
)
from training.tests.jobs import KilledError, MortalJob, files_of, moments_to_die, write_lines


@pytest.fixture(autouse=True)
def counting(monkeypatch: pytest.MonkeyPatch) -> None:
    count_characters(monkeypatch)


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    return five_prompts(tmp_path)


def _earlier(tmp_path: Path, name: str, iteration: int, says: dict[str, tuple[str, float]]) -> dict[str, Any]:
    """A round's winners: text and score by dialogue."""
    rows = [
        {**prompt(int(dialogue[1:])), "text": text, "score": score, "finish_reason": "stop", "policy": name}
        for dialogue, (text, score) in says.items()
    ]
    return {"file": str(write_lines(tmp_path / f"{name}.jsonl", rows)), "from": name, "iteration": iteration}


def _with_bank(job: MortalJob, *rounds: dict[str, Any]) -> MortalJob:
    job.file.inputs.update(bank=list(rounds), round={"from": "third", "iteration": 3})
    return job


def test_the_bank_keeps_the_best_of_all_rounds_by_the_new_rewards(
    tmp_path: Path, tiny: PolicyRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_lines(tmp_path / "prompts.jsonl", [prompt(0), prompt(1)])
    say(monkeypatch, {"Question 0?": "aaa", "Question 1?Question 1?": "b"})
    # Old scores are of other models: they would keep "x" and "e".
    first = _earlier(tmp_path, "first", 1, {"d0": ("x", 99.0), "d1": ("eeee", 0.0), "d3": ("o", 1.0)})
    second = _earlier(tmp_path, "second", 2, {"d0": ("ooooo", 1.0), "d1": ("e", 5.0)})
    job = _with_bank(job_of(tmp_path / "run", tiny, path), first, second)
    result = rejection.run(job)
    rows = {row["dialogue"]: row for row in lines_of(job.output / "bank.jsonl")}
    assert [(d, rows[d]["text"], rows[d]["from"], rows[d]["iteration"]) for d in sorted(rows)] == [
        ("d0", "ooooo", "second", 2),
        ("d1", "eeee", "first", 1),
        ("d3", "o", "first", 1),
    ]
    # Five vowels less five hundredths; the round's own models gave 1.
    assert (rows["d0"]["score"], rows["d0"]["old_score"]) == (pytest.approx(4.95), 1.0)
    assert set(rows["d0"]) == {
        "dialogue", "messages", "text", "finish_reason", "policy", "focus", "score", "old_score", "from", "iteration",
    }  # fmt: skip
    assert result["bank"]["changed"] == 2
    assert [(o["from"], o["winners"], o["kept"]) for o in result["bank"]["rounds"]] == [
        ("first", 3, 2),
        ("second", 2, 1),
        ("third", 2, 0),
    ]
    assert [winner["text"] for winner in lines_of(job.output / "winners.jsonl")] == ["aaa", "b"]


def test_without_the_bank_no_earlier_winner_is_read(tmp_path: Path, tiny: PolicyRef, prompts: Path) -> None:
    job = _with_bank(job_of(tmp_path / "run", tiny, prompts, bank=False), {"file": "/nowhere"})
    result = rejection.run(job)
    assert "bank" not in result
    assert not (job.output / "bank.jsonl").exists()


def test_a_bank_of_one_round_is_its_winners(tmp_path: Path, tiny: PolicyRef, prompts: Path) -> None:
    job = job_of(tmp_path / "run", tiny, prompts)
    result = rejection.run(job)
    texts = [[row["text"] for row in lines_of(job.output / f"{name}.jsonl")] for name in ("bank", "winners")]
    assert texts[0] == texts[1]
    assert result["bank"]["mean_score"] == result["best_score"]
    assert result["bank"]["changed"] == 0


def test_a_winner_of_an_earlier_round_that_lacks_a_field_is_named(
    tmp_path: Path, tiny: PolicyRef, prompts: Path
) -> None:
    broken = write_lines(tmp_path / "broken.jsonl", [{"dialogue": "d0"}])
    job = job_of(tmp_path / "run", tiny, prompts)
    with pytest.raises(RunFailedError, match=r"broken.jsonl, line 1 lacks finish_reason, focus, messages"):
        rejection.run(_with_bank(job, {"file": str(broken), "from": "first", "iteration": 1}))


def test_a_run_with_a_bank_killed_anywhere_ends_like_an_undisturbed_one(
    tmp_path: Path, tiny: PolicyRef, prompts: Path
) -> None:
    first = _earlier(tmp_path, "first", 1, {f"d{number}": ("eio" * number + "!", 1.0) for number in range(5)})
    whole = _with_bank(job_of(tmp_path / "whole", tiny, prompts), first)
    result = rejection.run(whole)
    for dies_at in moments_to_die(whole.checks):
        killed = _with_bank(job_of(tmp_path / f"killed-{dies_at}", tiny, prompts, dies_at), first)
        with pytest.raises(KilledError):
            rejection.run(killed)
        again = _with_bank(job_of(tmp_path / f"killed-{dies_at}", tiny, prompts), first)
        assert rejection.run(again) == result
        assert files_of(again.output) == files_of(whole.output)
