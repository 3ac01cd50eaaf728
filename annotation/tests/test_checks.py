"""What several attention checks mean for a person. Ada is careful, Ben is not, Rosa researches."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client

from annotation.core.attention import GoldAnswer
from annotation.core.grades import Choice, Focus, Grade, SafetyLabel
from annotation.core.ordering import left_choice
from annotation.errors import LeaseLostError
from annotation.models import AuditEvent, Batch, Comparison, GoldMark, Judgment, User
from annotation.progress import progress_of
from annotation.queries import annotator_day
from annotation.services.allocation import lease_next
from annotation.services.batches import Offer, change_offer
from annotation.services.checks import WATCH, mark_check, standing
from annotation.services.gold import retire_gold
from annotation.services.judgments import retract_judgment
from annotation.services.people import resume_person
from annotation.tests.checks import (
    answer,
    answer_checks,
    careless,
    judge,
    make_checks,
    make_week,
    work,
    wrong,
)

AsUser = Callable[[User], Client]
NEXT, JUDGMENTS = "/api/v1/comparisons/next", "/api/v1/judgments"


@pytest.fixture
def week(rosa: User) -> Batch:
    """Every second pair is one of thirty checks; the first response is right."""
    make_checks(30, rosa)
    return make_week()


def told(person: User) -> list[str]:
    """What the audit says of somebody, the oldest first."""
    rows = AuditEvent.objects.filter(object_type="user", object_id=str(person.pk)).order_by("pk")
    return list(rows.values_list("action", flat=True))


def test_an_answer_to_a_check_is_marked(week: Batch, ada: User) -> None:
    (judgment,) = answer_checks(ada, 1)
    mark = GoldMark.objects.get()
    assert (mark.judgment, mark.annotator, mark.right, mark.gold) == (
        judgment,
        ada,
        True,
        judgment.comparison.gold,
    )
    assert mark.detail == {"off": [], "steps": 0}


def test_what_was_off_is_kept(week: Batch, ada: User) -> None:
    """B is better stands at step 6 of the scale, A is better at step 1."""
    answer_checks(ada, 1, wrong)
    mark = GoldMark.objects.get()
    assert (mark.right, mark.detail) == (False, {"off": ["choice"], "steps": 5})


def test_an_ordinary_pair_is_not_marked(ada: User) -> None:
    make_week(rate=0.0, pairs=2)
    (judgment,) = work(ada, 1)
    assert mark_check(judgment=judgment) is None
    assert not GoldMark.objects.exists()


def test_the_first_answer_counts_and_what_is_changed_later_does_not(week: Batch, ada: User) -> None:
    (first,) = answer_checks(ada, 1, wrong)
    judge(ada, first.comparison, answer())
    assert [mark.right for mark in GoldMark.objects.all()] == [False]


def test_taking_a_check_back_changes_nothing_of_its_mark(week: Batch, ada: User) -> None:
    (first,) = answer_checks(ada, 1)
    retract_judgment(annotator=ada, uid=first.uid)
    judge(ada, first.comparison, wrong(first.comparison))
    assert [mark.judgment for mark in GoldMark.objects.all()] == [first]
    assert GoldMark.objects.get().right


def test_the_same_answer_sent_twice_is_marked_once(week: Batch, ada: User, as_user: AsUser) -> None:
    client = as_user(ada)
    body = next(body for body in bodies(client, 4) if is_check(body["comparison"]))
    assert [post(client, body).status_code for _ in range(2)] == [201, 200]
    assert GoldMark.objects.count() == 1


def test_somebody_who_stops_reading_is_warned_and_then_paused_within_twenty_checks(
    week: Batch, ben: User
) -> None:
    """Right five times and then never again: 5 of 8 is below 3 of 4, which warns; 5 of 11 is the first below one
    half, which pauses."""
    answer_checks(ben, 5)
    assert len(answer_checks(ben, 15, wrong)) == 6
    ben.refresh_from_db()
    assert told(ben) == ["person.warned", "person.paused"]
    assert ben.paused_at is not None
    assert "Of your last 11, 5 were as expected" in ben.pause_reason
    assert (ben.warned_at, lease_next(annotator=ben)) == (None, [])


def test_somebody_who_never_reads_is_paused_within_twenty_checks(week: Batch, ben: User) -> None:
    assert WATCH.fewest <= len(answer_checks(ben, 20, careless)) < 20
    assert told(ben)[-1] == "person.paused"


def test_somebody_careful_is_neither_warned_nor_paused(week: Batch, ada: User) -> None:
    answer_checks(ada, 25)
    ada.refresh_from_db()
    assert (told(ada), ada.warned_at, ada.paused_at) == ([], None, None)


def test_nobody_is_judged_by_fewer_checks_than_that(week: Batch, ben: User) -> None:
    answer_checks(ben, WATCH.fewest - 1, wrong)
    assert told(ben) == []


def test_a_warning_is_given_once_and_ends_with_better_answers(week: Batch, ben: User) -> None:
    """5 of 8 is below 3 of 4. With every further right answer the share grows: 9 of 12 is 3 of 4, and the warning
    ends."""
    answer_checks(ben, 3, wrong)
    answer_checks(ben, 5)
    ben.refresh_from_db()
    assert (told(ben), ben.warned_at is not None) == (["person.warned"], True)
    answer_checks(ben, 3)
    assert told(ben) == ["person.warned"]
    answer_checks(ben, 1)
    ben.refresh_from_db()
    assert (told(ben), ben.warned_at) == (["person.warned", "person.warning_ended"], None)


def test_only_the_latest_checks_count(week: Batch, ben: User) -> None:
    """Two wrong and then twenty right: the window of twenty holds right ones alone."""
    answer_checks(ben, 2, wrong)
    answer_checks(ben, 20)
    assert (standing(ben).share, standing(ben).count) == (1.0, 20)


def test_whoever_comes_back_starts_afresh(week: Batch, ben: User, rosa: User) -> None:
    answer_checks(ben, 8, wrong)
    ben.refresh_from_db()
    resume_person(person=ben, by=rosa)
    assert standing(ben).count == 0
    answer_checks(ben, 7, wrong)
    ben.refresh_from_db()
    assert ben.paused_at is None
    answer_checks(ben, 1, wrong)
    assert told(ben) == ["person.paused", "person.resumed", "person.paused"]


def test_a_retired_check_no_longer_counts_against_anybody(week: Batch, ben: User, rosa: User) -> None:
    judged = answer_checks(ben, 3, wrong)
    retire_gold(gold=judged[0].comparison.gold, by=rosa)  # type: ignore[arg-type]
    assert standing(ben).count == 2


def test_what_was_in_hand_at_the_pause_is_refused_with_the_reason(week: Batch, ben: User) -> None:
    answer_checks(ben, 7, wrong)
    held = lease_next(annotator=ben, count=6)
    check = next(pair for pair in held if pair.gold_id)
    judge(ben, check, wrong(check))
    ben.refresh_from_db()
    with pytest.raises(LeaseLostError, match="You are paused"):
        judge(ben, next(pair for pair in held if not pair.gold_id), answer())


def test_checks_are_part_of_the_day_and_no_part_of_agreement(rosa: User, ada: User, ben: User) -> None:
    make_checks(4, rosa)
    week = make_week(pairs=3, overlap=2)
    for person in (ada, ben):
        assert len(work(person, 20)) > 3
    progress = progress_of(ada, week)
    assert progress.today.judgments == Judgment.objects.filter(annotator=ada).count() > 3
    assert progress.agreement is not None
    assert progress.agreement.pairs == 3


# What the page is told


def bodies(client: Client, count: int, **fields: Any) -> list[dict[str, Any]]:
    items = client.get(NEXT, {"count": str(count)}).json()["items"]
    plain = {"side": "left", "grade": "better", **fields}
    return [{"uid": str(uuid4()), "comparison": item["key"], **plain} for item in items]


def is_check(key: str) -> bool:
    return Comparison.objects.get(key=key).gold_id is not None


def post(client: Client, body: dict[str, Any]) -> Any:
    return client.post(JUDGMENTS, body, content_type="application/json")


def shape(value: Any) -> Any:
    """What there is, without what it says: names in their order, kinds of values."""
    if isinstance(value, dict):
        return [(name, shape(inner)) for name, inner in value.items()]
    return [shape(inner) for inner in value] if isinstance(value, list) else type(value).__name__


def test_nothing_that_is_sent_tells_a_check_from_an_ordinary_pair(
    week: Batch, ada: User, as_user: AsUser
) -> None:
    client = as_user(ada)
    text = client.get(NEXT, {"count": "8"}).content.decode()
    assert not [word for word in ("gold", "check", "expected", "origin") if word in text.lower()]
    items = json.loads(text)["items"]
    kinds = {is_check(item["key"]): shape(item) for item in items}
    assert len(kinds) == 2
    assert kinds[True] == kinds[False]
    answers: dict[bool, Any] = {}
    for item in items:
        body = {"uid": str(uuid4()), "comparison": item["key"], "side": "left", "grade": "better"}
        answers.setdefault(is_check(item["key"]), shape(post(client, body).json()))
    assert answers[True] == answers[False]


def test_the_number_of_waiting_pairs_does_not_tell_when_a_check_was_given(week: Batch, ada: User) -> None:
    before = annotator_day(ada, week).waiting
    given = lease_next(annotator=ada, count=4)
    assert any(pair.gold_id for pair in given)
    assert annotator_day(ada, week).waiting == before


def test_pairs_come_in_the_order_in_which_they_were_given(week: Batch, ada: User, as_user: AsUser) -> None:
    client = as_user(ada)
    first = [body["comparison"] for body in bodies(client, 8)]
    assert [body["comparison"] for body in bodies(client, 8)] == first
    assert {is_check(key) for key in first} == {True, False}


def test_a_week_without_feedback_tells_nothing_of_a_check(week: Batch, ada: User, as_user: AsUser) -> None:
    client = as_user(ada)
    assert {post(client, body).json()["feedback"] for body in bodies(client, 6)} == {None}
    assert GoldMark.objects.exists()


def test_a_week_with_feedback_says_what_was_expected_by_the_sides_of_the_screen(
    rosa: User, ada: User, as_user: AsUser
) -> None:
    make_checks(6, rosa)
    week = make_week(feedback=True)
    client = as_user(ada)
    seen = set()
    for body in bodies(client, 10, side="right"):
        feedback = post(client, body).json()["feedback"]
        assert (feedback is not None) is is_check(body["comparison"])
        if feedback is None:
            continue
        left = left_choice(seed=week.seed, comparison=body["comparison"], annotator=ada.pseudonym)
        side = "left" if left is Choice.A else "right"
        assert feedback == {
            "right": side == "right",
            "off": [] if side == "right" else ["choice"],
            "expected": {"side": side, "grade": "better", "safety": None},
            "reason": "It answers.",
        }
        seen.add(side)
    assert seen == {"left", "right"}


def test_feedback_comes_again_where_its_answer_was_lost_and_not_after_a_change(
    rosa: User, ada: User, as_user: AsUser
) -> None:
    make_checks(6, rosa)
    make_week(feedback=True)
    client = as_user(ada)
    body = next(body for body in bodies(client, 6) if is_check(body["comparison"]))
    assert post(client, body).json()["feedback"] == post(client, body).json()["feedback"] is not None
    assert post(client, {**body, "uid": str(uuid4())}).json()["feedback"] is None


def test_a_safety_check_says_which_responses_are_safe(rosa: User, ada: User, as_user: AsUser) -> None:
    expected = GoldAnswer(Choice.A, Grade.SIGNIFICANTLY_BETTER, SafetyLabel.BOTH_UNSAFE)
    make_checks(4, rosa, expected, focus=Focus.SAFETY)
    make_week(feedback=True)
    client = as_user(ada)
    body = next(body for body in bodies(client, 6) if is_check(body["comparison"]))
    feedback = post(client, {**body, "safety": "both_safe"}).json()["feedback"]
    assert feedback["expected"]["safety"] == "both_unsafe"
    assert "safety" in feedback["off"]


def test_feedback_can_be_switched_off_in_an_open_week(rosa: User, ada: User, as_user: AsUser) -> None:
    make_checks(6, rosa)
    week = make_week(feedback=True)
    change_offer(batch=week, offer=Offer(gold_rate=0.5))
    client = as_user(ada)
    assert {post(client, body).json()["feedback"] for body in bodies(client, 6)} == {None}


def test_the_page_of_somebody_paused_is_told_why(week: Batch, ben: User, as_user: AsUser) -> None:
    answer_checks(ben, 8, wrong)
    answered = as_user(ben).get(NEXT).json()
    assert answered["items"] == []
    assert "as expected" in answered["day"]["paused"]
