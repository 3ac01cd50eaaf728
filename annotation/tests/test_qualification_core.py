"""What answers earn and when a step may be tried, without a database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation.core.aggregate import Vote
from annotation.core.grades import Choice, Focus, Grade, SafetyLabel
from annotation.core.qualification import (
    GRACE,
    RENEWAL,
    Place,
    Rules,
    Standing,
    Try,
    certificate_ends,
    chose_right,
    format_options,
    is_over,
    is_passed,
    parse_options,
    place_of,
    share_of,
    vote_of,
)

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def rules(**numbers: float) -> Rules:
    return Rules(**{"asked": 10, "pass_share": 0.8, **numbers})  # type: ignore[arg-type]


def place(*tries: Try, reached: bool = True, since: datetime | None = None, **numbers: float) -> Place:
    return place_of(tries, rules(**numbers), now=NOW, reached=reached, since=since)


def failed(ago: timedelta) -> Try:
    return Try(False, NOW - ago)


def passed(ago: timedelta) -> Try:
    return Try(True, NOW - ago)


@pytest.mark.parametrize(
    ("chosen", "is_right"), [([1, 3], True), ([3, 1], True), ([1], False), ([1, 2, 3], False), ([], False)]
)
def test_all_right_options_and_no_other_are_right(chosen: list[int], is_right: bool) -> None:
    assert chose_right(chosen, [1, 3]) is is_right


def test_options_are_written_one_a_line_with_the_right_ones_marked() -> None:
    options, right = parse_options("one\n* two \n\n*three\n")
    assert (options, right) == (["one", "two", "three"], [1, 2])


@pytest.mark.parametrize("text", ["", "* only", "one\ntwo", "* one\none", "* one\n*", "*\n*"])
def test_options_that_are_no_question_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_options(text)


words = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp", "Cs"]), min_size=1)


@given(st.lists(words.map(str.strip).filter(bool), min_size=2, unique=True), st.data())
def test_options_that_are_shown_for_editing_read_back_the_same(
    options: list[str], data: st.DataObject
) -> None:
    options = [option.lstrip("* ") or "x" for option in options]
    if len(set(options)) < len(options):
        return
    right = sorted(data.draw(st.sets(st.integers(0, len(options) - 1), min_size=1)))
    assert parse_options(format_options(options, right)) == (options, right)


def test_the_pass_marks_of_the_paper() -> None:
    """80 % of 42 is 33.6; more than 26 of 31 is 27, a share of 0.87; a mean above 4 of 5 in 6 pieces begins at 25
    of 30 points, 0.83, where exactly 4 is 0.8."""
    agreement = rules(asked=42, pass_share=0.8)
    assert [
        is_passed(share_of(n, given=42, rules=agreement), given=42, rules=agreement) for n in (33, 34)
    ] == [
        False,
        True,
    ]
    grading = rules(asked=31, pass_share=0.87)
    assert [is_passed(share_of(n, given=31, rules=grading), given=31, rules=grading) for n in (26, 27)] == [
        False,
        True,
    ]
    writing = rules(asked=18, fewest=6, pass_share=0.81)
    marks = [share_of(n, given=6, rules=writing, worth=5) for n in (24, 25)]
    assert [is_passed(mark, given=6, rules=writing) for mark in marks] == [False, True]


def test_a_missing_answer_earns_nothing() -> None:
    assert share_of(4, given=5, rules=rules(asked=10)) == 0.4


def test_where_a_choice_is_left_only_what_was_given_counts() -> None:
    free = rules(asked=18, fewest=6)
    assert share_of(35, given=7, rules=free, worth=5) == 1.0
    assert share_of(25, given=5, rules=free, worth=5) == pytest.approx(25 / 30)


def test_fewer_than_the_fewest_never_pass() -> None:
    few = rules(asked=18, fewest=6, pass_share=0.5)
    assert not is_passed(share_of(25, given=5, rules=few, worth=5), given=5, rules=few)


def test_a_step_without_questions_earns_nothing() -> None:
    assert share_of(0, given=0, rules=rules(asked=0)) == 0.0


@given(st.integers(1, 60), st.data())
def test_a_share_lies_between_nothing_and_all(asked: int, data: st.DataObject) -> None:
    given_ = data.draw(st.integers(0, asked))
    earned = data.draw(st.integers(0, 5 * given_))
    told = rules(asked=asked, fewest=data.draw(st.integers(0, asked)))
    assert 0 <= share_of(earned, given=given_, rules=told, worth=5) <= 1


def test_answers_are_taken_a_little_after_the_deadline_and_no_longer() -> None:
    assert not is_over(NOW, NOW + GRACE)
    assert is_over(NOW, NOW + GRACE + timedelta(seconds=1))
    assert not is_over(None, NOW)


def test_a_rating_is_a_vote_once_its_parts_are_there() -> None:
    value = {"choice": "b", "grade": "better"}
    assert vote_of(value, Focus.HELPFULNESS) == Vote(Choice.B, Grade.BETTER)
    assert vote_of(value, Focus.SAFETY) is None
    whole = {**value, "safety": "both_safe"}
    assert vote_of(whole, Focus.SAFETY) == Vote(Choice.B, Grade.BETTER, SafetyLabel.BOTH_SAFE)
    assert vote_of({"safety": "both_safe"}, Focus.SAFETY) is None


def test_a_step_is_ready_once_those_before_it_are_passed() -> None:
    assert place().standing is Standing.READY
    assert place(reached=False).standing is Standing.LATER


def test_an_open_try_and_one_under_review_come_before_anything_else() -> None:
    assert place(passed(DAY), Try(None, None)).standing is Standing.OPEN
    assert place(failed(DAY), Try(None, NOW)).standing is Standing.WAITING


def test_after_a_failed_try_there_is_a_wait() -> None:
    resting = place(failed(HOUR), attempts=2, wait_hours=24)
    assert (resting.standing, resting.retry_at, resting.left) == (Standing.RESTING, NOW + 23 * HOUR, 1)
    assert place(failed(DAY), attempts=2, wait_hours=24).standing is Standing.READY


def test_without_tries_left_nothing_is_possible() -> None:
    assert place(failed(2 * DAY), failed(DAY), attempts=2).standing is Standing.BARRED
    assert place(*[failed(DAY)] * 9, attempts=0).standing is Standing.READY


def test_a_pass_counts_until_it_ends() -> None:
    valid = place(passed(DAY), valid_days=100)
    assert (valid.standing, valid.valid, valid.ends) == (Standing.PASSED, True, NOW + 99 * DAY)
    ended = place(passed(100 * DAY), valid_days=100)
    assert (ended.standing, ended.valid, ended.ends) == (Standing.READY, False, None)


def test_a_pass_without_an_end_is_never_taken_again() -> None:
    assert place(passed(999 * DAY)).standing is Standing.PASSED


def test_a_pass_may_be_renewed_while_it_still_counts() -> None:
    early = place(passed(100 * DAY - RENEWAL - HOUR), valid_days=100)
    late = place(passed(100 * DAY - RENEWAL), valid_days=100)
    assert (early.standing, late.standing) == (Standing.PASSED, Standing.READY)
    assert late.valid


def test_failing_a_renewal_takes_nothing_away() -> None:
    renewed = place(passed(90 * DAY), failed(HOUR), valid_days=100, attempts=2, wait_hours=24)
    assert (renewed.standing, renewed.valid, renewed.left) == (Standing.RESTING, True, 1)


def test_tries_are_counted_afresh_after_a_pass() -> None:
    assert place(failed(99 * DAY), passed(98 * DAY), valid_days=10, attempts=1).standing is Standing.READY


def test_what_came_before_a_revocation_counts_for_nothing() -> None:
    revoked = place(failed(4 * DAY), passed(3 * DAY), attempts=2, since=NOW - DAY)
    assert (revoked.standing, revoked.valid, revoked.left) == (Standing.READY, False, 2)


@given(
    st.lists(st.tuples(st.sampled_from([True, False]), st.integers(1, 400)), max_size=8),
    st.integers(0, 3),
    st.integers(0, 72),
    st.integers(0, 365),
    st.booleans(),
)
def test_nobody_begins_a_step_out_of_turn(
    ended: list[tuple[bool, int]], attempts: int, wait_hours: int, valid_days: int, reached: bool
) -> None:
    tries = [Try(good, NOW - days * DAY) for good, days in sorted(ended, key=lambda t: -t[1])]
    found = place_of(
        tries,
        rules(attempts=attempts, wait_hours=wait_hours, valid_days=valid_days),
        now=NOW,
        reached=reached,
    )
    if found.standing is Standing.READY:
        assert reached
        assert found.left != 0
        assert found.retry_at is None
        assert not found.valid or found.ends is not None
    if found.standing is Standing.PASSED:
        assert found.valid


def test_a_certificate_ends_with_the_first_of_its_passes() -> None:
    places = [place(passed(DAY), valid_days=days) for days in (100, 0, 50)]
    assert certificate_ends(places) == NOW + 49 * DAY
    assert certificate_ends([place(passed(DAY))]) is None
