"""Which version is current: what becomes so by itself, what waits, what people decide, and back again."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from threading import Barrier
from typing import Any

import pytest
from django.apps import apps
from django.db import IntegrityError, connection, transaction

from annotation.core.grades import Focus
from annotation.core.states import SnapshotState
from annotation.errors import ConflictError
from annotation.models import AuditEvent, Batch, Role, Snapshot, User
from annotation.services.batches import seal_batch
from annotation.services.snapshots import create_snapshot
from rewardmodel.errors import InvalidReasonError, NotPromotedError
from rewardmodel.models import Promotion, RewardModelVersion
from rewardmodel.services import (
    override_promotion,
    promote_reward_model,
    roll_back_promotion,
    store_comparison,
)
from rewardmodel.standing import current_version, evidence_of, newest_promotion, promotions_of, standing_of
from rewardmodel.tests.promoted import figures, trained
from rewardmodel.tests.scores import make_version
from tests.factories import make_user

pytestmark = pytest.mark.django_db

H = Focus.HELPFULNESS


def current(focus: Focus = H) -> str:
    version = current_version(focus)
    return version.name if version else ""


def said(version: RewardModelVersion) -> str:
    return standing_of(version).sentence


# What nobody is asked about


def test_the_first_of_each_focus_is_current_by_itself() -> None:
    trained("h1")
    trained("s1", focus=Focus.SAFETY)
    assert (current(), current(Focus.SAFETY)) == ("h1", "s1")
    row = Promotion.objects.get(focus=H)
    assert (row.how, row.number, row.previous, row.by) == ("first", 1, None, None)


def test_one_that_passes_takes_the_place_of_the_current_one() -> None:
    first = trained("h1")
    second = trained("h2", against=first, drawn=40)
    assert current() == "h2"
    row = promotions_of(H)[0]
    assert (row.how, row.number, row.previous, row.version) == ("rule", 2, first, second)
    assert row.evidence["against"] == {"name": "h1", "sha256": first.sha256}
    assert row.evidence["figures"]["by_grade"]["better"]["pairs"] == 40
    assert "not worse, beyond the interval" in said(second)


def test_one_that_is_worse_waits_and_says_where() -> None:
    second = trained("h2", against=trained("h1"), lost=40)
    assert current() == "h1"
    assert "worse beyond the interval: “better”" in said(second)
    assert "h1 stays current" in said(second)


def test_one_that_was_not_compared_waits_and_says_what_to_do() -> None:
    trained("h1")
    second = trained("h2")
    assert current() == "h1"
    assert said(second).startswith("It was not compared with h1, the current one")
    assert "Compare the two" in said(second)


def test_figures_against_what_was_current_before_count_for_nothing() -> None:
    first = trained("h1")
    second = trained("h2", against=first, drawn=40)
    late = trained("h3", against=first, won=40)
    assert current() == "h2"
    assert evidence_of(late, second) is None
    assert evidence_of(late, first) is not None


def test_another_model_of_the_same_name_is_told_by_its_hash() -> None:
    first, second = trained("h1"), trained("h2")
    second.metrics = {"against": {"name": "h1", "sha256": "f" * 64, **figures(drawn=40)}}
    assert evidence_of(second, first) is None


def test_two_focuses_do_not_touch_each_other() -> None:
    first = trained("h1")
    trained("s1", focus=Focus.SAFETY)
    trained("h2", against=first, drawn=40)
    assert (current(), current(Focus.SAFETY)) == ("h2", "s1")


@pytest.mark.parametrize("broken", [None, {}, [], "text"])
def test_a_version_without_figures_waits(broken: Any) -> None:
    first, second = trained("h1"), trained("h2")
    second.metrics = {"against": broken}
    assert evidence_of(second, first) is None
    assert not standing_of(second).passes


# All weeks


@pytest.fixture
def part(week: Batch) -> Snapshot:
    """Asked for when a week was sealed that it does not hold."""
    seal_batch(batch=week)
    return Snapshot.objects.create(
        name="part", sha256="1" * 64, rows=1, path="snapshots/part", state=SnapshotState.READY
    )


def test_a_snapshot_that_leaves_out_a_week_is_not_enough_and_says_which(week: Batch, part: Snapshot) -> None:
    second = trained("h2", against=trained("h1"), snapshot=part, drawn=40)
    assert current() == "h1"
    assert f"leaves out {week.name}" in said(second)
    with pytest.raises(NotPromotedError, match="holds all weeks"):
        promote_reward_model(version=second)


def test_a_comparison_on_all_weeks_makes_up_for_it(week: Batch, part: Snapshot) -> None:
    first = trained("h1")
    second = trained("h2", against=first, snapshot=part, drawn=40)
    whole = create_snapshot(batches=[week])
    store_comparison(version=second, against=first, snapshot=whole, run="r", figures=figures(drawn=50))
    assert current() == "h1", "a comparison decides nothing by itself"
    assert standing_of(second).passes
    promote_reward_model(version=second)
    assert promotions_of(H)[0].evidence["source"] == "comparison"


def test_a_week_that_was_sealed_after_the_snapshot_is_not_missed(week: Batch) -> None:
    first = trained("h1")
    second = trained("h2", against=first, drawn=40)
    assert current() == "h2"
    seal_batch(batch=week)
    later = trained("h3", against=second, drawn=40)
    assert later.snapshot.created_at < Batch.objects.get().sealed_at  # type: ignore[operator]
    assert current() == "h3"


def test_the_newest_comparison_counts() -> None:
    first, second = trained("h1"), trained("h2")
    for run, lost in (("a", 40), ("b", 0)):
        found = figures(drawn=40, lost=lost)
        store_comparison(version=second, against=first, snapshot=second.snapshot, run=run, figures=found)
    evidence = evidence_of(second, first)
    assert evidence is not None
    assert (evidence.run, evidence.passes) == ("b", True)


# What people decide


def test_a_researcher_may_promote_what_passes(rosa: User) -> None:
    first, second = trained("h1"), trained("h2")
    found = figures(drawn=40)
    store_comparison(version=second, against=first, snapshot=second.snapshot, run="r", figures=found)
    row = promote_reward_model(version=second, by=rosa)
    assert (current(), row.how, row.by) == ("h2", "rule", rosa)


def test_what_does_not_pass_is_refused_with_the_reason(rosa: User) -> None:
    second = trained("h2", against=trained("h1"), lost=40)
    with pytest.raises(NotPromotedError, match=r"h2 was not promoted. It is worse"):
        promote_reward_model(version=second, by=rosa)
    assert current() == "h1"


def test_an_override_keeps_its_reason_and_the_figures_that_it_went_against(rosa: User) -> None:
    second = trained("h2", against=trained("h1"), lost=40)
    row = override_promotion(version=second, reason="  It knows the new policy.  ", by=rosa)
    assert (current(), row.how, row.reason, row.by) == ("h2", "override", "It knows the new policy.", rosa)
    assert row.evidence["passes"] is False
    assert said(second) == "It is current because somebody decided so."


@pytest.mark.parametrize("reason", ["", "  \n", "x" * 1001, "a\0b"], ids=["none", "blank", "long", "nul"])
def test_an_override_without_a_usable_reason_is_refused(rosa: User, reason: str) -> None:
    trained("h1")
    second = trained("h2")
    with pytest.raises(InvalidReasonError) as refused:
        override_promotion(version=second, reason=reason, by=rosa)
    assert refused.value.errors[0]["field"] == "reason"
    assert current() == "h1"


def test_the_current_one_is_not_promoted_again(rosa: User) -> None:
    first = trained("h1")
    with pytest.raises(ConflictError, match="current helpfulness model already"):
        promote_reward_model(version=first)
    with pytest.raises(ConflictError, match="current helpfulness model already"):
        override_promotion(version=first, reason="Again.", by=rosa)
    assert Promotion.objects.count() == 1


def test_a_version_of_a_house_without_a_current_one_can_be_promoted() -> None:
    version = make_version("old")
    assert said(version).startswith("No helpfulness model is current yet")
    assert promote_reward_model(version=version).how == "first"


# And back again


def test_a_roll_back_leads_to_the_one_before_and_then_further(rosa: User) -> None:
    first = trained("h1")
    second = trained("h2", against=first, drawn=40)
    third = trained("h3", against=second, drawn=40)
    assert roll_back_promotion(version=third, by=rosa).version == second
    assert roll_back_promotion(version=second, by=rosa).version == first
    with pytest.raises(ConflictError, match="nothing to go back to"):
        roll_back_promotion(version=first, by=rosa)
    assert [row.how for row in promotions_of(H)] == ["rollback", "rollback", "rule", "rule", "first"]
    assert said(first).startswith("It is current again")


def test_a_second_click_on_the_same_page_takes_nothing_more_back(rosa: User) -> None:
    first = trained("h1")
    second = trained("h2", against=first, drawn=40)
    third = trained("h3", against=second, drawn=40)
    roll_back_promotion(version=third, by=rosa)
    with pytest.raises(ConflictError, match=r"h3 is not current.* h2 is current now"):
        roll_back_promotion(version=third, by=rosa)
    assert current() == "h2"


def test_what_was_rolled_back_waits_with_the_figures_it_had(rosa: User) -> None:
    first = trained("h1")
    second = trained("h2", against=first, drawn=40)
    roll_back_promotion(version=second, by=rosa)
    assert standing_of(second).passes
    assert promote_reward_model(version=second, by=rosa).number == 4


# Two at once, and what is kept


def test_of_two_that_want_the_same_number_the_database_takes_one() -> None:
    first, second = trained("h1"), make_version("h2")
    with pytest.raises(IntegrityError), transaction.atomic():
        Promotion.objects.create(version=second, focus=H, number=1, how="rule", previous=first)


def test_whoever_comes_second_is_told_and_nothing_of_it_stays(
    rosa: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, second, third = trained("h1"), trained("h2"), trained("h3")
    stale = promotions_of(H)[0]
    override_promotion(version=second, reason="It came first.", by=rosa)
    monkeypatch.setattr("rewardmodel.services.promotions.newest_promotion", lambda focus: stale)
    lines = AuditEvent.objects.count()
    with pytest.raises(ConflictError, match="in the same moment"):
        override_promotion(version=third, reason="It came second.", by=rosa)
    assert (current(), AuditEvent.objects.count()) == ("h2", lines)


def test_a_registration_that_comes_second_still_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    trained("h1")
    monkeypatch.setattr("rewardmodel.services.promotions.newest_promotion", lambda focus: None)
    trained("h2")
    assert RewardModelVersion.objects.filter(name="h2").exists()
    assert current() == "h1"


def test_an_override_without_a_reason_is_refused_by_the_database_too() -> None:
    version = make_version("h1")
    with pytest.raises(IntegrityError), transaction.atomic():
        Promotion.objects.create(version=version, focus=H, number=1, how="override")


def test_promotions_are_only_ever_added() -> None:
    trained("h1")
    row = Promotion.objects.get()
    for change in (row.save, row.delete, Promotion.objects.all().delete):
        with pytest.raises(TypeError, match="append-only"):
            change()
    with pytest.raises(TypeError, match="append-only"):
        Promotion.objects.update(reason="Another.")


def test_each_promotion_has_its_line_in_the_audit(rosa: User) -> None:
    first = trained("h1")
    second = trained("h2", against=first, lost=40)
    override_promotion(version=second, reason="Why not.", by=rosa)
    roll_back_promotion(version=second, by=rosa)
    rows = AuditEvent.objects.filter(object_type="rewardmodelversion").exclude(
        action="rewardmodel.registered"
    )
    lines = rows.order_by("pk").values_list("action", "object_name", "actor_name")
    assert list(lines) == [
        ("rewardmodel.promoted", "h1", ""),
        ("rewardmodel.promoted", "h2", "rosa"),
        ("rewardmodel.rolled_back", "h1", "rosa"),
    ]
    detail = AuditEvent.objects.get(object_name="h2", action="rewardmodel.promoted").detail
    assert detail == {"how": "override", "previous": "h1", "reason": "Why not."}


def test_versions_know_which_of_them_is_current_in_one_query() -> None:
    first = trained("h1")
    trained("h2", against=first, drawn=40)
    trained("h3")
    trained("s1", focus=Focus.SAFETY)
    rows = RewardModelVersion.objects.with_current()
    assert {row.name: vars(row)["current"] for row in rows} == {
        "h1": False,
        "h2": True,
        "h3": False,
        "s1": True,
    }
    ordered = RewardModelVersion.objects.filter(focus=H).current_first()
    assert [row.name for row in ordered] == ["h2", "h3", "h1"]


def test_a_house_that_is_brought_up_to_date_goes_on_with_its_newest_models() -> None:
    for name, focus in (("h1", H), ("s1", Focus.SAFETY), ("h2", H)):
        make_version(name, focus)
    import_module("rewardmodel.migrations.0004_promotions").promote_the_newest(apps, None)
    assert (current(), current(Focus.SAFETY)) == ("h2", "s1")


@pytest.mark.django_db(transaction=True)
def test_of_two_decisions_at_once_one_wins_and_the_other_is_told() -> None:
    """Both have seen the same current model before either writes."""
    if connection.vendor == "sqlite":
        pytest.skip("a transaction that writes has an SQLite database to itself")
    trained("h1")
    versions = [trained("h2"), trained("h3")]
    rosa = make_user("rosa", role=Role.RESEARCHER)
    met = Barrier(2, timeout=20)

    def seen(focus: str) -> Promotion | None:
        newest = newest_promotion(focus)
        met.wait()
        return newest

    def decide(version: RewardModelVersion) -> str:
        try:
            override_promotion(version=version, reason="Now.", by=rosa)
        except ConflictError as refused:
            return refused.message
        finally:
            connection.close()
        return ""

    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(2) as pool:
        patch.setattr("rewardmodel.services.promotions.newest_promotion", seen)
        told = list(pool.map(decide, versions))
    assert sorted(bool(words) for words in told) == [False, True]
    assert any("in the same moment" in words for words in told)
    assert Promotion.objects.count() == 2
