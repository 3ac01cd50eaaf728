"""A large model as judge: both orders, what an answer names, and a server that fails in every way."""

from __future__ import annotations

import fcntl
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from rewardmodel.core.judge import Answer, Finding, counts_of, judge_pairs, letter_of, question_of
from rewardmodel.core.judge_server import ANSWERS, ATTEMPTS, ENOUGH_REFUSED, JudgeServer, JudgeSpec
from rewardmodel.core.report import RunFailedError, Silent
from rewardmodel.tests.examples import make_record
from rewardmodel.tests.judge_server import JudgeHouse, Reply, likes

PAIR = make_record(0, chosen="right", rejected="wrong")


class Scripted:
    """Answers by what stands in A."""

    def __init__(self, *, right_first: str, wrong_first: str) -> None:
        self._texts = {"right": right_first, "wrong": wrong_first}

    def ask(self, questions: Iterable[str]) -> Mapping[str, Answer]:
        return {q: Answer(self._texts["right" if "[answer A]\nright" in q else "wrong"]) for q in questions}


@pytest.mark.parametrize(
    ("right_first", "wrong_first", "finding"),
    [
        ("A", "B", Finding.CHOSEN),
        ("B", "A", Finding.REJECTED),
        ("A", "A", Finding.DIFFER),
        ("B", "B", Finding.DIFFER),
        ("A", "Both.", Finding.UNREADABLE),
        ("", "B", Finding.UNREADABLE),
    ],
)
def test_a_pair_is_decided_only_where_both_orders_agree(
    right_first: str, wrong_first: str, finding: Finding
) -> None:
    (judged,) = judge_pairs([PAIR], Scripted(right_first=right_first, wrong_first=wrong_first))
    assert judged.finding is finding


def test_the_counts_tell_a_judge_that_always_says_a() -> None:
    judged = judge_pairs([PAIR], Scripted(right_first="A", wrong_first="A"))
    assert counts_of(judged) == {"same": 0, "differ": 1, "unreadable": 0, "refused": 0, "said_a": 1.0}


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("A", "A"),
        (" b.\n", "B"),
        ("[[B]]", "B"),
        ("**A**", "A"),
        ("Answer: B", "B"),
        ("The better answer is A.", "A"),
        ("My final verdict: **B**", "B"),
        ("Better answer: Answer B", "B"),
        ("<think>A is long, B is right.</think>\nB", "B"),
        ("A names a bird, B does not.\n\nA", "A"),
        ("", None),
        ("C", None),
        ("A or B", None),
        ("Both A and B are fine.", None),
        ("A good answer names a bird.", None),
        ("<think>A", None),
        ("I cannot help with that.", None),
    ],
)
def test_an_answer_is_a_letter_or_nothing(text: str, letter: str | None) -> None:
    assert letter_of(text) == letter


def test_the_question_shows_the_whole_dialogue_and_both_answers_as_they_are() -> None:
    messages = make_record(
        messages=[{"role": "system", "content": "Be {brief}."}, {"role": "user", "content": "Hi"}]
    )
    question = question_of(messages.messages, "one {a}", "two {0}")
    assert "system: Be {brief}.\n\nuser: Hi" in question
    assert "[answer A]\none {a}\n" in question
    assert "[answer B]\ntwo {0}\n" in question


def server_of(house: JudgeHouse, folder: Path, *, key: str = "", **fields: Any) -> JudgeServer:
    spec = JudgeSpec(url=house.url, model="big", **fields)
    return JudgeServer(spec, key=key, folder=folder, report=Silent(), first_pause=0.001)


def test_a_judge_is_asked_at_temperature_0_with_its_key(tmp_path: Path) -> None:
    with JudgeHouse(likes("right")) as house:
        (judged,) = judge_pairs([PAIR], server_of(house, tmp_path, key="open sesame"))
    assert judged.finding is Finding.CHOSEN
    body = house.bodies[0]
    assert (body["path"], body["model"], body["temperature"]) == ("/v1/chat/completions", "big", 0)
    assert set(house.keys) == {"Bearer open sesame"}


def test_no_key_stands_in_what_is_kept(tmp_path: Path) -> None:
    with JudgeHouse() as house:
        judge_pairs([PAIR], server_of(house, tmp_path, key="open sesame"))
    assert "sesame" not in (tmp_path / ANSWERS).read_text()


def test_no_question_is_asked_twice(tmp_path: Path) -> None:
    records = [PAIR, PAIR, make_record(1, chosen="right", rejected="wrong")]
    with JudgeHouse() as house:
        first = judge_pairs(records, server_of(house, tmp_path))
        assert len(house.questions) == 4  # two distinct pairs in two orders
        assert judge_pairs(records, server_of(house, tmp_path)) == first
        assert len(house.questions) == 4


def test_another_judge_is_not_answered_for_by_the_first(tmp_path: Path) -> None:
    with JudgeHouse() as house:
        judge_pairs([PAIR], server_of(house, tmp_path))
        judge_pairs([PAIR], server_of(house, tmp_path, max_tokens=17))
    assert len(house.questions) == 4


def test_an_asking_that_was_killed_goes_on_where_it_stopped(tmp_path: Path) -> None:
    """Cut after any byte, the file of answers loses one answer at most."""
    with JudgeHouse() as house:
        whole = judge_pairs([PAIR], server_of(house, tmp_path))
        content = (tmp_path / ANSWERS).read_bytes()
        second = content.index(b"\n") + 1
        for cut in (second - 1, second, second + 1, len(content) - 1):
            (tmp_path / ANSWERS).write_bytes(content[:cut])
            before = len(house.questions)
            assert judge_pairs([PAIR], server_of(house, tmp_path)) == whole
            assert len(house.questions) - before == 2 - content[:cut].count(b"\n")
            assert (tmp_path / ANSWERS).read_bytes().count(b"\n") == 2


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_judge_is_asked_again(tmp_path: Path, status: int) -> None:
    failures = [status, status]

    def reply(question: str) -> Reply:
        return (failures.pop(), {"Retry-After": "0"}) if failures else "A"

    with JudgeHouse(reply) as house:
        (judged,) = judge_pairs([PAIR], server_of(house, tmp_path, at_once=1))
    assert judged.finding is Finding.DIFFER
    assert len(house.questions) == 4


def test_what_was_answered_before_the_judge_went_away_is_kept(tmp_path: Path) -> None:
    asked: list[str] = []

    def reply(question: str) -> Reply:
        asked.append(question)
        return "A" if len(asked) == 1 else (500, {})

    with JudgeHouse(reply) as house:
        with pytest.raises(RunFailedError, match=rf"no answer in {ATTEMPTS} attempts: it broke \(HTTP 500\)"):
            judge_pairs([PAIR], server_of(house, tmp_path, at_once=1))
        assert len((tmp_path / ANSWERS).read_text().splitlines()) == 1
        house.reply = likes("right")
        (judged,) = judge_pairs([PAIR], server_of(house, tmp_path))
    # The first order's "A" was kept, and the second order names the same response.
    assert judged.finding is Finding.CHOSEN


@pytest.mark.parametrize(
    ("status", "says"),
    [(401, "wants another API key"), (404, "does not know the model"), (302, r"HTTP 302")],
)
def test_a_judge_that_never_will_is_asked_once(tmp_path: Path, status: int, says: str) -> None:
    with (
        JudgeHouse(lambda _: (status, {"Location": "http://127.0.0.1:1/"})) as house,
        pytest.raises(RunFailedError, match=f"The judge cannot be used: .*{says}") as failed,
    ):
        judge_pairs([PAIR], server_of(house, tmp_path, at_once=1))
    assert len(house.questions) == 1
    assert "secret-of-the-server" not in str(failed.value)


def test_a_question_that_is_refused_leaves_out_its_pair_alone(tmp_path: Path) -> None:
    """It may be too long for the judge: others pass."""
    long = make_record(1, chosen="right" * 100, rejected="wrong")

    def reply(question: str) -> Reply:
        return (400, {}) if "rightright" in question else likes("right")(question)

    with JudgeHouse(reply) as house:
        judged = judge_pairs([PAIR, long], server_of(house, tmp_path))
    assert [one.finding for one in judged] == [Finding.CHOSEN, Finding.REFUSED]
    assert "HTTP 400" in judged[1].reason


def test_a_judge_that_refuses_everything_is_not_asked_on(tmp_path: Path) -> None:
    records = [make_record(number, chosen="right", rejected="wrong") for number in range(40)]
    with (
        JudgeHouse(lambda _: (422, {})) as house,
        pytest.raises(RunFailedError, match="The judge takes no question"),
    ):
        judge_pairs(records, server_of(house, tmp_path, at_once=2))
    assert len(house.questions) <= ENOUGH_REFUSED + 4


def test_no_more_questions_are_asked_at_once_than_allowed(tmp_path: Path) -> None:
    both = threading.Barrier(2, timeout=20)

    def reply(question: str) -> Reply:
        both.wait()  # passes only if two are under way
        return "A"

    records = [make_record(number, chosen="right", rejected="wrong") for number in range(4)]
    with JudgeHouse(reply) as house:
        judge_pairs(records, server_of(house, tmp_path, at_once=2))
    assert house.most_at_once == 2


def test_a_judge_that_cannot_be_reached_is_said_to_be(tmp_path: Path) -> None:
    spec = JudgeSpec(url="http://127.0.0.1:9", model="big")
    server = JudgeServer(spec, key="", folder=tmp_path, report=Silent(), first_pause=0.001)
    with pytest.raises(RunFailedError, match="it cannot be reached"):
        judge_pairs([PAIR], server)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"choices": []}'])
def test_an_answer_that_is_no_completion_ends_the_asking(tmp_path: Path, body: bytes) -> None:
    with JudgeHouse(lambda _: body) as house, pytest.raises(RunFailedError, match="no chat completion"):
        server_of(house, tmp_path).ask(["?"])


def test_an_answer_without_words_is_unreadable(tmp_path: Path) -> None:
    with JudgeHouse(lambda _: b'{"choices": [{"message": {"content": null}}]}') as house:
        (judged,) = judge_pairs([PAIR], server_of(house, tmp_path))
    assert judged.finding is Finding.UNREADABLE


def test_two_processes_do_not_ask_into_one_folder(tmp_path: Path) -> None:
    with (tmp_path / ANSWERS).open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with JudgeHouse() as house, pytest.raises(RunFailedError, match="Another process is asking"):
            judge_pairs([PAIR], server_of(house, tmp_path))


def test_a_damaged_line_of_answers_is_named(tmp_path: Path) -> None:
    (tmp_path / ANSWERS).write_text('{"key": "x", "text": "A"}\n{"key"\n')
    with JudgeHouse() as house, pytest.raises(RunFailedError, match=r"answers\.jsonl, line 2: not an answer"):
        judge_pairs([PAIR], server_of(house, tmp_path))


@pytest.mark.parametrize("url", ["", "ftp://a", "http://ada:secret@a", "http://a/?key=b", "a"])
def test_an_address_is_plain(url: str) -> None:
    with pytest.raises(ValidationError):
        JudgeSpec(url=url, model="big")
