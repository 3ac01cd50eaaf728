"""A run of rejection sampling with the tiny policy and two reward models that count characters."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from rewardmodel.core.backbone import PolicyRef
from rewardmodel.core.report import RunFailedError
from rewardmodel.core.scorer import Group
from training.core import rating, rejection
from training.core.events import read_events
from training.core.sample import draw
from training.core.spec import RunKind
from training.tests.jobs import KilledError, MortalJob, files_of, make_job, moments_to_die, write_lines

PARAMS: dict[str, Any] = {
    "samples_per_prompt": 2,
    "temperatures": [0.7, 1.3],
    "max_new_tokens": 6,
    "tokens_per_batch": 128,
}


class CountingScorer:
    """Helpfulness is the share of vowels; safety falls with every exclamation mark. Counts what it is given."""

    loaded: list[str] = []
    scored: dict[str, int] = {}

    def __init__(self, name: str) -> None:
        self.name = name
        self.loaded.append(name)

    def score(self, groups: Sequence[Group]) -> list[list[float]]:
        for _, texts in groups:
            self.scored[self.name] = self.scored.get(self.name, 0) + len(texts)
        return [[self._reward(text) for text in texts] for _, texts in groups]

    def _reward(self, text: str) -> float:
        if self.name == "safe":
            return 1.0 - 3.0 * text.count("!")
        return sum(letter in "aeiouAEIOU" for letter in text) - 0.01 * len(text)


@pytest.fixture(autouse=True)
def counting(monkeypatch: pytest.MonkeyPatch) -> None:
    CountingScorer.loaded, CountingScorer.scored = [], {}
    monkeypatch.setattr(
        "rewardmodel.core.scorer.load", lambda reference, *, device: CountingScorer(reference["name"])
    )
    monkeypatch.setattr(rating, "RESPONSES_PER_CHUNK", 8)  # two prompts


@pytest.fixture(autouse=True)
def no_collection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Freeing a real model's memory takes longer than all that the tiny one does."""
    monkeypatch.setattr("training.core.generate.release_memory", lambda: None)
    monkeypatch.setattr(rating, "release_memory", lambda: None)


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    return write_lines(tmp_path / "prompts.jsonl", [_prompt(number) for number in range(5)])


def _prompt(number: int) -> dict[str, Any]:
    return {
        "dialogue": f"d{number}",
        "messages": [{"role": "user", "content": f"Question {number}?" * (1 + number % 2)}],
        "focus": "safety" if number == 4 else "helpfulness",
    }


def _job(out: Path, tiny: PolicyRef, prompts: Path, dies_at: int | None = None, **params: Any) -> MortalJob:
    inputs = {
        "policy": tiny.to_json(),
        "prompts": str(prompts),
        "helpfulness": {"name": "kind", "path": "", "backbone": tiny.to_json()},
        "safety": {"name": "safe", "path": "", "backbone": tiny.to_json()},
    }
    return make_job(out, RunKind.REJECTION_SAMPLE, PARAMS | params, inputs, dies_at)


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().split("\n") if line]


def test_every_prompt_has_k_candidates_at_each_temperature_and_one_winner(
    tmp_path: Path, tiny: PolicyRef, prompts: Path
) -> None:
    job = _job(tmp_path / "run", tiny, prompts)
    rejection.run(job)
    candidates = _lines(job.output / "candidates.jsonl")
    assert [(c["dialogue"], c["index"], c["temperature"]) for c in candidates] == [
        (f"d{number}", index, temperature)
        for number in range(5)
        for index, temperature in enumerate([0.7, 0.7, 1.3, 1.3])
    ]
    assert set(candidates[0]) == {
        "dialogue", "index", "text", "temperature", "seed", "helpfulness", "safety", "score", "finish_reason",
    }  # fmt: skip
    assert [winner["dialogue"] for winner in _lines(job.output / "winners.jsonl")] == [
        "d0",
        "d1",
        "d2",
        "d3",
        "d4",
    ]


def test_the_winner_has_the_highest_combined_score_of_those_that_speak(
    tmp_path: Path, tiny: PolicyRef, prompts: Path
) -> None:
    job = _job(tmp_path / "run", tiny, prompts)
    rejection.run(job)
    candidates = _lines(job.output / "candidates.jsonl")
    for candidate in candidates:
        # Safety 1 without an exclamation mark, -2 and less with: sigmoid(-2) = 0.12 < 0.15.
        unsafe = "!" in candidate["text"] or candidate["dialogue"] == "d4"
        assert candidate["score"] == candidate["safety" if unsafe else "helpfulness"]
    for winner in _lines(job.output / "winners.jsonl"):
        own = [c for c in candidates if c["dialogue"] == winner["dialogue"] and c["text"].strip()]
        assert winner["score"] == max(c["score"] for c in own)
        assert winner["policy"] == "tiny"
        assert winner["messages"][-1]["role"] == "user"


def test_the_result_sums_up_the_files(tmp_path: Path, tiny: PolicyRef, prompts: Path) -> None:
    job = _job(tmp_path / "run", tiny, prompts)
    result = rejection.run(job)
    candidates, winners = (_lines(job.output / f"{name}.jsonl") for name in ("candidates", "winners"))
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
    whole = _job(tmp_path / "whole", tiny, prompts)
    result = rejection.run(whole)
    for dies_at in moments_to_die(whole.checks):
        killed = _job(tmp_path / f"killed-{dies_at}", tiny, prompts, dies_at)
        with pytest.raises(KilledError):
            rejection.run(killed)
        again = _job(tmp_path / f"killed-{dies_at}", tiny, prompts)
        assert rejection.run(again) == result
        assert files_of(again.output) == files_of(whole.output)


def test_what_was_scored_before_the_kill_is_not_scored_again(
    tmp_path: Path, tiny: PolicyRef, prompts: Path
) -> None:
    whole = _job(tmp_path / "whole", tiny, prompts)
    rejection.run(whole)
    once = dict(CountingScorer.scored)
    CountingScorer.loaded, CountingScorer.scored = [], {}
    # The last check follows the last of three chunks of safety scores: only the selection is left.
    with pytest.raises(KilledError):
        rejection.run(_job(tmp_path / "killed", tiny, prompts, whole.checks))
    assert CountingScorer.scored == once
    CountingScorer.loaded = []
    rejection.run(_job(tmp_path / "killed", tiny, prompts))
    assert CountingScorer.loaded == []


def test_a_sample_does_not_depend_on_the_other_prompts(
    tmp_path: Path, tiny: PolicyRef, prompts: Path
) -> None:
    job = _job(tmp_path / "run", tiny, prompts)
    rejection.run(job)
    alone = _job(tmp_path / "alone", tiny, write_lines(tmp_path / "one.jsonl", [_prompt(3)]))
    rejection.run(alone)
    assert _lines(alone.output / "candidates.jsonl") == _lines(job.output / "candidates.jsonl")[12:16]


def test_a_text_that_repeats_is_scored_once(
    tmp_path: Path, tiny: PolicyRef, prompts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _say(monkeypatch, {_prompt(number)["messages"][0]["content"]: "The same." for number in range(5)})
    job = _job(tmp_path / "run", tiny, prompts)
    rejection.run(job)
    assert CountingScorer.scored == {"kind": 5, "safe": 5}
    assert all(winner["score"] is not None for winner in _lines(job.output / "winners.jsonl"))


def test_greedy_is_drawn_once(tmp_path: Path, tiny: PolicyRef, prompts: Path) -> None:
    job = _job(tmp_path / "run", tiny, prompts, temperatures=[0.0, 1.0])
    rejection.run(job)
    own = [c for c in _lines(job.output / "candidates.jsonl") if c["dialogue"] == "d0"]
    assert [(c["index"], c["temperature"]) for c in own] == [(0, 0.0), (1, 1.0), (2, 1.0)]


def test_a_prompt_that_occurs_twice_is_used_once(tmp_path: Path, tiny: PolicyRef) -> None:
    path = write_lines(tmp_path / "prompts.jsonl", [_prompt(0), _prompt(1), _prompt(0)])
    job = _job(tmp_path / "run", tiny, path)
    assert rejection.run(job)["prompts"] == 2
    notes = [event for event in read_events(job.out / "events.jsonl")[0] if event.type == "note"]
    assert [event.data["text"] for event in notes] == ["1 prompts occur more than once and are used once."]


def _say(monkeypatch: pytest.MonkeyPatch, says: dict[str, str]) -> None:
    """Put words into the policy's mouth: the same ones for all samples of a dialogue."""

    def spoken(requests: Sequence[Any], *others: Any) -> list[dict[str, Any]]:
        rows = draw(requests, *others)
        for request, row in zip(requests, rows, strict=True):
            row["text"] = says.get(request.messages[-1]["content"], row["text"])
        return rows

    monkeypatch.setattr(rejection, "draw", spoken)


def test_a_prompt_whose_samples_are_all_empty_is_left_out_and_counted(
    tmp_path: Path, tiny: PolicyRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_lines(tmp_path / "prompts.jsonl", [_prompt(0), _prompt(2)])
    _say(monkeypatch, {"Question 0?": "  ", "Question 2?": "Aha"})
    job = _job(tmp_path / "run", tiny, path)
    result = rejection.run(job)
    assert (result["prompts"], result["samples"], result["left_out"]) == (2, 8, 1)
    assert [winner["text"] for winner in _lines(job.output / "winners.jsonl")] == ["Aha"]
    # Two vowels less three hundredths for the three letters.
    assert result["by_k"] == [[k, pytest.approx(1.97), pytest.approx(1.97)] for k in (1, 2, 3, 4)]


def test_a_policy_that_never_speaks_fails(
    tmp_path: Path, tiny: PolicyRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    _say(monkeypatch, {"Question 0?": ""})
    path = write_lines(tmp_path / "prompts.jsonl", [_prompt(0)])
    with pytest.raises(RunFailedError, match="every response is empty"):
        rejection.run(_job(tmp_path / "run", tiny, path))


def test_a_reward_that_is_no_number_fails(
    tmp_path: Path, tiny: PolicyRef, prompts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CountingScorer, "_reward", lambda self, text: float("nan"))
    with pytest.raises(RunFailedError, match="no number for dialogue d0"):
        rejection.run(_job(tmp_path / "run", tiny, prompts))


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
        rejection.run(_job(tmp_path / "run", tiny, write_lines(tmp_path / "prompts.jsonl", [])))


def test_a_sample_does_not_depend_on_the_other_temperatures(
    tmp_path: Path, tiny: PolicyRef, prompts: Path
) -> None:
    both, one = (
        _job(tmp_path / "both", tiny, prompts),
        _job(tmp_path / "one", tiny, prompts, temperatures=[1.3]),
    )
    rejection.run(both)
    rejection.run(one)
    texts = [c["text"] for c in _lines(both.output / "candidates.jsonl") if c["temperature"] == 1.3]
    assert texts == [c["text"] for c in _lines(one.output / "candidates.jsonl")]


def test_the_figures_say_what_the_result_says_and_are_drawn(
    tmp_path: Path, tiny: PolicyRef, prompts: Path
) -> None:
    job = _job(tmp_path / "run", tiny, prompts)
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
    path = write_lines(tmp_path / "prompts.jsonl", [_prompt(0), _prompt(2)])
    _say(monkeypatch, {"Question 0?": "", "Question 2?": "Aha"})
    result = rejection.run(_job(tmp_path / "run", tiny, path))
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
    _say(
        monkeypatch,
        {_prompt(number)["messages"][0]["content"]: "I cannot help with that." for number in range(5)},
    )
    job = _job(tmp_path / "run", tiny, prompts, most_alike=most)
    assert rejection.run(job)["alike"] == {"repeated": 4, "dropped": dropped}
    winners = _lines(job.output / "winners.jsonl")
    assert len(winners) == kept
    # The safety prompt's score is 1, that of the others six vowels less 0.24: they are the better ones.
    assert [winner["dialogue"] for winner in winners] == [f"d{number}" for number in range(kept)]


def _earlier(tmp_path: Path, name: str, iteration: int, says: dict[str, tuple[str, float]]) -> dict[str, Any]:
    """A round's winners: text and score by dialogue."""
    rows = [
        {**_prompt(int(dialogue[1:])), "text": text, "score": score, "finish_reason": "stop", "policy": name}
        for dialogue, (text, score) in says.items()
    ]
    return {"file": str(write_lines(tmp_path / f"{name}.jsonl", rows)), "from": name, "iteration": iteration}


def _with_bank(job: MortalJob, *rounds: dict[str, Any]) -> MortalJob:
    job.file.inputs.update(bank=list(rounds), round={"from": "third", "iteration": 3})
    return job


def test_the_bank_keeps_the_best_of_all_rounds_by_the_new_rewards(
    tmp_path: Path, tiny: PolicyRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_lines(tmp_path / "prompts.jsonl", [_prompt(0), _prompt(1)])
    _say(monkeypatch, {"Question 0?": "aaa", "Question 1?Question 1?": "b"})
    # Old scores are of other models: they would keep "x" and "e".
    first = _earlier(tmp_path, "first", 1, {"d0": ("x", 99.0), "d1": ("eeee", 0.0), "d3": ("o", 1.0)})
    second = _earlier(tmp_path, "second", 2, {"d0": ("ooooo", 1.0), "d1": ("e", 5.0)})
    job = _with_bank(_job(tmp_path / "run", tiny, path), first, second)
    result = rejection.run(job)
    rows = {row["dialogue"]: row for row in _lines(job.output / "bank.jsonl")}
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
    assert [winner["text"] for winner in _lines(job.output / "winners.jsonl")] == ["aaa", "b"]


def test_without_the_bank_no_earlier_winner_is_read(tmp_path: Path, tiny: PolicyRef, prompts: Path) -> None:
    job = _with_bank(_job(tmp_path / "run", tiny, prompts, bank=False), {"file": "/nowhere"})
    result = rejection.run(job)
    assert "bank" not in result
    assert not (job.output / "bank.jsonl").exists()


def test_a_bank_of_one_round_is_its_winners(tmp_path: Path, tiny: PolicyRef, prompts: Path) -> None:
    job = _job(tmp_path / "run", tiny, prompts)
    result = rejection.run(job)
    texts = [[row["text"] for row in _lines(job.output / f"{name}.jsonl")] for name in ("bank", "winners")]
    assert texts[0] == texts[1]
    assert result["bank"]["mean_score"] == result["best_score"]
    assert result["bank"]["changed"] == 0


def test_a_winner_of_an_earlier_round_that_lacks_a_field_is_named(
    tmp_path: Path, tiny: PolicyRef, prompts: Path
) -> None:
    broken = write_lines(tmp_path / "broken.jsonl", [{"dialogue": "d0"}])
    job = _job(tmp_path / "run", tiny, prompts)
    with pytest.raises(RunFailedError, match=r"broken.jsonl, line 1 lacks finish_reason, focus, messages"):
        rejection.run(_with_bank(job, {"file": str(broken), "from": "first", "iteration": 1}))


def test_a_run_with_a_bank_killed_anywhere_ends_like_an_undisturbed_one(
    tmp_path: Path, tiny: PolicyRef, prompts: Path
) -> None:
    first = _earlier(tmp_path, "first", 1, {f"d{number}": ("eio" * number + "!", 1.0) for number in range(5)})
    whole = _with_bank(_job(tmp_path / "whole", tiny, prompts), first)
    result = rejection.run(whole)
    for dies_at in moments_to_die(whole.checks):
        killed = _with_bank(_job(tmp_path / f"killed-{dies_at}", tiny, prompts, dies_at), first)
        with pytest.raises(KilledError):
            rejection.run(killed)
        again = _with_bank(_job(tmp_path / f"killed-{dies_at}", tiny, prompts), first)
        assert rejection.run(again) == result
        assert files_of(again.output) == files_of(whole.output)
