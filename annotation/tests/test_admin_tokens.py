"""The admin's pages of access tokens. Rosa researches, Rhea reviews, Petra administers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import reverse

from annotation.core.scopes import Scope
from annotation.models import AccessToken, Role, User
from annotation.services.tokens import add_service_account, make_token, use_token
from tests.factories import make_user

AsUser = Callable[[User], Client]


@pytest.fixture
def petra(db: None) -> User:
    return make_user("petra", role=Role.ADMINISTRATOR, is_staff=True)


def place(name: str, *arguments: object) -> str:
    return reverse(f"admin:annotation_accesstoken_{name}", args=arguments)


def test_a_token_is_made_and_shown_once(rosa: User, as_user: AsUser) -> None:
    client = as_user(rosa)
    form = client.get(place("add")).content.decode()
    assert "Read prompts, dialogues" in form
    assert "Whose account" not in form
    answer = client.post(place("add"), {"name": "Nightly", "scopes": ["data:read"], "days": "90"})
    text, row = answer.context["text"], AccessToken.objects.get()
    assert text in answer.content.decode()
    assert "no-store" in answer["Cache-Control"]
    assert use_token(text) == row
    assert 89 <= (row.expires_at - row.created_at).days <= 90 if row.expires_at else False
    for page in (place("changelist"), place("change", row.pk)):
        shown = client.get(page).content.decode()
        assert row.prefix in shown
        assert text not in shown


@pytest.mark.parametrize(
    ("changed", "complaint"), [({"scopes": []}, "at least one"), ({"name": ""}, "required")]
)
def test_what_is_missing_is_said_at_its_field(
    rosa: User, as_user: AsUser, changed: dict[str, object], complaint: str
) -> None:
    values = {"name": "Nightly", "scopes": ["data:read"], "days": "", **changed}
    assert complaint in as_user(rosa).post(place("add"), values).content.decode()
    assert not AccessToken.objects.exists()


def test_revoking_ends_it(rosa: User, as_user: AsUser) -> None:
    row, _ = make_token(user=rosa, name="Nightly", scopes=[Scope.DATA_READ])
    page = as_user(rosa).post(place("revoke", row.pk), follow=True).content.decode()
    assert "works no more" in page
    row.refresh_from_db()
    assert row.revoked_at is not None


def test_everybody_sees_their_own_and_an_administrator_all(rosa: User, petra: User, as_user: AsUser) -> None:
    other = make_user("rita", role=Role.RESEARCHER, is_staff=True)
    row, _ = make_token(user=other, name="Of Rita", scopes=[Scope.DATA_READ])
    assert "Of Rita" in as_user(petra).get(place("changelist")).content.decode()
    client = as_user(rosa)
    assert "Of Rita" not in client.get(place("changelist")).content.decode()
    client.post(place("revoke", row.pk))
    row.refresh_from_db()
    assert row.revoked_at is None


def test_an_administrator_adds_a_program_and_makes_its_token(petra: User, as_user: AsUser) -> None:
    client = as_user(petra)
    added = client.post(place("account"), {"name": "exporter", "role": "researcher"}, follow=True)
    assert "service:exporter is added" in added.content.decode()
    account = User.objects.get(is_service=True)
    values = {"name": "Nightly", "scopes": ["data:read"], "days": "", "account": str(account.pk)}
    assert use_token(client.post(place("add"), values).context["text"]).user == account


def test_a_researcher_adds_no_program_and_acts_for_none(rosa: User, petra: User, as_user: AsUser) -> None:
    account = add_service_account(name="exporter", role=Role.RESEARCHER, by=petra)
    client = as_user(rosa)
    client.post(place("account"), {"name": "another", "role": "administrator"})
    assert User.objects.filter(is_service=True).count() == 1
    values = {"name": "Nightly", "scopes": ["data:read"], "days": "", "account": str(account.pk)}
    client.post(place("add"), values)
    assert set(AccessToken.objects.values_list("user", flat=True)) <= {rosa.pk}


def test_an_annotator_sees_none_of_it(ada: User, as_user: AsUser) -> None:
    User.objects.filter(pk=ada.pk).update(is_staff=True)
    for name in ("changelist", "add", "account"):
        assert as_user(ada).get(place(name)).status_code in (302, 403)
