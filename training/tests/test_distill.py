"""The run of context distillation: what is sampled behind which pre-prompt, and what is kept."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from annotation.core.categories import RiskCategory
from rewardmodel.core.backbone import PolicyRef
from rewardmodel.core.report import RunFailedError
from rewardmodel.core.scorer import Group
from training.core import distill
from training.core.chunks import read_lines
from training.core.preprompts import BY_CATEGORY, GENERIC, choose_preprompts
from training.core.spec import RunKind
from training.core.targets import read_targets
from training.tests.jobs import KilledError, MortalJob, files_of
from training.tests.spoken import dialogue_job, prompt, speak

TEXTS = {one.text: one.name for one in (*GENERIC, *(p for own in BY_CATEGORY.values() for p in own))}


class KindScorer:
    """The reward of an answer is the number it ends with, or else as good as random. Keeps what it was given."""

    groups: list[Group] = []
    loaded = 0

    def score(self, groups: Sequence[Group]) -> list[list[float]]:
        self.groups.extend(groups)
        return [[self._reward(text) for text in texts] for _, texts in groups]

    def _reward(self, text: str) -> float:
        number = text.rpartition(" ")[2]
        if number.lstrip("-").isdigit():
            return float(number)
        return float(sum(map(ord, text)) % 97)


@pytest.fixture(autouse=True)
def scorer(monkeypatch: pytest.MonkeyPatch) -> None:
    KindScorer.groups, KindScorer.loaded = [], 0

    def load(reference: Any, *, device: str) -> KindScorer:
        KindScorer.loaded += 1
        return KindScorer()

    monkeypatch.setattr("rewardmodel.core.scorer.load", load)
    monkeypatch.setattr(distill, "PROMPTS_PER_CHUNK", 2)
    monkeypatch.setattr(distill, "release_memory", lambda: None)  # it takes longer than all that is tested
    monkeypatch.setattr("training.core.generate.release_memory", lambda: None)


CATEGORIES = ("illicit", "hateful", "unqualified_advice", "", "illicit")


def _job(
    out: Path,
    policy: PolicyRef,
    dies_at: int | None = None,
    categories: Sequence[str] = CATEGORIES,
    **params: Any,
) -> MortalJob:
    prompts = [prompt(number, "safety", category=risk) for number, risk in enumerate(categories)]
    return dialogue_job(out, RunKind.DISTILL, policy, prompts, dies_at, **params)


def _behind(request: Any) -> str:
    """The name of the pre-prompt that a request has; empty: none."""
    return TEXTS.get(request.messages[0]["content"].partition("\n")[0], "")


def test_each_prompt_is_answered_without_a_pre_prompt_and_behind_several(
    tmp_path: Path, tiny: PolicyRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = speak(
        monkeypatch, lambda request: f"{_behind(request) or 'plain'} 1" + "0" * bool(_behind(request))
    )
    job = _job(tmp_path / "run", tiny, preprompts_per_prompt=3)
    distill.run(job)
    assert [_behind(request) for request in policy.asked[:8:4]] == ["", ""]
    # d0 is about crime: its own pre-prompt, a generic one, its other own.
    first = [_behind(request).rstrip(" 1234") for request in policy.asked[:4]]
    assert first == ["", "illicit", "generic", "illicit"]
    # d3 has no category.
    assert [_behind(request).rstrip(" 1234") for request in policy.asked[12:16]] == ["", *["generic"] * 3]
    assert len(policy.asked) == 20
    assert all(request.messages[-1]["content"].startswith("Question") for request in policy.asked)


def test_the_pre_prompt_can_stand_in_the_first_turn(
    tmp_path: Path, tiny: PolicyRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = speak(monkeypatch, lambda request: f"said {len(request.messages[0]['content'])}")
    distill.run(_job(tmp_path / "run", tiny, place="first_turn"))
    assert {len(request.messages) for request in policy.asked} == {1}
    assert policy.asked[1].messages[0]["content"].endswith("\nQuestion 0?")
    assert _behind(policy.asked[1])


def test_a_kept_answer_scores_above_the_original_and_is_learnt_without_its_pre_prompt(
    tmp_path: Path, tiny: PolicyRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The generic ones gain 2, the own ones lose 1; without a category both are generic.
    def says(request: Any) -> str:
        name = _behind(request)
        return "so 5" if not name else "so 7" if name.startswith("generic") else "so 4"

    speak(monkeypatch, says)
    job = _job(tmp_path / "run", tiny)
    result = distill.run(job)
    targets = read_lines(job.output / "targets.jsonl")
    assert [(target["score"], target["original_score"]) for target in targets] == [(7.0, 5.0)] * 5
    assert all(target["preprompt"].startswith("generic") for target in targets)
    assert [target["messages"] for target in targets] == [
        [{"role": "user", "content": f"Question {number}?"}] for number in range(5)
    ]
    assert (result["mean_gain"], result["least_gain"]) == (2.0, 2.0)
    assert len(read_targets(job.output / "targets.jsonl")) == 5


def test_the_reward_model_reads_every_answer_behind_the_bare_prompt(
    tmp_path: Path, tiny: PolicyRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    speak(monkeypatch, lambda request: "so 0" if not _behind(request) else f"so {len(_behind(request))}")
    distill.run(_job(tmp_path / "run", tiny))
    assert [len(messages) for messages, _ in KindScorer.groups] == [1] * 5
    assert [messages[0]["content"] for messages, _ in KindScorer.groups] == [
        f"Question {number}?" for number in range(5)
    ]


def test_an_answer_that_reads_like_the_original_is_not_kept(
    tmp_path: Path, tiny: PolicyRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    # d4 alone is answered otherwise behind a pre-prompt; the rest differ by a blank.
    def says(request: Any) -> str:
        if not _behind(request):
            return "No 1"
        return "Never 3" if request.messages[-1]["content"] == "Question 4?" else "No  1"

    speak(monkeypatch, says)
    job = _job(tmp_path / "run", tiny)
    result = distill.run(job)
    assert [target["dialogue"] for target in read_lines(job.output / "targets.jsonl")] == ["d4"]
    assert result["share_kept"] == 0.2
    assert [texts for _, texts in KindScorer.groups][:1] == [["No 1"]]  # scored once


def test_the_share_kept_is_told_by_category_and_by_pre_prompt(
    tmp_path: Path, tiny: PolicyRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Only the pre-prompts about crime help, by 4; two of five prompts are about it.
    speak(monkeypatch, lambda request: "so 6" if _behind(request).startswith("illicit") else "so 2")
    result = distill.run(_job(tmp_path / "run", tiny))
    assert (result["prompts"], result["answers"], result["kept"]) == (5, 15, 2)
    assert result["by_category"] == {
        "hateful": {"prompts": 1, "kept": 0, "share_kept": 0.0, "mean_gain": 0.0},
        "illicit": {"prompts": 2, "kept": 2, "share_kept": 1.0, "mean_gain": 4.0},
        "no category": {"prompts": 1, "kept": 0, "share_kept": 0.0, "mean_gain": 0.0},
        "unqualified_advice": {"prompts": 1, "kept": 0, "share_kept": 0.0, "mean_gain": 0.0},
    }
    crime = {name: told for name, told in result["by_preprompt"].items() if name.startswith("illicit")}
    assert (
        sum(told["answers"] for told in crime.values()) == sum(told["kept"] for told in crime.values()) == 2
    )
    assert all(told["share_above"] == 1.0 for told in crime.values())
    # Ten answers behind pre-prompts: two of reward 6 and eight of 2.
    assert (result["mean_original"], result["mean_behind"]) == (2.0, 2.8)


def test_an_empty_answer_is_never_kept(
    tmp_path: Path, tiny: PolicyRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The empty text is worth 0, which is above -1.
    speak(monkeypatch, lambda request: "bad -1" if not _behind(request) else " ")
    with pytest.raises(RunFailedError, match="every answer behind a pre-prompt is empty"):
        distill.run(_job(tmp_path / "run", tiny))


def test_every_kept_answer_of_a_real_policy_scores_above_the_original(
    tmp_path: Path, tiny: PolicyRef
) -> None:
    job = _job(tmp_path / "run", tiny, max_new_tokens=6)
    result = distill.run(job)
    targets = read_lines(job.output / "targets.jsonl")
    assert 0 < len(targets) == result["kept"]
    assert all(target["score"] > target["original_score"] for target in targets)
    assert result["least_gain"] == min(target["score"] - target["original_score"] for target in targets) > 0


def test_a_run_killed_anywhere_ends_like_an_undisturbed_one(
    tmp_path: Path, tiny: PolicyRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = speak(monkeypatch, lambda request: f"so {request.seed}")
    whole = _job(tmp_path / "whole", tiny)
    result = distill.run(whole)
    drawn = len(policy.asked)
    for dies_at in range(1, whole.checks + 1):
        policy.asked.clear()
        with pytest.raises(KilledError):
            distill.run(_job(tmp_path / f"killed-{dies_at}", tiny, dies_at))
        again = _job(tmp_path / f"killed-{dies_at}", tiny)
        assert distill.run(again) == result
        assert files_of(again.output) == files_of(whole.output)
        assert len(policy.asked) == drawn  # nothing is drawn twice


def test_what_was_scored_before_the_kill_is_not_scored_again(
    tmp_path: Path, tiny: PolicyRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    speak(monkeypatch, lambda request: "so 2" if _behind(request) else "so 1")
    whole = _job(tmp_path / "whole", tiny)
    distill.run(whole)
    with pytest.raises(KilledError):  # the last check follows the last chunk of scores
        distill.run(_job(tmp_path / "killed", tiny, whole.checks))
    KindScorer.loaded = 0
    distill.run(_job(tmp_path / "killed", tiny))
    assert KindScorer.loaded == 0


def test_no_gain_at_all_fails_and_says_what_to_try(
    tmp_path: Path, tiny: PolicyRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    speak(monkeypatch, lambda request: "so 1" if _behind(request) else "so 2")
    with pytest.raises(RunFailedError, match=r"none of 5 .* scores above .* \(try place\)"):
        distill.run(_job(tmp_path / "run", tiny))


def test_a_reward_that_is_no_number_fails(
    tmp_path: Path, tiny: PolicyRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    speak(monkeypatch, lambda request: "so 1")
    monkeypatch.setattr(KindScorer, "_reward", lambda self, text: float("nan"))
    with pytest.raises(RunFailedError, match="no number for dialogue d0"):
        distill.run(_job(tmp_path / "run", tiny))


def test_no_prompts_are_refused(tmp_path: Path, tiny: PolicyRef) -> None:
    with pytest.raises(RunFailedError, match="the prompts are empty"):
        distill.run(_job(tmp_path / "run", tiny, categories=[]))


def test_prompts_that_are_not_adversarial_are_left_out_unless_asked_for(
    tmp_path: Path, tiny: PolicyRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    speak(monkeypatch, lambda request: "so 2" if _behind(request) else "so 1")
    prompts = [prompt(0, "safety"), prompt(1)]
    job = dialogue_job(tmp_path / "run", RunKind.DISTILL, tiny, prompts)
    assert distill.run(job)["prompts"] == 1
    mixed = dialogue_job(tmp_path / "mixed", RunKind.DISTILL, tiny, prompts, safety_share=0.5)
    assert distill.run(mixed)["prompts"] == 2
    with pytest.raises(RunFailedError, match="gave no adversarial prompts"):
        distill.run(dialogue_job(tmp_path / "none", RunKind.DISTILL, tiny, prompts[1:]))


def test_every_risk_category_has_pre_prompts_of_its_own() -> None:
    assert set(BY_CATEGORY) == set(RiskCategory)
    assert len(TEXTS) == len(set(TEXTS.values())) == len(GENERIC) + sum(map(len, BY_CATEGORY.values()))


@pytest.mark.parametrize("which", ["generic", "category", "both"])
@pytest.mark.parametrize("category", ["", *RiskCategory])
def test_pre_prompts_of_a_prompt_are_different_ones(which: Any, category: str) -> None:
    for count in range(1, 9):
        chosen = choose_preprompts(1, "d", category, which, count)
        assert len(chosen) == len(set(chosen)) <= count
        assert chosen == choose_preprompts(1, "d", category, which, count)
    names = {one.name for one in choose_preprompts(1, "d", category, which, 8)}
    generic, own = {one.name for one in GENERIC}, {one.name for one in BY_CATEGORY.get(category, ())}  # type: ignore[call-overload]
    assert names == {"generic": generic, "category": own or generic, "both": generic | own}[which]


def test_every_pre_prompt_gets_its_share() -> None:
    first = [choose_preprompts(1, f"d{n}", "", "generic", 1)[0].name for n in range(400)]
    assert all(70 <= first.count(one.name) <= 130 for one in GENERIC)  # 100 give or take three times 8.7
