"""A run that scores pairs, with two reward models that count characters and with two that were trained."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from annotation.core.grades import Focus
from rewardmodel.core import scorer
from rewardmodel.core.backbone import PolicyRef
from rewardmodel.core.report import RunFailedError
from rewardmodel.core.scorer import Group
from training.core import score
from training.core.events import read_events
from training.core.spec import RunKind
from training.tests.jobs import KilledError, MortalJob, files_of, make_job, moments_to_die, write_lines

BOTH = (Focus.HELPFULNESS, Focus.SAFETY)


class CountingScorer:
    """Helpfulness is the length; safety falls with every exclamation mark. Counts what it is given."""

    loaded: list[str] = []
    budgets: list[int] = []
    scored: dict[str, int] = {}

    def __init__(self, name: str, tokens_per_batch: int) -> None:
        self.name = name
        self.loaded.append(name)
        self.budgets.append(tokens_per_batch)

    def score(self, groups: Sequence[Group]) -> list[list[float]]:
        self.scored[self.name] = self.scored.get(self.name, 0) + sum(len(texts) for _, texts in groups)
        return [[self._reward(text) for text in texts] for _, texts in groups]

    def _reward(self, text: str) -> float:
        return -1.0 * text.count("!") if self.name == "safe" else 0.5 * len(text)


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> type[CountingScorer]:
    CountingScorer.loaded, CountingScorer.budgets, CountingScorer.scored = [], [], {}

    def load(reference: dict[str, Any], *, device: str, tokens_per_batch: int) -> CountingScorer:
        return CountingScorer(reference["name"], tokens_per_batch)

    monkeypatch.setattr("rewardmodel.core.scorer.load", load)
    return CountingScorer


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of two pairs; and freeing a real model's memory takes longer than all that the tiny one does."""
    monkeypatch.setattr(score, "PAIRS_PER_CHUNK", 2)
    monkeypatch.setattr(score, "release_memory", lambda: None)


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """Five pairs, the last of safety. The model of helpfulness prefers A of the last two; that of safety B."""
    texts = [("ab", "abcd"), ("ab", "ab"), ("a", "abc"), ("abc!", "ab"), ("abcde!", "ab")]
    return write_lines(tmp_path / "pairs.jsonl", [_pair(n, a, b) for n, (a, b) in enumerate(texts)])


def _pair(number: int, a: str, b: str) -> dict[str, Any]:
    return {
        "comparison": f"c{number}",
        "focus": "safety" if number == 4 else "helpfulness",
        "messages": [{"role": "user", "content": f"Question {number}?"}],
        "a": a,
        "b": b,
    }


def _job(
    out: Path, pairs: Path, focuses: Sequence[Focus] = BOTH, dies_at: int | None = None, **params: Any
) -> MortalJob:
    names = {Focus.HELPFULNESS: "helpful", Focus.SAFETY: "safe"}
    inputs = {"pairs": str(pairs), **{str(focus): {"name": names[focus]} for focus in focuses}}
    return make_job(out, RunKind.SCORE_PAIRS, params, inputs, dies_at)


def _scores(job: MortalJob) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (job.output / "scores.jsonl").read_text().splitlines()]


def test_each_model_scores_both_responses_of_every_pair_in_order(
    tmp_path: Path, counting: type[CountingScorer], pairs: Path
) -> None:
    job = _job(tmp_path / "run", pairs)
    score.run(job)
    assert [(row["model"], row["comparison"], row["a"], row["b"]) for row in _scores(job)] == [
        ("helpfulness", "c0", 1.0, 2.0),
        ("helpfulness", "c1", 1.0, 1.0),
        ("helpfulness", "c2", 0.5, 1.5),
        ("helpfulness", "c3", 2.0, 1.0),
        ("helpfulness", "c4", 3.0, 1.0),
        ("safety", "c0", 0.0, 0.0),
        ("safety", "c1", 0.0, 0.0),
        ("safety", "c2", 0.0, 0.0),
        ("safety", "c3", -1.0, 0.0),
        ("safety", "c4", -1.0, 0.0),
    ]
    assert set(_scores(job)[0]) == {"comparison", "model", "a", "b"}
    assert (counting.loaded, counting.scored) == (["helpful", "safe"], {"helpful": 10, "safe": 10})


def test_the_result_sums_up_what_the_models_doubt(
    tmp_path: Path, counting: type[CountingScorer], pairs: Path
) -> None:
    # tanh(1/2) is 0.4621: the helpfulness pairs are 1, 0, 1 and 1 apart by their model, the safety pair 1 by its own.
    assert score.run(_job(tmp_path / "run", pairs)) == {
        "pairs": 5,
        "at_odds": 2,
        "mean_doubt": {
            "helpfulness": pytest.approx(1 - 3 * 0.462117 / 4, abs=1e-6),
            "safety": pytest.approx(1 - 0.462117, abs=1e-6),
        },
    }


def test_one_model_alone_is_at_odds_with_nobody(
    tmp_path: Path, counting: type[CountingScorer], pairs: Path
) -> None:
    result = score.run(_job(tmp_path / "run", pairs, [Focus.SAFETY]))
    assert (result["pairs"], result["at_odds"], list(result["mean_doubt"])) == (5, 0, ["safety"])
    assert counting.loaded == ["safe"]


def test_the_budget_of_a_pass_is_the_researchers(
    tmp_path: Path, counting: type[CountingScorer], pairs: Path
) -> None:
    score.run(_job(tmp_path / "run", pairs, tokens_per_batch=256))
    assert counting.budgets == [256, 256]


def test_a_run_killed_anywhere_ends_like_an_undisturbed_one(
    tmp_path: Path, counting: type[CountingScorer], pairs: Path
) -> None:
    whole = _job(tmp_path / "whole", pairs)
    result = score.run(whole)
    for dies_at in moments_to_die(whole.checks):
        killed = _job(tmp_path / f"killed-{dies_at}", pairs, dies_at=dies_at)
        with pytest.raises(KilledError):
            score.run(killed)
        again = _job(tmp_path / f"killed-{dies_at}", pairs)
        assert score.run(again) == result
        assert files_of(again.output) == files_of(whole.output)


def test_what_was_scored_before_the_kill_is_not_scored_again(
    tmp_path: Path, counting: type[CountingScorer], pairs: Path
) -> None:
    with pytest.raises(KilledError):
        score.run(_job(tmp_path / "run", pairs, dies_at=4))  # three chunks of one model, one of the other
    counting.loaded, counting.scored = [], {}
    score.run(_job(tmp_path / "run", pairs))
    assert (counting.loaded, counting.scored) == (["safe"], {"safe": 6})


def test_progress_and_speed_are_told(tmp_path: Path, counting: type[CountingScorer], pairs: Path) -> None:
    job = _job(tmp_path / "run", pairs)
    score.run(job)
    job.finish({})
    events = read_events(job.out / "events.jsonl")[0]
    assert [event.data["name"] for event in events if event.type == "stage"] == [
        "score helpfulness",
        "score safety",
    ]
    last = [event.data for event in events if event.type == "progress"][-1]
    assert last == {"done": 5, "total": 5, "unit": "pairs"}
    speeds = [event.data for event in events if event.type == "metric"]
    assert all(speed["name"] == "pairs_per_second" and speed["value"] > 0 for speed in speeds)


@pytest.mark.parametrize("text", ["a\u2028b", "a\u0085b", "näher"])
def test_a_pair_is_read_whole_whatever_its_text_holds(
    tmp_path: Path, counting: type[CountingScorer], text: str
) -> None:
    path = write_lines(tmp_path / "pairs.jsonl", [_pair(0, text, "x"), _pair(1, text, "xy")])
    job = _job(tmp_path / "run", path, [Focus.HELPFULNESS])
    score.run(job)
    assert [row["a"] for row in _scores(job)] == [0.5 * len(text)] * 2


def test_a_reward_that_is_no_number_fails(
    tmp_path: Path, counting: type[CountingScorer], pairs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "_reward", lambda self, text: float("nan"))
    with pytest.raises(RunFailedError, match="no number for comparison c0"):
        score.run(_job(tmp_path / "run", pairs))


def test_no_pairs_are_refused(tmp_path: Path, counting: type[CountingScorer]) -> None:
    with pytest.raises(RunFailedError, match="nothing to score"):
        score.run(_job(tmp_path / "run", write_lines(tmp_path / "pairs.jsonl", [])))


def test_no_model_is_refused(tmp_path: Path, counting: type[CountingScorer], pairs: Path) -> None:
    with pytest.raises(RunFailedError, match="no reward model"):
        score.run(_job(tmp_path / "run", pairs, []))


def test_a_pair_without_its_second_response_is_refused(
    tmp_path: Path, counting: type[CountingScorer]
) -> None:
    half = {name: value for name, value in _pair(0, "a", "b").items() if name != "b"}
    with pytest.raises(RunFailedError, match="pair 1 lacks b"):
        score.run(_job(tmp_path / "run", write_lines(tmp_path / "pairs.jsonl", [half])))


def test_a_trained_model_says_of_a_pair_what_it_says_of_the_responses_alone(
    tmp_path: Path, tiny: PolicyRef, reward_models: dict[Focus, Path]
) -> None:
    path = write_lines(
        tmp_path / "pairs.jsonl", [_pair(n, "Gladly, here it is.", f"No, {n}.") for n in range(4)]
    )
    references = {
        str(focus): {"name": focus, "path": str(place), "backbone": tiny.to_json()}
        for focus, place in reward_models.items()
    }
    job = make_job(tmp_path / "run", RunKind.SCORE_PAIRS, {}, {"pairs": str(path), **references})
    score.run(job)
    for focus, reference in references.items():
        model = scorer.load(reference, device="cpu")
        own = [row for row in _scores(job) if row["model"] == focus]
        for number, row in enumerate(own):
            messages = _pair(number, "", "")["messages"]
            ((a,), (b,)) = model.score([(messages, ["Gladly, here it is."]), (messages, [f"No, {number}."])])
            assert (row["a"], row["b"]) == pytest.approx(
                (a, b), abs=3e-5
            )  # a fitted head magnifies the rounding
            assert a > b
