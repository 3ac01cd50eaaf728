"""Where attention checks come from, and how they get into a week. Ada and Ben annotate, Rosa researches."""

from __future__ import annotations

from collections.abc import Callable
from uuid import uuid4

import pytest

from annotation.checking import answer_of, candidates, doubtful, is_doubtful, with_shares
from annotation.core.attention import GoldAnswer
from annotation.core.grades import Choice, Focus, Grade, SafetyLabel
from annotation.core.passes import PassReason
from annotation.core.recipe import Recipe
from annotation.core.states import ComparisonState
from annotation.errors import ConflictError, DomainError, InvalidJudgmentError
from annotation.models import AuditEvent, Batch, Comparison, Gold, GoldMark, Judgment, User
from annotation.overview import counts_by_focus, seal_preview
from annotation.queries import batch_progress
from annotation.services.allocation import lease_next
from annotation.services.batches import create_batch, open_batch, seal_batch
from annotation.services.gold import activate_gold, add_gold, promote_unanimous, retire_gold, stock_gold
from annotation.services.passes import pass_on
from annotation.services.snapshot_rows import chosen
from annotation.tests.checks import (
    RIGHT,
    answer,
    answer_checks,
    careful,
    judge,
    make_checks,
    make_week,
    wrong,
)
from tests.factories import make_batch, make_comparisons, make_judgment, make_user

Pairs = Callable[..., list[Comparison]]


def checks_of(batch: Batch) -> list[Comparison]:
    return list(batch.comparisons.filter(gold__isnull=False).order_by("pk"))


def test_a_pair_becomes_a_check_and_stays_what_it_is(rosa: User, week: Batch, pairs: Pairs) -> None:
    (pair,) = pairs(1)
    gold = add_gold(comparison=pair, answer=RIGHT, reason=" It answers. ", by=rosa)
    pair.refresh_from_db()
    assert (answer_of(gold), gold.reason, gold.origin) == (RIGHT, "It answers.", Gold.Origin.WRITTEN)
    assert (pair.gold, pair.state) == (None, ComparisonState.OPEN)
    assert AuditEvent.objects.get(action="gold.added").actor == rosa


def test_weeks_that_are_open_get_a_new_check_at_once(rosa: User, week: Batch) -> None:
    (gold,) = make_checks(1, rosa)
    assert [check.gold for check in checks_of(week)] == [gold]


def test_a_week_gets_no_check_made_of_its_own_pair(rosa: User, week: Batch, pairs: Pairs) -> None:
    add_gold(comparison=pairs(1)[0], answer=RIGHT, by=rosa)
    assert checks_of(week) == []
    assert len(checks_of(make_batch())) == 1


def test_stocking_again_adds_nothing(rosa: User, week: Batch) -> None:
    make_checks(3, rosa)
    assert stock_gold(batch=week) == 0
    assert len(checks_of(week)) == 3


@pytest.mark.parametrize("is_sealed", [False, True])
def test_a_week_that_is_not_open_gets_none(rosa: User, is_sealed: bool) -> None:
    batch = seal_batch(batch=make_batch()) if is_sealed else create_batch()
    make_checks(1, rosa)
    assert stock_gold(batch=batch) == 0
    assert checks_of(batch) == []


def test_one_pair_is_one_check(rosa: User, pairs: Pairs) -> None:
    (pair,) = pairs(1)
    add_gold(comparison=pair, answer=RIGHT, by=rosa)
    with pytest.raises(ConflictError, match="check already"):
        add_gold(comparison=pair, answer=RIGHT, by=rosa)


def test_a_check_is_not_made_of_a_check(rosa: User, week: Batch) -> None:
    make_checks(1, rosa)
    with pytest.raises(ConflictError, match="check's own"):
        add_gold(comparison=checks_of(week)[0], answer=RIGHT, by=rosa)


def test_a_pair_that_was_taken_out_becomes_no_check(rosa: User, ada: User, pairs: Pairs) -> None:
    pairs(1)
    (pair,) = lease_next(annotator=ada)
    pass_on(annotator=ada, comparison_key=pair.key, uid=uuid4(), reason=PassReason.UNSAFE)
    pair.refresh_from_db()
    with pytest.raises(ConflictError, match="taken out"):
        add_gold(comparison=pair, answer=RIGHT, by=rosa)


@pytest.mark.parametrize(
    ("expected", "error"),
    [
        (GoldAnswer(Choice.A, safety=SafetyLabel.BOTH_SAFE), InvalidJudgmentError),
        (GoldAnswer(Choice.A, tolerance=8), DomainError),
    ],
)
def test_a_label_that_does_not_fit_is_refused(
    rosa: User, pairs: Pairs, expected: GoldAnswer, error: type[DomainError]
) -> None:
    with pytest.raises(error):
        add_gold(comparison=pairs(1)[0], answer=expected, by=rosa)
    assert not Gold.objects.exists()


def test_a_label_that_a_reviewer_set_makes_an_adjudicated_check(rosa: User, ada: User, pairs: Pairs) -> None:
    (pair,) = pairs(1)
    make_judgment(ada, choice=Choice.B)
    columns = {"comparison": pair, "annotator": rosa, "focus": pair.focus, "grade": Grade.BETTER}
    Judgment.objects.create(**columns, choice=Choice.A, source=Judgment.Source.REVIEW)
    assert add_gold(comparison=pair, answer=RIGHT, by=rosa).origin == Gold.Origin.ADJUDICATED


def agreed(people: list[User], grade: Grade, *, count: int = 1, choices: str = "aaa") -> Batch:
    """An open week with `count` pairs that all of them judged."""
    batch = make_batch(overlap=len(people))
    make_comparisons(batch, count)
    for person, choice in zip(people, choices, strict=False):
        for _ in range(count):
            make_judgment(person, choice=Choice(choice), grade=grade)
    return batch


@pytest.fixture
def three(ada: User, ben: User) -> list[User]:
    return [ada, ben, make_user("cleo")]


def test_pairs_that_people_judged_clearly_and_alike_are_candidates(three: list[User]) -> None:
    batch = agreed(three, Grade.BETTER, count=2)
    found = candidates(batch, limit=5)
    assert [(one.vote.choice, one.vote.grade, one.people) for one in found] == [("a", "better", 3)] * 2
    assert len(candidates(batch, limit=1)) == 1


@pytest.mark.parametrize(
    ("grade", "choices"), [(Grade.BETTER, "aab"), (Grade.SLIGHTLY_BETTER, "aaa"), (Grade.BETTER, "aa")]
)
def test_close_calls_disputes_and_too_few_are_none(three: list[User], grade: Grade, choices: str) -> None:
    assert candidates(agreed(three, grade, choices=choices), limit=5) == []


def test_candidates_are_promoted_once_and_the_audit_says_how_many(three: list[User], rosa: User) -> None:
    batch = agreed(three, Grade.SIGNIFICANTLY_BETTER, count=3)
    assert promote_unanimous(batch=batch, limit=2, by=rosa) == 2
    assert promote_unanimous(batch=batch, limit=2, by=rosa) == 1
    with pytest.raises(ConflictError, match="No pair"):
        promote_unanimous(batch=batch, limit=2, by=rosa)
    assert set(Gold.objects.values_list("origin", "grade", "tolerance")) == {
        (Gold.Origin.PROMOTED, Grade.SIGNIFICANTLY_BETTER, 1)
    }
    assert [event.detail["pairs"] for event in AuditEvent.objects.filter(action="gold.promoted")] == [1, 2]


def test_promoting_asks_no_more_for_many_pairs_than_for_few(
    three: list[User], django_assert_max_num_queries: Callable[[int], object]
) -> None:
    batch = agreed(three, Grade.BETTER, count=12)
    with django_assert_max_num_queries(2):  # type: ignore[attr-defined]
        assert len(candidates(batch, limit=12)) == 12


def test_a_retired_check_is_drawn_no_more(rosa: User, ada: User) -> None:
    gold = make_checks(1, rosa)[0]
    week = make_week()
    retire_gold(gold=gold, by=rosa)
    assert answer_checks(ada, 1) == []
    assert checks_of(make_week()) == []
    activate_gold(gold=gold, by=rosa)
    assert [check.state for check in checks_of(week)] == [ComparisonState.OPEN]
    told = AuditEvent.objects.filter(object_type="gold").values_list("action", flat=True)
    assert list(told) == ["gold.activated", "gold.retired", "gold.added"]


def test_a_check_that_a_flag_keeps_out_stays_out(rosa: User, ada: User) -> None:
    (gold,) = make_checks(1, rosa)
    week = make_week()
    pair = next(pair for pair in _given(ada, 2) if pair.gold_id)
    pass_on(annotator=ada, comparison_key=pair.key, uid=uuid4(), reason=PassReason.BROKEN)
    retire_gold(gold=gold, by=rosa)
    activate_gold(gold=gold, by=rosa)
    assert [check.state for check in checks_of(week)] == [ComparisonState.WITHDRAWN]


def _given(person: User, count: int) -> list[Comparison]:
    return lease_next(annotator=person, count=count)


def test_a_check_that_careful_people_miss_is_called_into_question(rosa: User) -> None:
    """Four careful people miss it, of whom one is right: 1 of 4 is less than half. Whom checks gave cause to doubt
    does not speak."""
    (gold,) = make_checks(1, rosa)
    make_week(pairs=20)
    people = [make_user(f"person-{n}") for n in range(5)]
    for person, way in zip(people, (wrong, wrong, wrong, careful, careful), strict=True):
        answer_checks(person, 1, way)
    User.objects.filter(pk=people[4].pk).update(warned_at="2026-03-02T09:00Z")
    row = doubtful(with_shares(Gold.objects.all())).get()
    assert (row.pk, row.answered_n, row.right_n, row.careful_n, row.careful_right_n) == (gold.pk, 5, 2, 4, 1)


@pytest.mark.parametrize(
    ("careful_ones", "right", "doubted"), [(3, 0, False), (4, 1, True), (4, 2, False), (9, 4, True)]
)
def test_fewer_than_half_of_enough_careful_people(careful_ones: int, right: int, doubted: bool) -> None:
    assert is_doubtful(careful=careful_ones, right=right) is doubted


def test_checks_count_in_no_figure_of_the_week_and_become_no_data(rosa: User, ada: User) -> None:
    make_checks(4, rosa)
    week = make_week(pairs=3)
    judged = answer_checks(ada, 2)
    ordinary = Judgment.objects.counting().count()
    assert len(judged) == 2
    assert batch_progress(week).comparisons == 3
    assert batch_progress(week).judgments == ordinary
    assert sum(count.judgments for count in counts_by_focus(week)) == ordinary
    preview = seal_preview(week)
    assert (preview.comparisons, preview.judged, preview.judgments) == (3, ordinary, ordinary)
    assert not any(pair.gold_id for pair in chosen(week, Recipe()))


def test_no_check_of_a_focus_that_somebody_did_not_agree_to(rosa: User) -> None:
    make_checks(2, rosa, GoldAnswer(Choice.A, safety=SafetyLabel.BOTH_SAFE), focus=Focus.SAFETY)
    make_week(pairs=6)
    shy = make_user("shy", safety=False)
    assert {pair.focus for pair in _given(shy, 6)} == {Focus.HELPFULNESS}


def test_sealing_a_week_holds_out_no_check(rosa: User, ada: User) -> None:
    make_checks(4, rosa)
    week = make_week(pairs=3)
    for pair in _given(ada, 5):
        judge(ada, pair, answer())
    assert GoldMark.objects.count() > 0
    seal_batch(batch=week)
    assert week.events.latest("pk").detail["examples"] == Judgment.objects.counting().count()


def test_a_check_of_an_earlier_week_is_drawn_in_the_next(rosa: User, ada: User) -> None:
    (gold,) = make_checks(1, rosa)
    first = make_week(pairs=4)
    answer_checks(ada, 1)
    seal_batch(batch=first)
    second = open_batch(batch=create_batch())
    assert [check.gold for check in checks_of(second)] == [gold]
