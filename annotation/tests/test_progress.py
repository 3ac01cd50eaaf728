"""One person's own figures. Ada works, Ben and Cleo work beside her."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from uuid import uuid4

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import DjangoAssertNumQueries

from annotation.core.grades import Choice
from annotation.core.passes import PassReason
from annotation.core.progress import DAYS, Agreement, agreement_of, chart_of, pace_of
from annotation.models import Batch, Comparison, Judgment, User
from annotation.progress import progress_of
from annotation.services.allocation import lease_next
from annotation.services.batches import seal_batch
from annotation.services.judgments import retract_judgment
from annotation.services.passes import handle_flag, pass_on
from tests.factories import make_batch, make_comparisons, make_judgment, make_user

Pairs = Callable[..., list[Comparison]]
TODAY = date(2026, 3, 15)


def test_pace_counts_active_time_alone() -> None:
    pace = pace_of([60_000, 30_000, 30_000, 30_000, 30_000])
    assert (pace.judgments, pace.an_hour, pace.median_seconds) == (5, 100, 30)


def test_judgments_without_a_time_count_and_are_not_timed() -> None:
    pace = pace_of([None, 0, 36_000, 36_000, 36_000, 36_000, 36_000])
    assert (pace.judgments, pace.an_hour) == (7, 100)


def test_a_pace_of_few_pairs_is_not_told() -> None:
    assert pace_of([1000] * 4).an_hour is None
    assert pace_of([1000] * 5).an_hour == 3600


def test_agreement_is_held_against_the_majority_of_the_others() -> None:
    mine = {1: "a", 2: "a", 3: "b"}
    others = [(1, "a"), (1, "a"), (1, "b"), (2, "b"), (3, "b")]
    assert agreement_of(mine, others) == Agreement(pairs=3, same=2)


def test_a_pair_on_which_the_others_are_split_counts_for_nothing() -> None:
    assert agreement_of({1: "a"}, [(1, "a"), (1, "b")]) == Agreement(0, 0)


def test_a_pair_that_nobody_else_judged_counts_for_nothing() -> None:
    assert agreement_of({1: "a"}, []) == Agreement(0, 0)


@pytest.mark.parametrize(("pairs", "percent"), [(19, None), (20, 50)])
def test_agreement_on_few_pairs_is_not_told(pairs: int, percent: int | None) -> None:
    assert Agreement(pairs, pairs // 2).percent == percent


def test_the_chart_ends_today_and_shows_days_without_work() -> None:
    chart = chart_of([TODAY, TODAY, TODAY - timedelta(days=3)], until=TODAY)
    assert len(chart.bars) == DAYS
    assert [bar.judgments for bar in chart.bars[-4:]] == [1, 0, 0, 2]
    assert [bar.percent for bar in chart.bars[-4:]] == [50, 0, 0, 100]


def test_the_target_fits_into_the_chart_whether_it_is_reached_or_not() -> None:
    assert chart_of([TODAY] * 5, until=TODAY, target=10).target_percent == 100
    assert chart_of([TODAY] * 20, until=TODAY, target=10).target_percent == 50
    assert chart_of([TODAY], until=TODAY).target_percent == 0


@given(st.lists(st.integers(0, 30)), st.integers(0, 500))
def test_a_bar_never_leaves_the_chart(ago: list[int], target: int) -> None:
    chart = chart_of([TODAY - timedelta(days=n) for n in ago], until=TODAY, target=target)
    assert all(0 <= bar.percent <= 100 for bar in chart.bars)
    assert all((bar.percent > 0) == (bar.judgments > 0) for bar in chart.bars)
    assert chart.total == sum(1 for n in ago if n < DAYS)


def judge_all(annotator: User, choice: Choice) -> None:
    while lease_next(annotator=annotator):
        make_judgment(annotator, choice=choice)


def made(judgment: Judgment, *, days_ago: int, active_ms: int | None = None) -> None:
    at = timezone.now() - timedelta(days=days_ago)
    Judgment.objects.filter(pk=judgment.pk).update(created_at=at, active_ms=active_ms)


def test_days_and_paces_are_this_persons_own(ada: User, ben: User, week: Batch, pairs: Pairs) -> None:
    pairs(6)
    for days_ago in (0, 0, 3, 9, 20):
        made(make_judgment(ada), days_ago=days_ago)
    make_judgment(ben)
    progress = progress_of(ada, week)
    assert (progress.today.judgments, progress.recent.judgments, progress.chart.total) == (2, 3, 4)


def test_what_was_taken_back_does_not_count(ada: User, week: Batch, pairs: Pairs) -> None:
    pairs(1)
    retract_judgment(annotator=ada, uid=make_judgment(ada).uid)
    assert progress_of(ada, week).chart.total == 0


def test_agreement_looks_at_this_batch_alone(ada: User, ben: User) -> None:
    last = None
    for choices in ((Choice.A, Choice.A), (Choice.A, Choice.B)):
        batch = make_batch(overlap=2)
        make_comparisons(batch, 3)
        for annotator, choice in zip((ada, ben), choices, strict=True):
            judge_all(annotator, choice)
        last = progress_of(ada, batch).agreement
        seal_batch(batch=batch)
    assert last == Agreement(pairs=3, same=0)


def test_agreement_stays_hidden_where_the_batch_says_so(ada: User, ben: User) -> None:
    batch = make_batch(overlap=2)
    make_comparisons(batch, 1)
    judge_all(ada, Choice.A)
    judge_all(ben, Choice.A)
    Batch.objects.update(shows_agreement=False)
    batch.refresh_from_db()
    assert progress_of(ada, batch).agreement is None


def test_there_is_no_agreement_where_each_pair_has_one_judge(ada: User, week: Batch) -> None:
    assert progress_of(ada, week).agreement is None


def test_flags_wait_until_a_reviewer_has_looked(ada: User, rosa: User, week: Batch, pairs: Pairs) -> None:
    pairs(3)
    rows = []
    for reason in (PassReason.BROKEN, PassReason.TOO_HARD, PassReason.LANGUAGE):
        (pair,) = lease_next(annotator=ada)
        rows.append(pass_on(annotator=ada, comparison_key=pair.key, uid=uuid4(), reason=reason))
    assert progress_of(ada, week).flags_waiting == 2
    handle_flag(flag=rows[0], by=rosa, restore=True)
    assert progress_of(ada, week).flags_waiting == 1


def test_no_flag_of_a_sealed_week_waits(ada: User, week: Batch, pairs: Pairs) -> None:
    (pair,) = pairs(1)
    lease_next(annotator=ada)
    pass_on(annotator=ada, comparison_key=pair.key, uid=uuid4(), reason=PassReason.BROKEN)
    seal_batch(batch=week)
    assert progress_of(ada, week).flags_waiting == 0


def test_figures_cost_as_many_queries_with_much_work_as_with_little(
    ada: User, ben: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    batch = make_batch(overlap=2)
    make_comparisons(batch, 12)
    for annotator in (ada, ben, make_user("cleo")):
        judge_all(annotator, Choice.A)
    with django_assert_num_queries(4):  # recent days, own pairs, the others on them, flags
        progress_of(ada, batch)
