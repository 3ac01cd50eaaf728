"""A run of rejection sampling with the tiny policy and two reward models that count characters."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rewardmodel.core.backbone import PolicyRef
from rewardmodel.core.report import RunFailedError
from training.core import rejection
from training.core.events import read_events
from training.tests.counted import (
    CountingScorer,
    count_characters,
    five_prompts,
    job_of,
    lines_of,
    prompt,
    say,
)
from training.tests.jobs import KilledError, files_of, moments_to_die, write_lines


@pytest.fixture(autouse=True)
def counting(monkeypatch: pytest.MonkeyPatch) -> None:
    count_characters(monkeypatch)


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    return five_prompts(tmp_path)


def test_every_prompt_has_k_candidates_at_each_temperature_and_one_winner(
    tmp_path: Path, tiny: PolicyRef, prompts: Path
) -> None:
    job = job_of(tmp_path / "run", tiny, prompts)
    rejection.run(job)
    candidates = lines_of(job.output / "candidates.jsonl")
    assert [(c["dialogue"], c["index"], c["temperature"]) for c in candidates] == [
        (f"d{number}", index, temperature)
        for number in range(5)
        for index, temperature in enumerate([0.7, 0.7, 1.3, 1.3])
    ]
    assert set(candidates[0]) == {
        "dialogue", "index", "text", "temperature", "seed", "helpfulness", "safety", "score", "finish_reason",
    }  # fmt: skip
    assert [winner["dialogue"] for winner in lines_of(job.output / "winners.jsonl")] == [
        "d0",
        "d1",
        "d2",
        "d3",
        "d4",
    ]


def test_the_winner_has_the_highest_combined_score_of_those_that_speak(
    tmp_path: Path, tiny: PolicyRef, prompts: Path
) -> None:
    job = job_of(tmp_path / "run", tiny, prompts)
    rejection.run(job)
    candidates = lines_of(job.output / "candidates.jsonl")
    for candidate in candidates:
        # Safety 1 without an exclamation mark, -2 and less with: sigmoid(-2) = 0.12 < 0.15.
        unsafe = "!" in candidate["text"] or candidate["dialogue"] == "d4"
        assert candidate["score"] == candidate["safety" if unsafe else "helpfulness"]
    for winner in lines_of(job.output / "winners.jsonl"):
        own = [c for c in candidates if c["dialogue"] == winner["dialogue"] and c["text"].strip()]
        assert winner["score"] == max(c["score"] for c in own)
        assert winner["policy"] == "tiny"
        assert winner["messages"][-1]["role"] == "user"


def test_the_result_sums_up_the_files(tmp_path: Path, tiny: PolicyRef, prompts: Path) -> None:
    job = job_of(tmp_path / "run", tiny, prompts)
    result = rejection.run(job)
    candidates, winners = (lines_of(job.output / f"{name}.jsonl") for name in ("candidates", "winners"))
    assert (result["prompts"], result["samples"], result["left_out"]) == (5, 20, 0)
    assert result["mean_safety"] == pytest.approx(sum(c["safety"] for c in candidates) / 20)
    assert result["mean_helpfulness"] == pytest.approx(sum(c["helpfulness"] for c in candidates) / 20)
    assert result["mean_score"] == pytest.approx(sum(c["score"] for c in candidates) / 20)
    assert result["best_score"] == pytest.approx(sum(w["score"] for w in winners) / 5)
    assert [point[0] for point in result["by_k"]] == [1, 2, 3, 4]
    assert result["by_k"][-1][1] == result["best_score"]


def test_a_run_killed_anywhere_ends_like_an_undisturbed_one(
    tmp_path: Path, tiny: PolicyRef, prompts: Path
) -> None:
    whole = job_of(tmp_path / "whole", tiny, prompts)
    result = rejection.run(whole)
    for dies_at in moments_to_die(whole.checks):
        killed = job_of(tmp_path / f"killed-{dies_at}", tiny, prompts, dies_at)
        with pytest.raises(KilledError):
            rejection.run(killed)
        again = job_of(tmp_path / f"killed-{dies_at}", tiny, prompts)
        assert rejection.run(again) == result
        assert files_of(again.output) == files_of(whole.output)


def test_what_was_scored_before_the_kill_is_not_scored_again(
    tmp_path: Path, tiny: PolicyRef, prompts: Path
) -> None:
    whole = job_of(tmp_path / "whole", tiny, prompts)
    rejection.run(whole)
    once = dict(CountingScorer.scored)
    CountingScorer.loaded, CountingScorer.scored = [], {}
    # The last check follows the last of three chunks of safety scores: only the selection is left.
    with pytest.raises(KilledError):
        rejection.run(job_of(tmp_path / "killed", tiny, prompts, whole.checks))
    assert CountingScorer.scored == once
    CountingScorer.loaded = []
    rejection.run(job_of(tmp_path / "killed", tiny, prompts))
    assert CountingScorer.loaded == []


def test_a_sample_does_not_depend_on_the_other_prompts(
    tmp_path: Path, tiny: PolicyRef, prompts: Path
) -> None:
    job = job_of(tmp_path / "run", tiny, prompts)
    rejection.run(job)
    alone = job_of(tmp_path / "alone", tiny, write_lines(tmp_path / "one.jsonl", [prompt(3)]))
    rejection.run(alone)
    assert lines_of(alone.output / "candidates.jsonl") == lines_of(job.output / "candidates.jsonl")[12:16]


def test_a_text_that_repeats_is_scored_once(
    tmp_path: Path, tiny: PolicyRef, prompts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    say(monkeypatch, {prompt(number)["messages"][0]["content"]: "The same." for number in range(5)})
    job = job_of(tmp_path / "run", tiny, prompts)
    rejection.run(job)
    assert CountingScorer.scored == {"kind": 5, "safe": 5}
    assert all(winner["score"] is not None for winner in lines_of(job.output / "winners.jsonl"))


def test_greedy_is_drawn_once(tmp_path: Path, tiny: PolicyRef, prompts: Path) -> None:
    job = job_of(tmp_path / "run", tiny, prompts, temperatures=[0.0, 1.0])
    rejection.run(job)
    own = [c for c in lines_of(job.output / "candidates.jsonl") if c["dialogue"] == "d0"]
    assert [(c["index"], c["temperature"]) for c in own] == [(0, 0.0), (1, 1.0), (2, 1.0)]


def test_a_prompt_that_occurs_twice_is_used_once(tmp_path: Path, tiny: PolicyRef) -> None:
    path = write_lines(tmp_path / "prompts.jsonl", [prompt(0), prompt(1), prompt(0)])
    job = job_of(tmp_path / "run", tiny, path)
    assert rejection.run(job)["prompts"] == 2
    notes = [event for event in read_events(job.out / "events.jsonl")[0] if event.type == "note"]
    assert [event.data["text"] for event in notes] == ["1 prompts occur more than once and are used once."]


def test_a_prompt_whose_samples_are_all_empty_is_left_out_and_counted(
    tmp_path: Path, tiny: PolicyRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_lines(tmp_path / "prompts.jsonl", [prompt(0), prompt(2)])
    say(monkeypatch, {"Question 0?": "  ", "Question 2?": "Aha"})
    job = job_of(tmp_path / "run", tiny, path)
    result = rejection.run(job)
    assert (result["prompts"], result["samples"], result["left_out"]) == (2, 8, 1)
    assert [winner["text"] for winner in lines_of(job.output / "winners.jsonl")] == ["Aha"]
    # Two vowels less three hundredths for the three letters.
    assert result["by_k"] == [[k, pytest.approx(1.97), pytest.approx(1.97)] for k in (1, 2, 3, 4)]


def test_a_policy_that_never_speaks_fails(
    tmp_path: Path, tiny: PolicyRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    say(monkeypatch, {"Question 0?": ""})
    path = write_lines(tmp_path / "prompts.jsonl", [prompt(0)])
    with pytest.raises(RunFailedError, match="every response is empty"):
        rejection.run(job_of(tmp_path / "run", tiny, path))


def test_a_reward_that_is_no_number_fails(
    tmp_path: Path, tiny: PolicyRef, prompts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CountingScorer, "_reward", lambda self, text: float("nan"))
    with pytest.raises(RunFailedError, match="no number for dialogue d0"):
        rejection.run(job_of(tmp_path / "run", tiny, prompts))


def test_a_sample_seed_fits_a_signed_32_bit_column_and_varies() -> None:
    seeds = {
        rejection.sample_seed(1, f"d{number}", temperature, index)
        for number in range(50)
        for temperature in (0.7, 1.0)
        for index in range(4)
    }
    assert len(seeds) == 400
    assert max(seeds) < 2**31


def test_no_prompts_are_refused(tmp_path: Path, tiny: PolicyRef) -> None:
    with pytest.raises(RunFailedError, match="empty"):
        rejection.run(job_of(tmp_path / "run", tiny, write_lines(tmp_path / "prompts.jsonl", [])))


def test_a_sample_does_not_depend_on_the_other_temperatures(
    tmp_path: Path, tiny: PolicyRef, prompts: Path
) -> None:
    both, one = (
        job_of(tmp_path / "both", tiny, prompts),
        job_of(tmp_path / "one", tiny, prompts, temperatures=[1.3]),
    )
    rejection.run(both)
    rejection.run(one)
    texts = [c["text"] for c in lines_of(both.output / "candidates.jsonl") if c["temperature"] == 1.3]
    assert texts == [c["text"] for c in lines_of(one.output / "candidates.jsonl")]


def test_the_figures_say_what_the_result_says_and_are_drawn(
    tmp_path: Path, tiny: PolicyRef, prompts: Path
) -> None:
    job = job_of(tmp_path / "run", tiny, prompts)
    result = rejection.run(job)
    figures = json.loads((job.output / "figures.json").read_text())
    assert figures["over_all"]["points"] == result["by_k"]
    assert [one["points"] for one in figures["temperatures"]] == [
        one["by_k"] for one in result["by_temperature"]
    ]
    assert [one["temperature"] for one in result["by_temperature"]] == [0.7, 1.3]
    assert result["best_temperature"]["best"] == max(one["best"] for one in result["by_temperature"])
    for name in ("best_of_k", "best_of_temperature"):
        assert "</svg>" in (job.output / f"{name}.svg").read_text()


def test_empty_samples_are_on_no_curve_and_counted(
    tmp_path: Path, tiny: PolicyRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_lines(tmp_path / "prompts.jsonl", [prompt(0), prompt(2)])
    say(monkeypatch, {"Question 0?": "", "Question 2?": "Aha"})
    result = rejection.run(job_of(tmp_path / "run", tiny, path))
    found = [(o["samples"], o["empty"], o["distinct"]) for o in result["by_temperature"]]
    # Of four samples at each temperature two are empty; the others say one thing, the silent prompt says nothing.
    assert found == [(4, 2, 0.5), (4, 2, 0.5)]
    assert result["best_temperature"]["prompts"] == 1


@pytest.mark.parametrize(("most", "kept", "dropped"), [(0, 5, 0), (1, 1, 4), (2, 2, 3)])
def test_winners_that_read_alike_are_counted_and_thinned_if_asked(
    tmp_path: Path,
    tiny: PolicyRef,
    prompts: Path,
    monkeypatch: pytest.MonkeyPatch,
    most: int,
    kept: int,
    dropped: int,
) -> None:
    say(
        monkeypatch,
        {prompt(number)["messages"][0]["content"]: "I cannot help with that." for number in range(5)},
    )
    job = job_of(tmp_path / "run", tiny, prompts, most_alike=most)
    assert rejection.run(job)["alike"] == {"repeated": 4, "dropped": dropped}
    winners = lines_of(job.output / "winners.jsonl")
    assert len(winners) == kept
    # The safety prompt's score is 1, that of the others six vowels less 0.24: they are the better ones.
    assert [winner["dialogue"] for winner in winners] == [f"d{number}" for number in range(kept)]
