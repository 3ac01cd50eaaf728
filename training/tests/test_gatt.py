"""The run of Ghost Attention: what is sampled, what of it is learnt, and what a kill does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rewardmodel.core.backbone import PolicyRef
from rewardmodel.core.report import RunFailedError
from training.core import gatt
from training.core.chunks import read_lines
from training.core.instructions import draw_instruction, is_shortened
from training.core.spec import RunKind
from training.core.specs.dialogues import GattSpec
from training.core.targets import read_targets
from training.tests.jobs import KilledError, MortalJob, files_of
from training.tests.spoken import Spoken, dialogue_job, prompt, speak

SEED = 5  # of every job made in these tests
QUIET: dict[str, Any] = {"recall_dialogues": 0}


def _job(
    out: Path, policy: PolicyRef, count: int = 6, dies_at: int | None = None, **params: Any
) -> MortalJob:
    prompts = [prompt(number) for number in range(count)]
    return dialogue_job(out, RunKind.GATT, policy, prompts, dies_at, **(QUIET | params))


def _targets(job: MortalJob) -> list[dict[str, Any]]:
    return read_lines(job.output / "targets.jsonl")


@pytest.fixture(autouse=True)
def no_collection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Freeing a real model's memory takes longer than all that the tiny one does."""
    monkeypatch.setattr("training.core.generate.release_memory", lambda: None)


@pytest.fixture
def policy(monkeypatch: pytest.MonkeyPatch) -> Spoken:
    """Answers with the number of user turns that it was shown, and whether each had more than a question."""
    return speak(
        monkeypatch, lambda request: f"Answer after {len(request.messages)} messages, seed {request.seed}."
    )


def test_the_instruction_stands_before_every_user_turn_while_sampling(
    tmp_path: Path, tiny: PolicyRef, policy: Spoken
) -> None:
    gatt.run(_job(tmp_path / "run", tiny, turns=3, shorter=False))
    for request in policy.asked:
        texts = {draw_instruction(SEED, f"d{number}", "paper").text for number in range(6)}
        said = [turn["content"] for turn in request.messages if turn["role"] == "user"]
        heads = {words.partition("\n")[0] for words in said}
        assert len(heads) == 1
        assert heads <= texts
        assert all(words.partition("\n")[2].startswith("Question") for words in said)


def test_a_target_has_the_instruction_once_and_learns_the_last_answer_alone(
    tmp_path: Path, tiny: PolicyRef, policy: Spoken
) -> None:
    job = _job(tmp_path / "run", tiny, turns=3, shorter=False)
    gatt.run(job)
    for number, target in enumerate(_targets(job)):
        instruction = draw_instruction(SEED, f"d{number}", "paper")
        first, *others = [turn["content"] for turn in target["messages"] if turn["role"] == "user"]
        shown = instruction.short if target["shortened"] else instruction.text
        assert first == f"{shown}\nQuestion {number}?"
        assert [words.startswith("Question") for words in others] == [True, True]
        assert (target["learn"], target["turns"], target["policy"]) == ("last", 3, "tiny")
        # Two answers before it: the last was asked with five messages.
        assert target["text"].startswith("Answer after 5 messages")
        assert [turn["role"] for turn in target["messages"]] == ["user", "assistant"] * 2 + ["user"]
    assert len(read_targets(job.output / "targets.jsonl")) == 6


def test_the_instruction_can_stand_in_a_system_message(
    tmp_path: Path, tiny: PolicyRef, policy: Spoken
) -> None:
    job = _job(tmp_path / "run", tiny, turns=2, shorter=False, place="system", short_share=0.0)
    gatt.run(job)
    target = _targets(job)[0]
    assert target["messages"][0] == {
        "role": "system",
        "content": draw_instruction(SEED, "d0", "paper").text,
    }
    assert target["messages"][1]["content"] == "Question 0?"


def test_about_half_of_the_instructions_are_shortened() -> None:
    shortened = sum(is_shortened(SEED, f"d{number}", 0.5) for number in range(1000))
    assert 450 <= shortened <= 550  # 500 give or take three standard deviations of 16
    assert not any(is_shortened(SEED, f"d{number}", 0.0) for number in range(100))
    assert all(is_shortened(SEED, f"d{number}", 1.0) for number in range(100))


def test_half_of_the_dialogues_are_shorter_and_every_length_occurs() -> None:
    spec = GattSpec(turns=4)
    lengths = [gatt.turns_of(SEED, f"d{number}", spec) for number in range(1000)]
    assert 450 <= lengths.count(4) <= 550
    assert set(lengths) == {1, 2, 3, 4}
    assert {gatt.turns_of(SEED, f"d{n}", GattSpec(turns=4, shorter=False)) for n in range(50)} == {4}
    assert {gatt.turns_of(SEED, f"d{n}", GattSpec(turns=1)) for n in range(50)} == {1}


def test_further_prompts_are_others_and_none_comes_twice() -> None:
    prompts = [prompt(number) for number in range(5)]
    for own in range(5):
        said = [gatt.further_prompt(SEED, own, turn, prompts) for turn in range(2, 6)]
        assert sorted(said) == [f"Question {number}?" for number in range(5) if number != own]
    assert gatt.further_prompt(SEED, 0, 2, prompts[:1]) == "Question 0?"


def test_the_policy_can_ask_the_further_questions_itself(
    tmp_path: Path, tiny: PolicyRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    def says(request: Any) -> str:
        if request.messages[0]["role"] == "system":  # in the user's place
            assert request.max_new_tokens == 9
            return "Goodbye!" if request.messages[2]["content"] == "Question 1?" else "And then?"
        return f"Answer {len(request.messages)}."

    speak(monkeypatch, says)
    job = _job(tmp_path / "run", tiny, 2, turns=2, shorter=False, user_turns="policy", user_tokens=9)
    gatt.run(job)
    goes_on, ends = _targets(job)
    assert goes_on["messages"][2]["content"] == "And then?"
    assert (ends["turns"], ends["text"]) == (1, "Answer 1.")


def test_a_dialogue_ends_before_an_empty_answer(
    tmp_path: Path, tiny: PolicyRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    speak(monkeypatch, lambda request: " " if len(request.messages) == 3 else "Yes.")
    job = _job(tmp_path / "run", tiny, turns=3, shorter=False)
    result = gatt.run(job)
    assert result["turns"] == {"1": 6}
    assert {target["text"] for target in _targets(job)} == {"Yes."}


def test_a_dialogue_that_is_seen_to_disobey_can_be_left_out(
    tmp_path: Path, tiny: PolicyRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    speak(monkeypatch, lambda request: "I WILL. BANANA")  # in capitals, and with a last word
    job = _job(tmp_path / "run", tiny, 40, turns=1, instructions="rules", only_obeyed=True)
    result = gatt.run(job)
    kinds = {target["instruction"] for target in _targets(job)}
    assert kinds <= {
        "Always answer in capital letters.",
        "Always end your answer with the word banana.",
        "Always use the word banana in your answer.",
    }
    assert result["dialogues"] + result["disobeyed"] == result["checked"] == 40
    assert result["obeyed"] == result["dialogues"] / 40


def test_the_result_counts_what_the_file_holds(tmp_path: Path, tiny: PolicyRef, policy: Spoken) -> None:
    job = _job(tmp_path / "run", tiny, 20, turns=4)
    result = gatt.run(job)
    targets = _targets(job)
    assert result["prompts"] == result["dialogues"] == len(targets) == 20
    assert result["shortened"] == sum(target["shortened"] for target in targets)
    assert result["turns"] == {
        str(turns): count
        for turns in range(1, 5)
        if (count := sum(target["turns"] == turns for target in targets))
    }
    assert sum(result["instructions"].values()) == 20
    assert len({target["dialogue"] for target in targets}) == 20


def test_recall_of_the_policy_itself_is_reported(
    tmp_path: Path, tiny: PolicyRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Obeys what the last user turn says and nothing older.
    speak(monkeypatch, lambda request: request.messages[-1]["content"].partition("\n")[0].upper())
    job = _job(tmp_path / "run", tiny, turns=1, instructions="rules", recall_dialogues=10, recall_turns=2)
    recall = gatt.run(job)["recall"]
    assert set(recall["all"]) == {"1", "2"}
    # Capitals are always capitals; the words are mentioned at the first turn, where they stand in the instruction.
    assert recall["share"]["capitals"] == {"1": 1.0, "2": 1.0}
    assert recall["share"]["mention"] == {"1": 1.0, "2": 0.0}


def test_the_model_is_loaded_once_for_all_turns(tmp_path: Path, tiny: PolicyRef, policy: Spoken) -> None:
    gatt.run(_job(tmp_path / "run", tiny, turns=3, recall_dialogues=2))
    assert policy.closed == 1


def test_a_run_killed_anywhere_ends_like_an_undisturbed_one(
    tmp_path: Path, tiny: PolicyRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = speak(monkeypatch, lambda request: f"So {request.seed}." if request.seed % 5 else "")
    params: dict[str, Any] = {"turns": 3, "user_turns": "policy", "recall_dialogues": 3, "recall_turns": 2}
    whole = _job(tmp_path / "whole", tiny, **params)
    result = gatt.run(whole)
    drawn = len(policy.asked)
    for dies_at in range(1, whole.checks + 1):
        policy.asked.clear()
        with pytest.raises(KilledError):
            gatt.run(_job(tmp_path / f"killed-{dies_at}", tiny, dies_at=dies_at, **params))
        again = _job(tmp_path / f"killed-{dies_at}", tiny, **params)
        assert gatt.run(again) == result
        assert files_of(again.output) == files_of(whole.output)
        assert len(policy.asked) == drawn  # nothing is drawn twice


def test_a_real_policy_repeats_itself_by_its_seed(tmp_path: Path, tiny: PolicyRef) -> None:
    params: dict[str, Any] = {"turns": 2, "max_new_tokens": 5, "recall_dialogues": 1, "recall_turns": 2}
    one, other = (_job(tmp_path / name, tiny, 3, **params) for name in ("one", "other"))
    assert gatt.run(one) == gatt.run(other)
    assert files_of(one.output) == files_of(other.output)


def test_no_prompts_are_refused(tmp_path: Path, tiny: PolicyRef) -> None:
    with pytest.raises(RunFailedError, match="the prompts are empty"):
        gatt.run(_job(tmp_path / "run", tiny, 0))


def test_a_policy_that_never_speaks_fails(
    tmp_path: Path, tiny: PolicyRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    speak(monkeypatch, lambda request: "")
    with pytest.raises(RunFailedError, match="every answer is empty"):
        gatt.run(_job(tmp_path / "run", tiny))


def test_a_policy_that_never_obeys_fails_where_that_is_asked_for(
    tmp_path: Path, tiny: PolicyRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    speak(monkeypatch, lambda request: "no")
    with pytest.raises(RunFailedError, match="none of 6 last answers obeys"):
        gatt.run(_job(tmp_path / "run", tiny, instructions="rules", only_obeyed=True))
