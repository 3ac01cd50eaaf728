"""A week is planned, proposed from the last one, and opened and sealed by the clock."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
import time_machine
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from annotation.admin.batch_forms import PlanForm, initial_from, initial_of
from annotation.core.curriculum import Mix
from annotation.core.grades import Choice, Focus, Grade
from annotation.core.plan import Plan, PlanError
from annotation.core.states import BatchState
from annotation.errors import BatchSealedError, InvalidPlanError
from annotation.models import AuditEvent, Batch, Comparison, User
from annotation.queries import guideline_ids, guideline_in_force, guidelines_in_force
from annotation.services.allocation import lease_next
from annotation.services.batches import (
    Offer,
    change_offer,
    create_batch,
    open_batch,
    propose_batch,
    seal_batch,
    tend_batches,
)
from annotation.services.guidelines import add_guideline
from annotation.services.judgments import Answer, submit_judgment
from annotation.tasks import tend_weeks
from tests.factories import form_data

Pairs = Callable[..., list[Comparison]]
MONDAY = datetime(2026, 10, 19, 7, 0, tzinfo=UTC)  # 09:00 in Berlin, where the clocks go back on the 25th


def test_a_plan_goes_to_json_and_back() -> None:
    plan = Plan(
        policies=("V2", "V1"), coolest=0.5, hottest=1.2, mix=Mix(easy=0.2, middle=0.3, hard=0.5, turns=3)
    )
    assert Plan.from_json(plan.to_json()) == plan


def test_nothing_said_is_the_default_plan() -> None:
    assert Plan.from_json({}) == Plan()


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({"coolest": 2, "hottest": 1}, "hottest"),
        ({"coolest": "warm"}, "coolest"),
        ({"policies": "V1"}, "policies"),
        ({"colour": "red"}, "colour"),
        ({"mix": {"easy": 0.9}}, "hard"),
    ],
)
def test_what_cannot_be_in_a_plan_is_named(data: dict[str, object], field: str) -> None:
    with pytest.raises(PlanError) as refusal:
        Plan.from_json(data)
    assert [error["field"] for error in refusal.value.errors] == [field]


def test_a_range_of_temperatures_goes_in_tenths_and_has_both_ends() -> None:
    assert Plan(coolest=0.7, hottest=1.0).temperatures == (0.7, 0.8, 0.9, 1.0)
    assert Plan(coolest=0.7, hottest=0.75).temperatures == (0.7, 0.75)
    assert Plan(coolest=1.0, hottest=1.0).temperatures == (1.0,)


def test_the_following_plan_is_harder_and_longer_and_names_no_policy() -> None:
    plan = Plan(policies=("V2",), mix=Mix(turns=2)).following()
    assert (plan.policies, plan.mix.turns) == ((), 3)
    assert (plan.mix.easy, plan.mix.hard) == (0.5, 0.2)


def test_the_next_week_is_the_same_again_a_week_later_by_the_clock_on_the_wall(db: None) -> None:
    with time_machine.travel(MONDAY - timedelta(days=1), tick=False):
        offer = Offer(
            time_zone="Europe/Berlin", opens_at=MONDAY, seals_at=MONDAY + timedelta(days=5), daily_target=80
        )
        first = create_batch(overlap=3, seed=4, offer=offer)
        proposal = propose_batch(after=first)
    # On the 26th Berlin is an hour closer to UTC: nine o'clock there is eight here.
    assert proposal.offer.opens_at == datetime(2026, 10, 26, 8, 0, tzinfo=UTC)
    assert (proposal.name, proposal.overlap, proposal.seed) == ("Week 2", 3, 5)
    assert proposal.offer.daily_target == 80


def test_a_week_is_never_proposed_for_the_past(db: None) -> None:
    with time_machine.travel(MONDAY, tick=False):
        first = create_batch(offer=Offer(opens_at=MONDAY, seals_at=MONDAY + timedelta(days=5)))
    with time_machine.travel(MONDAY + timedelta(days=30), tick=False):
        opens = propose_batch(after=first).offer.opens_at
        assert opens is not None
        assert timezone.now() < opens <= timezone.now() + timedelta(days=7)


def test_the_first_week_is_proposed_from_nothing(db: None) -> None:
    assert propose_batch(after=None).offer == Offer()


def test_the_clock_opens_and_seals(db: None) -> None:
    now = timezone.now()
    batch = create_batch(offer=Offer(opens_at=now + timedelta(hours=1), seals_at=now + timedelta(hours=2)))
    assert tend_batches() == []
    with time_machine.travel(now + timedelta(minutes=61)):
        tend_weeks()
        batch.refresh_from_db()
        assert batch.state == BatchState.OPEN
    with time_machine.travel(now + timedelta(minutes=121)):
        tend_weeks()
        tend_weeks()
        batch.refresh_from_db()
        assert batch.state == BatchState.SEALED
    assert [(e.state, e.by) for e in batch.events.all()] == [(s, None) for s in ("planned", "open", "sealed")]


def test_a_week_that_cannot_be_moved_keeps_no_other_from_its_time(
    db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    soon = timezone.now() + timedelta(minutes=1)
    stuck, other = (create_batch(offer=Offer(opens_at=soon)) for _ in range(2))

    def refuse(*, batch: Batch) -> int:
        if batch == stuck:
            raise BatchSealedError("not today")
        return 0

    monkeypatch.setattr("annotation.services.batches.stock_gold", refuse)
    with time_machine.travel(soon + timedelta(minutes=1)):
        assert tend_batches() == [other]
    stuck.refresh_from_db()
    assert stuck.state == BatchState.PLANNED


def test_a_judgment_that_comes_after_the_clock_has_sealed_is_refused_clearly(
    ada: User, week: Batch, pairs: Pairs
) -> None:
    pairs(1)
    (pair,) = lease_next(annotator=ada)
    seals = timezone.now() + timedelta(minutes=5)
    change_offer(batch=week, offer=Offer(seals_at=seals))
    with time_machine.travel(seals + timedelta(seconds=1)):
        tend_weeks()
        with pytest.raises(BatchSealedError, match="was not stored"):
            submit_judgment(
                annotator=ada,
                comparison_key=pair.key,
                uid=uuid4(),
                answer=Answer(choice=Choice.A, grade=Grade.BETTER),
            )


@pytest.mark.parametrize(
    ("offer", "field"),
    [
        (Offer(time_zone="Mars/Olympus"), "time_zone"),
        (Offer(opens_at=MONDAY, seals_at=MONDAY), "seals_at"),
        (Offer(seals_at=datetime(2020, 1, 1, tzinfo=UTC)), "seals_at"),
        (Offer(gold_rate=0.6), "gold_rate"),
        (Offer(plan={"mix": {"turns": 0}}), "turns"),
    ],
)
def test_a_week_that_cannot_be_is_refused_by_the_field(db: None, offer: Offer, field: str) -> None:
    with pytest.raises(InvalidPlanError) as refusal:
        create_batch(offer=offer)
    assert [error["field"] for error in refusal.value.errors] == [field]
    assert not Batch.objects.exists()


def test_a_time_that_is_past_may_stay_as_it_was(week: Batch) -> None:
    past = timezone.now() - timedelta(minutes=1)
    Batch.objects.filter(pk=week.pk).update(seals_at=past)
    assert change_offer(batch=week, offer=Offer(seals_at=past, daily_target=9)).daily_target == 9


def test_the_versions_that_an_open_week_names_are_in_force_and_then_the_newest_again(db: None) -> None:
    meant, newer = (add_guideline(focus=Focus.SAFETY, text=text) for text in ("First.", "Second."))
    batch = open_batch(batch=create_batch(guidelines=[meant]))
    assert guideline_ids() == {"safety": meant.pk}
    assert guideline_in_force(Focus.SAFETY) == meant
    assert guidelines_in_force() == [meant]
    seal_batch(batch=batch)
    assert guideline_in_force(Focus.SAFETY) == newer


def test_one_version_a_focus_can_be_named(db: None) -> None:
    both = [add_guideline(focus=Focus.SAFETY, text=text) for text in ("First.", "Second.")]
    with pytest.raises(InvalidPlanError):
        create_batch(guidelines=both)


def test_the_audit_says_who_planned_changed_opened_and_sealed(rosa: User) -> None:
    batch = create_batch(by=rosa)
    change_offer(batch=batch, offer=Offer(daily_target=7), by=rosa)
    open_batch(batch=batch, by=rosa)
    seal_batch(batch=batch, by=rosa)
    rows = AuditEvent.objects.filter(object_type="batch").order_by("pk")
    assert [row.action for row in rows] == ["batch.planned", "batch.changed", "batch.open", "batch.sealed"]
    assert rows[1].detail == {"daily_target": ["0", "7"]}
    assert {row.actor for row in rows} == {rosa}


# The form


def test_the_form_means_times_by_the_clock_of_its_zone(db: None) -> None:
    form = PlanForm(
        form_data(
            PlanForm(), opens_at="2027-07-01T09:00", seals_at="2027-07-06T18:00", time_zone="Asia/Shanghai"
        )
    )
    assert form.is_valid(), form.errors
    assert form.offer().opens_at == datetime(2027, 7, 1, 1, 0, tzinfo=UTC)


def test_the_form_shows_what_it_was_told(db: None) -> None:
    plan = Plan(policies=("V2", "V1"), mix=Mix(easy=0.2, middle=0.3, hard=0.5, topics={"law": 0.5})).to_json()
    offer = Offer(
        time_zone="Asia/Shanghai",
        opens_at=datetime(2027, 7, 1, 1, 0, tzinfo=UTC),
        gold_rate=0.07,
        person_quota=500,
        plan=plan,
    )
    batch = create_batch(offer=offer)
    form = PlanForm(form_data(PlanForm(initial=initial_of(batch))))
    assert form.is_valid(), form.errors
    assert form.offer() == offer


def test_the_plan_page_begins_with_the_proposal(rosa: User, client: Client) -> None:
    create_batch(overlap=3, offer=Offer(daily_target=77))
    client.force_login(rosa)
    answer = client.get(reverse("admin:annotation_batch_add")).content.decode()
    assert 'value="77"' in answer
    assert "Proposed from Week 1" in answer
    assert initial_from(propose_batch(after=Batch.objects.get()))["overlap"] == 3


def test_a_wrong_mix_is_said_at_its_field(rosa: User, client: Client) -> None:
    client.force_login(rosa)
    answer = client.post(reverse("admin:annotation_batch_add"), form_data(PlanForm(), hard=50))
    assert "add up to" in answer.content.decode()
    assert not Batch.objects.exists()


def test_the_page_of_a_batch_says_its_plan(rosa: User, client: Client) -> None:
    batch = create_batch(offer=Offer(target=5000, person_quota=300, gold_rate=0.05))
    client.force_login(rosa)
    answer = client.get(reverse("admin:annotation_batch_change", args=(batch.pk,))).content.decode()
    for words in ("5,000 comparisons wanted", "300", "5 %", "newest and previous"):
        assert words in answer
