"""The run of self-chat, and when a dialogue that nobody steers is over."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rewardmodel.core.backbone import PolicyRef
from rewardmodel.core.report import RunFailedError
from training.core import self_chat
from training.core.chunks import read_lines
from training.core.spec import RunKind
from training.core.targets import read_targets
from training.core.user_turns import AS_USER, GREETING, Over, as_user, clean, is_looping, why_over
from training.tests.jobs import KilledError, MortalJob, files_of
from training.tests.spoken import dialogue_job, prompt, speak


def _job(
    out: Path, policy: PolicyRef, count: int = 3, dies_at: int | None = None, **params: Any
) -> MortalJob:
    prompts = [prompt(number) for number in range(count)]
    return dialogue_job(out, RunKind.SELF_CHAT, policy, prompts, dies_at, **params)


def _is_user(request: Any) -> bool:
    """Whether the policy is in the user's place."""
    return bool(request.messages[0]["content"] == AS_USER)


def _number(request: Any) -> int:
    """Which message of its side is asked for, from 1."""
    said = [turn for turn in request.messages if turn["role"] == "assistant"]
    return len(said) + (0 if _is_user(request) else 1)


WORDS = ("zero", "one", "two", "three", "four")


def _chatter(request: Any) -> str:
    side = "And what of" if _is_user(request) else "There is much to say of"
    return f"{side} {WORDS[_number(request)]}?"


def test_both_sides_are_written_by_the_policy_in_turn(
    tmp_path: Path, tiny: PolicyRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    speak(monkeypatch, _chatter)
    job = _job(tmp_path / "run", tiny, 1)
    result = self_chat.run(job)
    (target,) = read_lines(job.output / "targets.jsonl")
    assert [turn["content"] for turn in target["messages"]] == [
        "Question 0?",
        "There is much to say of one?",
        "And what of one?",
        "There is much to say of two?",
        "And what of two?",
    ]
    assert target["text"] == "There is much to say of three?"
    assert (target["learn"], target["turns"], target["prompt"]) == ("every", 3, "d0")
    assert (result["dialogues"], result["mean_turns"], result["ends"]) == (1, 3.0, {"all turns": 1})
    assert read_targets(job.output / "targets.jsonl")[0].every


def test_the_waiting_dialogue_ends_with_the_last_user_turn(
    tmp_path: Path, tiny: PolicyRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    speak(monkeypatch, _chatter)
    job = _job(tmp_path / "run", tiny, 1)
    assert self_chat.run(job)["waiting"] == 1
    (waiting,) = read_lines(job.output / "dialogues.jsonl")
    (target,) = read_lines(job.output / "targets.jsonl")
    assert waiting == {"prompt": "d0", "messages": target["messages"], "focus": "helpfulness"}
    assert waiting["messages"][-1] == {"role": "user", "content": "And what of two?"}


def test_in_the_users_place_the_roles_are_changed_round() -> None:
    messages: Any = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Why?"},
        {"role": "assistant", "content": "So."},
    ]
    assert as_user(messages) == [
        {"role": "system", "content": AS_USER},
        {"role": "user", "content": GREETING},
        {"role": "assistant", "content": "Why?"},
        {"role": "user", "content": "So."},
    ]


@pytest.mark.parametrize(
    ("text", "reason", "wanted"),
    [
        ("  Why is that?  ", "stop", "Why is that?"),
        ("User: Why is that?", "stop", "Why is that?"),
        ('"Why is that?"', "stop", "Why is that?"),
        ("Why is that?\n\nAssistant: Because.", "stop", "Why is that?"),
        ("I see. And why? Is it that the", "length", "I see. And why?"),
        ("I wonder whether it", "length", ""),
        ("It costs 3.5 or so", "length", ""),
        ("\u306a\u305c\uff1f \u305d\u308c", "length", "\u306a\u305c\uff1f"),
    ],
)
def test_a_user_turn_is_cleaned(text: str, reason: str, wanted: str) -> None:
    assert clean(text, reason) == wanted


LOOP = "I like it and so do you. " * 4


@pytest.mark.parametrize(
    ("said", "earlier", "why"),
    [
        (" \n", [], Over.EMPTY),
        ("Thanks, goodbye!", [], Over.GOODBYE),
        ("Good bye.", [], Over.GOODBYE),
        (LOOP, [], Over.LOOP),
        ("What is the moon made of?", ["Why?", "What is the moon made of"], Over.REPEAT),
        ("What is the moon made of?", ["What is the sun made of?"], None),
        ("What is it that people in Japan say when they mean goodbye to a friend?", [], None),
    ],
)
def test_a_dialogue_is_over_for_a_reason(said: str, earlier: list[str], why: Over | None) -> None:
    assert why_over(said, earlier, user=True) == why


def test_an_assistant_that_says_goodbye_does_not_end_the_dialogue() -> None:
    assert why_over("Goodbye!", [], user=False) is None


def test_a_loop_has_fewer_than_half_of_its_runs_once() -> None:
    # Seven words twice: 14 words, 11 runs of four, 7 of them different, which is more than half.
    assert not is_looping("a b c d e f g " * 2)
    # Three times: 21 words, 18 runs, 7 different, which is less.
    assert is_looping("a b c d e f g " * 3)
    assert not is_looping("no no no no")  # too short to tell


@pytest.mark.parametrize(
    ("user", "why"), [("Goodbye!", "goodbye"), ("", "empty"), ("Question 0?", "repeat"), (LOOP, "loop")]
)
def test_the_end_of_a_dialogue_is_counted(
    tmp_path: Path, tiny: PolicyRef, monkeypatch: pytest.MonkeyPatch, user: str, why: str
) -> None:
    def says(request: Any) -> str:
        ends = _is_user(request) and _number(request) == 2 and request.messages[2]["content"] == "Question 0?"
        return user if ends else _chatter(request)

    speak(monkeypatch, says)
    job = _job(tmp_path / "run", tiny)
    result = self_chat.run(job)
    assert result["ends"] == {why: 1, "all turns": 2}
    assert result["turns"] == {"2": 1, "3": 2}
    assert [target["turns"] for target in read_lines(job.output / "targets.jsonl")] == [2, 3, 3]


def test_an_answer_that_was_cut_ends_its_dialogue_and_stays(
    tmp_path: Path, tiny: PolicyRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    def says(request: Any) -> Any:
        cut = not _is_user(request) and _number(request) == 2
        return (_chatter(request), "length") if cut else _chatter(request)

    speak(monkeypatch, says)
    job = _job(tmp_path / "run", tiny)
    assert self_chat.run(job)["ends"] == {"cut": 3}
    targets = read_lines(job.output / "targets.jsonl")
    assert [(target["turns"], target["finish_reason"]) for target in targets] == [(2, "length")] * 3


def test_a_question_whose_answer_is_no_use_still_waits(
    tmp_path: Path, tiny: PolicyRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    def says(request: Any) -> str:
        return "" if not _is_user(request) and _number(request) == 3 else _chatter(request)

    speak(monkeypatch, says)
    job = _job(tmp_path / "run", tiny, 1)
    assert self_chat.run(job)["turns"] == {"2": 1}
    (waiting,) = read_lines(job.output / "dialogues.jsonl")
    assert waiting["messages"][-1]["content"] == "And what of two?"
    (target,) = read_lines(job.output / "targets.jsonl")
    assert target["text"] == "There is much to say of two?"
    assert target["messages"][-1]["content"] == "And what of one?"


def test_a_dialogue_that_comes_to_no_second_answer_is_left_out(
    tmp_path: Path, tiny: PolicyRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    def says(request: Any) -> str:
        first = request.messages[2 if _is_user(request) else 0]["content"] == "Question 0?"
        return "Goodbye." if first and _is_user(request) else _chatter(request)

    speak(monkeypatch, says)
    job = _job(tmp_path / "run", tiny)
    result = self_chat.run(job)
    assert (result["prompts"], result["dialogues"], result["too_short"], result["waiting"]) == (3, 2, 1, 2)


def test_one_turn_can_be_asked_for(tmp_path: Path, tiny: PolicyRef, monkeypatch: pytest.MonkeyPatch) -> None:
    speak(monkeypatch, _chatter)
    job = _job(tmp_path / "run", tiny, turns=1)
    assert self_chat.run(job)["dialogues"] == 3
    assert read_lines(job.output / "dialogues.jsonl") == []


def test_no_second_answer_anywhere_fails_and_says_why(
    tmp_path: Path, tiny: PolicyRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    speak(monkeypatch, lambda request: (_chatter(request), "length"))
    with pytest.raises(RunFailedError, match=r"\(cut: 3\); where answers were cut, raise max_new_tokens"):
        self_chat.run(_job(tmp_path / "run", tiny))


def test_no_prompts_are_refused(tmp_path: Path, tiny: PolicyRef) -> None:
    with pytest.raises(RunFailedError, match="the prompts are empty"):
        self_chat.run(_job(tmp_path / "run", tiny, 0))


def test_a_run_killed_anywhere_ends_like_an_undisturbed_one(
    tmp_path: Path, tiny: PolicyRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    def says(request: Any) -> str:
        return (
            "Goodbye."
            if _is_user(request) and request.seed % 4 == 0
            else f"{_chatter(request)} {request.seed}"
        )

    policy = speak(monkeypatch, says)
    whole = _job(tmp_path / "whole", tiny, 6)
    result = self_chat.run(whole)
    drawn = len(policy.asked)
    assert set(result["ends"]) == {"all turns", "goodbye"}
    for dies_at in range(1, whole.checks + 1):
        policy.asked.clear()
        with pytest.raises(KilledError):
            self_chat.run(_job(tmp_path / f"killed-{dies_at}", tiny, 6, dies_at))
        again = _job(tmp_path / f"killed-{dies_at}", tiny, 6)
        assert self_chat.run(again) == result
        assert files_of(again.output) == files_of(whole.output)
        assert len(policy.asked) == drawn  # nothing is drawn twice
