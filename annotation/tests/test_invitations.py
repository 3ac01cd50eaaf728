"""Links that make accounts. Ruth administrates and invites, Rosa researches, Ada annotates."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
import time_machine
from django.conf import settings
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from annotation.errors import ConflictError, DomainError, ForbiddenError, NotFoundError
from annotation.models import AuditEvent, Invitation, Role, User
from annotation.services.invitations import (
    create_invitation,
    find_invitation,
    hash_of,
    join,
    renew_invitation,
    revoke_invitation,
)
from annotation.services.people import change_role
from annotation.tests.test_races import at_once
from tests.factories import make_user

AsUser = Callable[[User], Client]
PASSWORD = "a long enough one"

on_postgresql = pytest.mark.skipif(
    "postgresql" not in settings.DATABASES["default"]["ENGINE"], reason="SQLite has one writer at a time"
)


@pytest.fixture
def ruth(db: None) -> User:
    return make_user("ruth", role=Role.ADMINISTRATOR)


def invite(by: User, **told: Any) -> tuple[Invitation, str]:
    told = {"name": "Nora", "role": Role.ANNOTATOR, "languages": [], "days": 7, **told}
    return create_invitation(by=by, **told)


def accept(token: str, name: str = "nora", password: str = PASSWORD) -> User:
    return join(token_hash=hash_of(token), username=name, password=password)


def test_the_link_is_stored_as_its_hash_alone(ruth: User) -> None:
    row, token = invite(ruth)
    assert len(token) == 43  # 32 bytes in URL-safe base64
    assert row.token_hash == hashlib.sha256(token.encode()).hexdigest()
    columns = Invitation.objects.values().get()
    assert not [value for value in columns.values() if token in str(value)]
    assert token not in str(AuditEvent.objects.values().get())


def test_an_accepted_invitation_makes_the_account_that_was_meant(ruth: User) -> None:
    row, token = invite(ruth, role=Role.RESEARCHER, languages=["en", "zh"])
    nora = accept(token)
    row.refresh_from_db()
    assert (nora.role, nora.is_staff, nora.languages) == (Role.RESEARCHER, True, ["en", "zh"])
    assert nora.check_password(PASSWORD)
    assert row.used_by == nora
    assert nora.pseudonym.startswith("annotator-")
    assert "nora" not in nora.pseudonym


def test_a_link_works_once(ruth: User) -> None:
    _, token = invite(ruth)
    accept(token)
    with pytest.raises(NotFoundError):
        accept(token, "mallory")
    assert not User.objects.filter(username="mallory").exists()


def test_links_that_are_wrong_used_ended_or_old_are_told_the_same(ruth: User) -> None:
    (revoked, first), (_, used), (_, old) = (invite(ruth) for _ in range(3))
    revoke_invitation(invitation=revoked, by=ruth)
    accept(used)
    told = set()
    with time_machine.travel(timezone.now() + timedelta(days=8)):
        for token in ("wrong", "", first, used, old):
            with pytest.raises(NotFoundError) as refused:
                find_invitation(token_hash=hash_of(token))
            told.add(refused.value.message)
    assert len(told) == 1


def test_a_refused_name_or_password_leaves_the_link_usable(ruth: User, ada: User) -> None:
    _, token = invite(ruth)
    for name, password, field in [
        ("ada", PASSWORD, "username"),
        ("ADA", PASSWORD, "username"),
        ("no spaces", PASSWORD, "username"),
        ("", PASSWORD, "username"),
        ("n" * 151, PASSWORD, "username"),
        ("nora", "short", "password"),
        ("nora", "password", "password"),
        ("noranora", "noranora", "password"),
    ]:
        with pytest.raises(DomainError) as refused:
            accept(token, name, password)
        assert [error["field"] for error in refused.value.errors] == [field]
    assert accept(token).username == "nora"


def test_a_revoked_link_cannot_be_revoked_again(ruth: User) -> None:
    row, _ = invite(ruth)
    revoke_invitation(invitation=row, by=ruth)
    with pytest.raises(ConflictError):
        revoke_invitation(invitation=row, by=ruth)


def test_a_new_link_ends_the_old_one_and_means_the_same(ruth: User) -> None:
    row, old = invite(ruth, role=Role.REVIEWER, languages=["zh"], days=3)
    fresh, token = renew_invitation(invitation=row, by=ruth)
    assert (fresh.name, fresh.role, fresh.languages) == (row.name, row.role, row.languages)
    assert fresh.expires_at - fresh.created_at == pytest.approx(timedelta(days=3), abs=timedelta(seconds=5))
    with pytest.raises(NotFoundError):
        accept(old)
    assert accept(token).role == Role.REVIEWER


def test_a_used_link_is_not_renewed(ruth: User) -> None:
    row, token = invite(ruth)
    accept(token)
    with pytest.raises(ConflictError):
        renew_invitation(invitation=row, by=ruth)


@pytest.mark.parametrize("days", [0, 91])
def test_a_link_works_for_a_bounded_time(ruth: User, days: int) -> None:
    with pytest.raises(DomainError):
        invite(ruth, days=days)


def test_only_administrators_invite(rosa: User) -> None:
    with pytest.raises(ForbiddenError):
        invite(rosa)
    assert not Invitation.objects.exists()


def test_the_admin_shows_the_link_once(as_user: AsUser, ruth: User) -> None:
    client = as_user(ruth)
    values = {"name": "Nora", "role": "annotator", "languages": "en, zh", "days": "7"}
    answer = client.post(reverse("admin:annotation_invitation_add"), values)
    row = Invitation.objects.get()
    link = answer.context["link"]
    assert link in answer.content.decode()
    assert hash_of(link.rpartition("/")[2]) == row.token_hash
    assert row.languages == ["en", "zh"]
    assert "no-store" in answer["Cache-Control"]
    for place in (
        reverse("admin:annotation_invitation_changelist"),
        reverse("admin:annotation_invitation_change", args=(row.pk,)),
    ):
        page = client.get(place).content.decode()
        assert "Nora" in page
        assert link.rpartition("/")[2] not in page


def test_the_admin_makes_a_new_link_and_ends_one(as_user: AsUser, ruth: User) -> None:
    client = as_user(ruth)
    row, _ = invite(ruth)
    fresh = client.post(reverse("admin:annotation_invitation_renew", args=(row.pk,))).context["row"]
    assert fresh.pk != row.pk
    client.post(reverse("admin:annotation_invitation_revoke", args=(fresh.pk,)))
    assert not Invitation.objects.usable().exists()
    answer = client.post(reverse("admin:annotation_invitation_renew", args=(row.pk,)), follow=True)
    assert "used or revoked already" in answer.content.decode()


@pytest.mark.parametrize("state", ["open", "used", "expired", "revoked"])
def test_the_list_tells_the_states_apart(as_user: AsUser, ruth: User, state: str) -> None:
    rows = {name: invite(ruth, name=f"{name.title()} one") for name in ("open", "used", "expired", "revoked")}
    accept(rows["used"][1])
    revoke_invitation(invitation=rows["revoked"][0], by=ruth)
    Invitation.objects.filter(pk=rows["expired"][0].pk).update(expires_at=timezone.now())
    page = as_user(ruth).get(reverse("admin:annotation_invitation_changelist"), {"state": state})
    assert [row.name for row in page.context["cl"].queryset] == [f"{state.title()} one"]


def test_researchers_see_no_invitations(as_user: AsUser, rosa: User, ruth: User) -> None:
    row, _ = invite(ruth)
    client = as_user(rosa)
    for name, arguments in (("changelist", ()), ("add", ()), ("change", (row.pk,))):
        place = reverse(f"admin:annotation_invitation_{name}", args=arguments)
        assert client.get(place).status_code == 403
    assert reverse("admin:annotation_invitation_changelist") not in client.get("/admin/").content.decode()


def test_a_language_that_is_none_is_refused(as_user: AsUser, ruth: User) -> None:
    values = {"name": "Nora", "role": "annotator", "languages": "en; zh", "days": "7"}
    page = as_user(ruth).post(reverse("admin:annotation_invitation_add"), values).content.decode()
    assert "is no code of a language" in page
    assert not Invitation.objects.exists()


@on_postgresql
@pytest.mark.django_db(transaction=True)
def test_two_who_use_a_link_at_once_make_one_account(transactional_db: None) -> None:
    ruth = make_user("ruth", role=Role.ADMINISTRATOR)
    for number in range(4):
        _, token = invite(ruth)
        names = [f"nora{number}", f"mallory{number}"]
        found = at_once(*(partial(accept, token, name) for name in names))
        assert sorted(isinstance(one, NotFoundError) for one in found) == [False, True]
        assert User.objects.filter(username__in=names).count() == 1


@on_postgresql
@pytest.mark.django_db(transaction=True)
def test_two_who_choose_one_name_at_once_get_one_account(transactional_db: None) -> None:
    ruth = make_user("ruth", role=Role.ADMINISTRATOR)
    for number in range(4):
        tokens = [invite(ruth)[1] for _ in range(2)]
        found = at_once(*(partial(accept, token, f"nora{number}") for token in tokens))
        (refused,) = [one for one in found if isinstance(one, DomainError)]
        assert refused.errors[0]["field"] == "username"
        loser = tokens[found.index(refused)]
        assert Invitation.objects.usable().filter(token_hash=hash_of(loser)).exists(), "it stays theirs"


@on_postgresql
@pytest.mark.django_db(transaction=True)
def test_two_administrators_who_demote_each_other_at_once_leave_one(transactional_db: None) -> None:
    for number in range(4):
        one, other = (make_user(f"{name}{number}", role=Role.ADMINISTRATOR) for name in ("ruth", "rolf"))
        found = at_once(
            partial(change_role, person=other, role=Role.ANNOTATOR, by=one),
            partial(change_role, person=one, role=Role.ANNOTATOR, by=other),
        )
        assert sum(isinstance(outcome, ForbiddenError) for outcome in found) == 1
        left = User.objects.filter(pk__in=[one.pk, other.pk], role=Role.ADMINISTRATOR)
        assert left.count() == 1
