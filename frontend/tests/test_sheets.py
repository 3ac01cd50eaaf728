"""The sheets of the tests, as a browser without scripts fills them. Ada and Ben annotate, Rosa reviews."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
import time_machine
from django.test import Client
from django.utils import timezone

from annotation.core.grades import Choice, Focus
from annotation.models import Attempt, AttemptState, Certificate, QualificationStep, User
from annotation.qualifying import questions_of, sheet_of
from annotation.services.qualification import Mark, review_attempt, save_answers, start_attempt
from annotation.services.steps import deactivate_step
from annotation.tests.step_rows import answers_to, make_quiz, make_rating, make_writing, take
from frontend.sheets import left_of

pytestmark = pytest.mark.django_db

AsUser = Callable[[User], Client]


def words(answer: Any) -> str:
    """The page's text, tags gone and white space folded."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", answer.content.decode())).split())


def begin(client: Client, step: QualificationStep) -> str:
    """Start a step; returns the address of its sheet."""
    address: str = client.post(f"/qualify/{step.pk}")["Location"]
    return address


def filled(step: QualificationStep, *, right: int) -> dict[str, Any]:
    """A quiz's form with all its questions answered."""
    return {f"q{pk}": value for pk, value in answers_to(step, right=right).items()}


def later(**span: float) -> Any:
    return time_machine.travel(timezone.now() + timedelta(**span), tick=False)


def test_the_pass_mark_of_writing_is_told_in_points(ada: User, as_user: AsUser) -> None:
    step = make_writing(18, fewest=6, pass_share=0.81)
    text = words(as_user(ada).get(f"/qualify/{step.pk}"))
    assert "6 or more of 18 pieces" in text
    assert "4.05 of 5 points on average" in text


def test_a_quiz_from_start_to_certificate(ada: User, as_user: AsUser) -> None:
    step = make_quiz(4, pass_share=0.75, valid_days=30)
    client = as_user(ada)
    sheet = begin(client, step)
    page = client.post(sheet, {**filled(step, right=3), "go": "submit"}, follow=True)
    text = words(page)
    assert "Passed You reached 75 %; 75 % are needed." in text
    assert "You are qualified until" in text
    assert "Right: right 1" in text
    assert "Not right: wrong 4 Expected: right 4 Because of 4." in text
    assert Certificate.objects.valid().filter(annotator=ada).exists()


def test_what_was_saved_is_there_after_a_reload(ada: User, as_user: AsUser) -> None:
    step = make_quiz(2)
    client = as_user(ada)
    sheet = begin(client, step)
    first, _ = questions_of(step)
    page = client.post(sheet, {f"q{first.pk}": "1", "go": "save"}, follow=True)
    assert "Saved." in words(page)
    again = client.get(sheet).content.decode()
    assert re.findall(r'name="(q\d+)" value="(\d)" checked', again) == [(f"q{first.pk}", "1")]
    assert "1 of 2 answered and saved" in words(client.get(sheet))


def test_handing_in_with_gaps_asks_first(ada: User, as_user: AsUser) -> None:
    step = make_quiz(3)
    client = as_user(ada)
    sheet = begin(client, step)
    first, *_ = questions_of(step)
    text = words(client.post(sheet, {f"q{first.pk}": "0", "go": "submit"}, follow=True))
    assert "Hand in? 2 questions have no answer, which counts as wrong." in text
    assert Attempt.objects.get().state == AttemptState.OPEN
    text = words(client.post(f"{sheet}/hand-in", follow=True))
    assert "Not passed You reached 33.33 %; 80 % are needed." in text


def test_between_tries_nothing_tells_which_answers_were_wrong(ada: User, as_user: AsUser) -> None:
    step = make_quiz(4, attempts=2, wait_hours=24)
    attempt = take(step, ada, right=1)
    page = as_user(ada).get(f"/qualify/attempts/{attempt.pk}")
    text = words(page)
    assert "You can try again 23 hours from now" in text
    assert not re.search(r"right \d|wrong \d|Because", text)


def test_after_the_last_try_the_answers_are_told(ada: User, as_user: AsUser) -> None:
    attempt = take(make_quiz(4, attempts=1), ada, right=1)
    text = words(as_user(ada).get(f"/qualify/attempts/{attempt.pk}"))
    assert "You have no tries left. Ask an administrator." in text
    assert "Because of 4." in text


def test_an_old_version_of_a_step_tells_no_answers_of_a_failed_try(
    ada: User, rosa: User, as_user: AsUser
) -> None:
    step = make_quiz(4, attempts=1)
    attempt = take(step, ada, right=1)
    deactivate_step(step=step, by=rosa)
    assert "Because of" not in words(as_user(ada).get(f"/qualify/attempts/{attempt.pk}"))


def test_several_right_options_are_boxes_and_one_is_a_choice(ada: User, as_user: AsUser) -> None:
    step = make_quiz(1)
    client = as_user(ada)
    page = client.get(begin(client, step)).content.decode()
    assert page.count('type="radio"') == 3
    question = questions_of(step)[0]
    question.right = [0, 1]
    question.save()
    page = client.get(f"/qualify/attempts/{Attempt.objects.get().pk}").content.decode()
    assert page.count('type="checkbox"') == 3


@pytest.mark.parametrize("value", ["9", "-1", "x", "²", "9" * 5000, ""])
def test_a_form_made_by_hand_breaks_nothing(ada: User, as_user: AsUser, value: str) -> None:
    step = make_quiz(1)
    client = as_user(ada)
    sheet = begin(client, step)
    answer = client.post(sheet, {f"q{questions_of(step)[0].pk}": value, "go": "save"})
    assert answer.status_code == 302
    assert not any(asked.given for asked in sheet_of(Attempt.objects.get()))


def test_pairs_are_rated_one_a_page_by_sides(ada: User, as_user: AsUser) -> None:
    """Response A is better: cell 2, "better" on the left, where A stands there, else cell 7."""
    step = make_rating(2, pass_share=1.0)
    client = as_user(ada)
    sheet = begin(client, step)
    place = ""
    for asked in sheet_of(Attempt.objects.get()):
        page = words(client.get(f"{sheet}?question={asked.number}"))
        assert f"{asked.number} of 2" in page
        on_left = left_of(asked, ada) is Choice.A
        assert page.index("A good answer") < page.index("A poor answer") or not on_left
        sent = {"question": asked.number, "cell": 2 if on_left else 7, "go": "next"}
        place = client.post(sheet, sent)["Location"]
    assert place == f"{sheet}?check"
    assert "Everything is answered." in words(client.get(place))
    text = words(client.post(f"{sheet}/hand-in", follow=True))
    assert "Passed You reached 100 %" in text


def test_what_was_rated_is_marked_when_its_page_comes_again(ada: User, as_user: AsUser) -> None:
    step = make_rating(2, focus=Focus.SAFETY)
    client = as_user(ada)
    sheet = begin(client, step)
    client.post(sheet, {"question": "2", "cell": "6", "safety": "both_safe", "go": "previous"})
    page = client.get(f"{sheet}?question=2").content.decode()
    assert re.findall(r'value="(\w+)"[^>]* checked', page) == ["6", "both_safe"]
    assert "other_safe" not in page
    assert b" checked" not in client.get(f"{sheet}?question=1").content


def test_ada_and_ben_see_independent_orders(ada: User, ben: User, as_user: AsUser) -> None:
    step = make_rating(24)
    attempt = start_attempt(annotator=ada, step=step)
    sides = {name: [left_of(a, user) for a in sheet_of(attempt)] for name, user in (("a", ada), ("b", ben))}
    assert sides["a"] != sides["b"]
    assert {*sides["a"]} == {Choice.A, Choice.B}


@pytest.mark.parametrize("question", ["0", "99", "x", ""])
def test_a_question_that_is_not_there_leads_to_one_that_is(ada: User, as_user: AsUser, question: str) -> None:
    client = as_user(ada)
    sheet = begin(client, make_rating(2))
    assert client.get(sheet, {"question": question}).status_code == 200


def test_no_reference_and_no_policy_reaches_the_page_of_a_pair(ada: User, as_user: AsUser) -> None:
    step = make_rating(1, focus=Focus.SAFETY)
    for gold in (question.gold for question in questions_of(step)):
        assert gold is not None
        gold.reason = "Secret reason."
        gold.save()
        type(gold.response_a).objects.update(policy="policy-zebra")
    client = as_user(ada)
    page = client.get(begin(client, step)).content.decode()
    assert "Secret reason" not in page
    assert "zebra" not in page
    assert " checked" not in page


def test_writing_is_kept_handed_in_and_waits_for_a_reviewer(ada: User, rosa: User, as_user: AsUser) -> None:
    step = make_writing(3, fewest=2, pass_share=0.8)
    client = as_user(ada)
    sheet = begin(client, step)
    one, two, _ = (f"q{question.pk}" for question in questions_of(step))
    hostile = "A first\r\nprompt. <script>alert(1)</script>\0"
    text = words(client.post(sheet, {one: hostile, "go": "submit"}, follow=True))
    assert "You have written 1 of 3. The step asks for at least 2." in text
    page = client.get(sheet).content
    assert b"&lt;script&gt;" in page
    assert b"<script>alert" not in page
    client.post(sheet, {one: hostile, two: "A second prompt.", "go": "submit"})
    text = words(client.post(f"{sheet}/hand-in", follow=True))
    assert "A reviewer reads what you wrote" in text
    attempt = Attempt.objects.get()
    marks = {row.pk: Mark(points=4, comment="Clear.") for row in attempt.answers.all()}
    review_attempt(attempt=attempt, by=rosa, marks=marks)
    text = words(client.get(sheet))
    assert "You reached 4 points of 5 on average; 4 are needed." in text
    assert "4 of 5 points Clear." in text
    assert "Not written." in text


def test_too_little_writing_is_not_handed_in_by_a_form_made_by_hand(ada: User, as_user: AsUser) -> None:
    client = as_user(ada)
    sheet = begin(client, make_writing(3, fewest=2))
    text = words(client.post(f"{sheet}/hand-in", follow=True))
    assert "Write at least 2: there are 0 so far." in text
    assert Attempt.objects.get().state == AttemptState.OPEN


def test_the_page_of_a_timed_step_says_when_it_ends(ada: User, as_user: AsUser) -> None:
    client = as_user(ada)
    page = client.get(begin(client, make_quiz(1, minutes=50))).content.decode()
    (seconds,) = re.findall(r'data-seconds-left="(\d+)"', page)
    assert 2990 <= int(seconds) <= 3000
    assert "frontend/clock.js" in page


def test_a_step_without_a_limit_has_no_clock(ada: User, as_user: AsUser) -> None:
    client = as_user(ada)
    page = client.get(begin(client, make_quiz(1))).content.decode()
    assert "data-seconds-left" not in page
    assert "clock.js" not in page


def test_when_the_time_is_up_the_sheet_is_handed_in_as_saved(ada: User, as_user: AsUser) -> None:
    step = make_quiz(2, minutes=50)
    client = as_user(ada)
    sheet = begin(client, step)
    save_answers(attempt=Attempt.objects.get(), values=answers_to(step, right=2))
    with later(minutes=50, seconds=1):
        text = words(client.get(sheet))
    assert "The time was up: it was handed in as you had saved it." in text
    assert "Passed You reached 100 %" in text


def test_answers_sent_just_after_the_time_count_and_later_ones_do_not(
    ada: User, ben: User, as_user: AsUser
) -> None:
    step = make_quiz(2, minutes=50)
    for user, seconds, score in ((ada, 20, 1.0), (ben, 40, 0.0)):
        client = as_user(user)
        sheet = begin(client, step)
        with later(minutes=50, seconds=seconds):
            client.post(sheet, {**filled(step, right=2)}, follow=True)
        assert Attempt.objects.get(annotator=user).score == score


def test_two_tabs_are_one_try(ada: User, as_user: AsUser) -> None:
    step = make_quiz(1)
    client = as_user(ada)
    assert begin(client, step) == begin(client, step)
    sheet = begin(client, step)
    for _ in range(2):
        client.post(sheet, {**filled(step, right=1), "go": "submit"})
        client.post(f"{sheet}/hand-in")
    assert Attempt.objects.get().state == AttemptState.PASSED


def test_a_sheet_costs_as_many_queries_with_many_questions_as_with_few(
    ada: User, as_user: AsUser, django_assert_max_num_queries: Any
) -> None:
    client = as_user(ada)
    sheet = begin(client, make_quiz(40))
    with django_assert_max_num_queries(5):  # session, user, try, answers, questions
        client.get(sheet)
