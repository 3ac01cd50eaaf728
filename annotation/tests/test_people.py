"""Accounts: pauses, roles, and that no name leaves the house. Ada and Ben annotate, Rosa researches, Ruth
administrates."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse

from annotation.core.grades import Choice, Focus, Grade
from annotation.errors import ConflictError, DomainError, ForbiddenError, LeaseLostError
from annotation.history import history_of
from annotation.models import AuditEvent, Batch, Certificate, Comparison, Lease, Role, User
from annotation.people import last_pause_by, record_of
from annotation.services.allocation import lease_next
from annotation.services.batches import seal_batch
from annotation.services.certificates import grant_certificate, revoke_certificate
from annotation.services.judgments import Answer, submit_judgment
from annotation.services.people import change_role, ensure_simulated, pause_person, resume_person, set_account
from annotation.services.snapshots import create_snapshot
from annotation.tests.step_rows import make_quiz, take
from tests.factories import make_judgment, make_user

Pairs = Callable[..., list[Comparison]]
AsUser = Callable[[User], Client]
REASON = "Let us talk about the last checks."


@pytest.fixture
def ruth(db: None) -> User:
    return make_user("ruth", role=Role.ADMINISTRATOR)


def actions(person: User) -> list[str]:
    return [event.action for event in record_of(person).history]


def test_whoever_is_paused_is_given_nothing_and_what_they_held_goes_to_others(
    ada: User, ben: User, rosa: User, pairs: Pairs
) -> None:
    pairs(2)
    held = lease_next(annotator=ada, count=2)
    pause_person(person=ada, reason=REASON, by=rosa)
    assert lease_next(annotator=ada) == []
    assert {pair.pk for pair in lease_next(annotator=ben, count=2)} == {pair.pk for pair in held}
    assert ada.pause_reason == REASON


def test_what_a_paused_person_judged_stays_and_they_can_read_it(ada: User, rosa: User, pairs: Pairs) -> None:
    pairs(1)
    judgment = make_judgment(ada)
    pause_person(person=ada, reason=REASON, by=rosa)
    assert Lease.objects.get(annotator=ada).judged
    assert [entry.row for entry in history_of(ada).entries] == [judgment]


def test_a_judgment_that_was_on_the_screen_when_the_pause_came_is_not_taken(
    ada: User, rosa: User, pairs: Pairs
) -> None:
    pairs(1)
    (pair,) = lease_next(annotator=ada)
    pause_person(person=ada, reason=REASON, by=rosa)
    with pytest.raises(LeaseLostError):
        submit_judgment(
            annotator=ada,
            comparison_key=pair.key,
            uid=uuid4(),
            answer=Answer(choice=Choice.A, grade=Grade.BETTER),
        )


def test_a_pause_ends_and_its_end_is_remembered(ada: User, rosa: User, pairs: Pairs) -> None:
    pairs(1)
    pause_person(person=ada, reason=REASON, by=rosa)
    resume_person(person=ada, by=rosa)
    assert (ada.paused_at, ada.pause_reason) == (None, "")
    assert ada.resumed_at is not None
    assert len(lease_next(annotator=ada)) == 1
    assert actions(ada) == ["person.resumed", "person.paused"]


def test_a_second_pause_changes_nothing(ada: User, rosa: User) -> None:
    pause_person(person=ada, reason=REASON, by=rosa)
    pause_person(person=ada, reason="Another.", by=None)
    assert ada.pause_reason == REASON
    assert actions(ada) == ["person.paused"]
    assert last_pause_by(ada) == rosa


def test_the_house_may_pause_too(ada: User) -> None:
    pause_person(person=ada, reason=REASON, by=None)
    assert ada.paused_at is not None
    assert last_pause_by(ada) is None


def test_a_pause_needs_a_reason(ada: User, rosa: User) -> None:
    with pytest.raises(DomainError):
        pause_person(person=ada, reason=" ", by=rosa)
    ada.refresh_from_db()
    assert ada.paused_at is None


def test_nobody_pauses_somebody_above_them(rosa: User, ruth: User) -> None:
    with pytest.raises(ForbiddenError):
        pause_person(person=ruth, reason=REASON, by=rosa)


def test_a_role_is_changed_with_a_line_in_the_audit(ada: User, ruth: User) -> None:
    change_role(person=ada, role=Role.RESEARCHER, by=ruth)
    ada.refresh_from_db()
    assert (ada.role, ada.is_staff) == (Role.RESEARCHER, True)
    event = AuditEvent.objects.get()
    assert (event.action, event.actor) == ("person.role_changed", ruth)
    assert event.detail == {"before": "annotator", "after": "researcher"}


def test_the_same_role_again_is_no_change(ada: User, ruth: User) -> None:
    change_role(person=ada, role=Role.ANNOTATOR, by=ruth)
    assert not AuditEvent.objects.exists()


def test_an_administrator_decides_about_others_and_not_about_themselves(ruth: User) -> None:
    make_user("rolf", role=Role.ADMINISTRATOR)
    with pytest.raises(ForbiddenError, match="own account"):
        change_role(person=ruth, role=Role.ANNOTATOR, by=ruth)
    with pytest.raises(ForbiddenError, match="own account"):
        set_account(person=ruth, is_open=False, by=ruth)


def test_the_last_administrator_stays(ruth: User) -> None:
    root = make_user("root", is_superuser=True)
    with pytest.raises(ConflictError, match="last administrator"):
        change_role(person=ruth, role=Role.RESEARCHER, by=root)
    with pytest.raises(ConflictError, match="last administrator"):
        set_account(person=ruth, is_open=False, by=root)


def test_a_researcher_decides_about_no_account(ada: User, rosa: User) -> None:
    with pytest.raises(ForbiddenError):
        change_role(person=ada, role=Role.REVIEWER, by=rosa)


def test_whoever_stands_for_a_file_gets_no_role(ruth: User) -> None:
    with pytest.raises(ConflictError):
        change_role(person=ensure_simulated("one"), role=Role.REVIEWER, by=ruth)


def test_a_closed_account_signs_in_no_more_and_holds_nothing(
    ada: User, ben: User, ruth: User, pairs: Pairs, client: Client
) -> None:
    pairs(1)
    lease_next(annotator=ada)
    set_account(person=ada, is_open=False, by=ruth)
    assert not client.login(username="ada", password="correct horse battery")
    assert len(lease_next(annotator=ben)) == 1
    set_account(person=ada, is_open=True, by=ruth)
    assert client.login(username="ada", password="correct horse battery")


def test_an_administrator_vouches_for_somebody(ada: User, ruth: User) -> None:
    row = grant_certificate(annotator=ada, focus=Focus.SAFETY, by=ruth, reason="Taught the course.", days=30)
    assert list(Certificate.objects.valid()) == [row]
    assert (row.granted_by, row.reason) == (ruth, "Taught the course.")
    assert actions(ada) == ["certificate.granted"]


def test_vouching_again_keeps_one_certificate(ada: User, ruth: User) -> None:
    for days in (30, 0):
        grant_certificate(annotator=ada, focus=Focus.SAFETY, by=ruth, reason="Good work.", days=days)
    assert Certificate.objects.get().expires_at is None


@pytest.mark.parametrize("reason", ["", " \n"])
def test_vouching_needs_a_reason(ada: User, ruth: User, reason: str) -> None:
    with pytest.raises(DomainError):
        grant_certificate(annotator=ada, focus=Focus.SAFETY, by=ruth, reason=reason)


def test_only_administrators_vouch_and_revoke(ada: User, rosa: User, ruth: User) -> None:
    with pytest.raises(ForbiddenError):
        grant_certificate(annotator=ada, focus=Focus.SAFETY, by=rosa, reason="Good work.")
    row = grant_certificate(annotator=ada, focus=Focus.SAFETY, by=ruth, reason="Good work.")
    with pytest.raises(ForbiddenError):
        revoke_certificate(certificate=row, by=rosa, reason="Bad work.")


def test_after_a_revocation_the_tests_are_taken_again(ada: User, ruth: User) -> None:
    step = make_quiz(attempts=1)
    take(step, ada, right=4)
    row = Certificate.objects.get()
    revoke_certificate(certificate=row, by=ruth, reason="Shared the answers.")
    assert not Certificate.objects.valid().exists()
    with pytest.raises(ConflictError):
        revoke_certificate(certificate=row, by=ruth, reason="Again.")
    take(step, ada, right=4)
    assert Certificate.objects.valid().count() == 1
    assert Certificate.objects.count() == 2


def test_a_revocation_gives_back_the_pairs_of_that_focus_alone(ada: User, ruth: User, pairs: Pairs) -> None:
    row = grant_certificate(annotator=ada, focus=Focus.SAFETY, by=ruth, reason="Good work.")
    pairs(1)
    pairs(1, focus=Focus.SAFETY)
    assert len(lease_next(annotator=ada, count=2)) == 2
    revoke_certificate(certificate=row, by=ruth, reason="No longer.")
    held = Lease.objects.filter(annotator=ada, judged=False, released=False)
    assert [lease.comparison.focus for lease in held] == [Focus.HELPFULNESS]


def test_no_export_and_no_answer_to_others_names_a_person(
    home: Path, week: Batch, rosa: User, ben: User, pairs: Pairs, as_user: AsUser
) -> None:
    zebedee = make_user("zebedee-quux", first_name="Zebedee", last_name="Quux", email="zq@example.org")
    pairs(2)
    make_judgment(zebedee)
    client = as_user(ben)
    told = [client.get(reverse("api:next"), {"count": 2}).content.decode()]
    seal_batch(batch=week)
    snapshot = create_snapshot(batches=[week])
    folder = home / "snapshots" / snapshot.path
    told += [file.read_bytes().decode("latin-1") for file in folder.rglob("*.*") if file.stat().st_size]
    client = as_user(rosa)
    listed = client.get(reverse("api:snapshots"))
    assert json.loads(listed.content)
    told.append(listed.content.decode())
    download = client.get(reverse("api:snapshot-file", args=(snapshot.pk, "data/train.jsonl")))
    told.append(b"".join(download).decode() or "nothing held out for training")
    for text in told:
        assert text
        for name in ("zebedee", "Zebedee", "Quux", "quux", "zq@example.org"):
            assert name not in text
