"""Access tokens. Rosa researches, Ada annotates, Petra administers; a program has an account without a password."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client
from django.utils import timezone
from time_machine import travel

from annotation.core.scopes import LEAST_ROLE, SENTENCES, Scope
from annotation.errors import ConflictError, ForbiddenError, InvalidTokenError
from annotation.models import AccessToken, AuditEvent, Role, User
from annotation.services.people import pause_person
from annotation.services.tokens import (
    MOST,
    InvalidTokenPlanError,
    add_service_account,
    digest_of,
    make_token,
    revoke_token,
    use_token,
)
from tests.factories import make_user

AsUser = Callable[[User], Client]
ME, PROMPTS, TOKENS = "/api/v1/me", "/api/v1/prompts", "/api/v1/tokens"


@pytest.fixture
def petra(db: None) -> User:
    return make_user("petra", role=Role.ADMINISTRATOR)


def token_for(user: User, *scopes: Scope, **options: Any) -> tuple[AccessToken, str]:
    return make_token(user=user, name="A script", scopes=scopes or (Scope.DATA_READ,), **options)


def bearing(text: str) -> dict[str, Any]:
    return {"headers": {"Authorization": f"Bearer {text}"}}


def test_a_token_lets_a_program_in_and_only_its_hash_is_kept(rosa: User, client: Client) -> None:
    row, text = token_for(rosa)
    assert len(text) == len("margin_") + 43
    stored = AccessToken.objects.values().get()
    assert text not in str(stored)
    assert (stored["digest"], text.startswith(stored["prefix"])) == (digest_of(text), True)
    answer = client.get(ME, **bearing(text)).json()
    assert (answer["username"], answer["token"]["scopes"]) == ("rosa", ["data:read"])
    assert answer["token"]["id"] == row.pk
    assert client.get(PROMPTS, **bearing(text)).status_code == 200


def test_two_tokens_are_never_alike(rosa: User) -> None:
    assert token_for(rosa)[1] != token_for(rosa)[1]


def test_who_signs_in_with_a_browser_has_no_token(rosa: User, as_user: AsUser) -> None:
    assert as_user(rosa).get(ME).json()["token"] is None


@pytest.mark.parametrize(
    "sent",
    [
        "Bearer margin_" + "x" * 43,
        "Bearer margin_",
        "Bearer ",
        "Bearer",
        "bearer é",
        "Bearer " + "a" * 5000,
        "BEARER sk-another-house",
    ],
)
def test_a_wrong_token_is_refused_with_a_sentence_that_helps(db: None, client: Client, sent: str) -> None:
    answer = client.get(ME, headers={"Authorization": sent})
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid-token")
    assert answer["WWW-Authenticate"].startswith("Bearer")
    assert "margin_" in answer.json()["detail"]


def test_a_wrong_token_is_refused_even_where_a_session_would_do(rosa: User, as_user: AsUser) -> None:
    assert as_user(rosa).get(ME, **bearing("margin_wrong")).status_code == 401


def test_a_token_in_the_address_lets_nobody_in(rosa: User, client: Client) -> None:
    _, text = token_for(rosa)
    for name in ("access_token", "token", "api_key"):
        assert client.get(PROMPTS, {name: text}).status_code == 401


def test_a_token_opens_no_page(rosa: User, client: Client) -> None:
    _, text = token_for(rosa)
    assert client.get("/admin/", **bearing(text)).status_code == 302
    assert client.get("/rate", **bearing(text)).status_code == 302


def test_an_end_ends_it(rosa: User, client: Client) -> None:
    _, text = token_for(rosa, expires_at=timezone.now() + timedelta(days=1))
    assert client.get(ME, **bearing(text)).status_code == 200
    with travel(timezone.now() + timedelta(days=2), tick=False):
        answer = client.get(ME, **bearing(text))
    assert (answer.status_code, "expired" in answer.json()["detail"]) == (401, True)


def test_revoking_ends_it_at_once_and_is_noted_once(rosa: User, client: Client) -> None:
    row, text = token_for(rosa)
    for _ in range(2):
        revoke_token(token=row, by=rosa)
    answer = client.get(ME, **bearing(text))
    assert (answer.status_code, "revoked" in answer.json()["detail"]) == (401, True)
    events = AuditEvent.objects.order_by("pk").values_list("action", "actor_name")
    assert list(events) == [("token.made", "rosa"), ("token.revoked", "rosa")]
    assert text not in str(list(AuditEvent.objects.values()))


def test_the_token_of_a_closed_or_paused_account_does_not_work(
    rosa: User, petra: User, client: Client
) -> None:
    _, text = token_for(rosa)
    pause_person(person=rosa, reason="A word first.", by=petra)
    assert "paused" in client.get(ME, **bearing(text)).json()["detail"]
    User.objects.filter(pk=rosa.pk).update(paused_at=None, is_active=False)
    answer = client.get(ME, **bearing(text))
    assert (answer.status_code, "closed" in answer.json()["detail"]) == (401, True)


def test_a_token_does_what_its_scopes_say_and_no_more(rosa: User, client: Client) -> None:
    _, text = token_for(rosa, Scope.SNAPSHOTS_READ)
    answer = client.get(PROMPTS, **bearing(text))
    assert (answer.status_code, answer.json()["code"]) == (403, "insufficient-scope")
    assert "data:read" in answer.json()["detail"]
    _, reads = token_for(rosa, Scope.DATA_READ)
    body = {"prompts": [{"text": "Why?", "focus": "helpfulness"}]}
    answer = client.post(PROMPTS, body, content_type="application/json", **bearing(reads))
    assert (answer.status_code, "data:write" in answer.json()["detail"]) == (403, True)


def test_a_token_does_what_its_persons_role_says_and_no_more(rosa: User, client: Client) -> None:
    _, text = token_for(rosa)
    User.objects.filter(pk=rosa.pk).update(role=Role.ANNOTATOR)
    answer = client.get(PROMPTS, **bearing(text))
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


def test_writing_with_a_token_needs_no_csrf_token(rosa: User) -> None:
    _, text = token_for(rosa, Scope.DATA_WRITE)
    body = {"prompts": [{"text": "Why?", "focus": "helpfulness"}]}
    client = Client(enforce_csrf_checks=True)
    answer = client.post(PROMPTS, body, content_type="application/json", **bearing(text))
    assert answer.status_code == 201


def test_the_workbench_takes_no_tokens(rosa: User, client: Client) -> None:
    _, text = token_for(rosa, *Scope)
    answer = client.get("/api/v1/comparisons/next", **bearing(text))
    assert (answer.status_code, answer.json()["code"]) == (403, "session-only")


def test_the_last_use_is_noted_once_a_minute(
    rosa: User, client: Client, django_assert_num_queries: Callable[..., Any]
) -> None:
    row, text = token_for(rosa)
    client.get(ME, **bearing(text))
    row.refresh_from_db()
    first = row.last_used_at
    assert first is not None
    with django_assert_num_queries(1):  # the token with its person
        client.get(ME, **bearing(text))
    with travel(timezone.now() + timedelta(seconds=61), tick=False):
        client.get(ME, **bearing(text))
    row.refresh_from_db()
    assert row.last_used_at is not None
    assert row.last_used_at > first


def test_a_database_that_is_busy_writing_keeps_no_token_from_reading(
    rosa: User, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, text = token_for(rosa)

    def locked(*args: object, **kwargs: object) -> int:
        raise OperationalError("database is locked")

    monkeypatch.setattr("django.db.models.query.QuerySet.update", locked)
    assert use_token(text).user == rosa


@pytest.mark.parametrize("role", list(Role))
def test_nobody_gives_a_token_more_than_they_may_do_themselves(db: None, role: Role) -> None:
    person = make_user("somebody", role=role)
    for scope in Scope:
        if role.includes(Role(LEAST_ROLE[scope])):
            assert token_for(person, scope)[0].scopes == [scope]
        else:
            with pytest.raises(InvalidTokenPlanError) as refused:
                token_for(person, scope)
            assert LEAST_ROLE[scope] in str(refused.value.errors)


def test_every_scope_has_its_words_and_its_role() -> None:
    assert set(SENTENCES) == set(LEAST_ROLE) == set(Scope)


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"name": " "}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"scopes": []}, "scopes"),
        ({"expires_at": timezone.now() - timedelta(days=1)}, "expires_at"),
    ],
)
def test_what_cannot_be_is_named(rosa: User, changed: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidTokenPlanError) as refused:
        make_token(**{"user": rosa, "name": "A script", "scopes": [Scope.DATA_READ], **changed})
    assert [error["field"] for error in refused.value.errors] == [field]
    assert not AccessToken.objects.exists()


def test_nobody_makes_a_token_for_somebody_else(rosa: User, petra: User, otto: User) -> None:
    for user, by in ((rosa, petra), (petra, rosa), (otto, otto)):
        with pytest.raises(ForbiddenError):
            token_for(user, by=by)


def test_only_its_owner_and_administrators_revoke_a_token(rosa: User, rhea: User, petra: User) -> None:
    row, text = token_for(rosa)
    with pytest.raises(ForbiddenError):
        revoke_token(token=row, by=rhea)
    assert use_token(text) == row
    revoke_token(token=row, by=petra)
    with pytest.raises(InvalidTokenError):
        use_token(text)


def test_nobody_hoards_tokens(rosa: User) -> None:
    row, _ = token_for(rosa)
    for _ in range(MOST - 1):
        token_for(rosa)
    with pytest.raises(ConflictError):
        token_for(rosa)
    revoke_token(token=row, by=rosa)
    token_for(rosa)


def test_a_program_has_an_account_that_only_tokens_open(petra: User, client: Client) -> None:
    account = add_service_account(name="exporter", role=Role.RESEARCHER, by=petra)
    assert (account.username, account.is_service, account.has_usable_password()) == (
        "service:exporter",
        True,
        False,
    )
    row, text = token_for(account, by=petra)
    assert client.get(ME, **bearing(text)).json()["is_service"] is True
    assert row.created_by == petra
    with pytest.raises(ConflictError):
        add_service_account(name="exporter", role=Role.RESEARCHER, by=petra)


def test_only_administrators_make_accounts_for_programs(rosa: User, petra: User) -> None:
    with pytest.raises(ForbiddenError):
        add_service_account(name="exporter", role=Role.RESEARCHER, by=rosa)
    for name in ("", " ", "x" * 200, "a\0b"):
        with pytest.raises(InvalidTokenPlanError):
            add_service_account(name=name, role=Role.RESEARCHER, by=petra)


def test_tokens_are_made_shown_and_revoked_by_session(rosa: User, as_user: AsUser) -> None:
    client = as_user(rosa)
    body = {"name": "Nightly", "scopes": ["data:read", "snapshots:read"], "days": 7}
    made = client.post(TOKENS, body, content_type="application/json")
    assert made.status_code == 201
    text = made.json()["token"]
    assert Client().get(ME, **bearing(text)).status_code == 200
    (row,) = client.get(TOKENS).json()["results"]
    assert "token" not in row
    assert "digest" not in row
    assert row == {name: value for name, value in made.json().items() if name != "token"} | {
        "last_used_at": row["last_used_at"]
    }
    assert client.delete(f"{TOKENS}/{row['id']}").status_code == 204
    assert client.get(f"{TOKENS}/{row['id']}").status_code == 404
    assert client.get(TOKENS).json()["results"] == []
    assert Client().get(ME, **bearing(text)).status_code == 401


def test_a_token_is_shown_once_even_where_its_request_is_repeated(rosa: User, as_user: AsUser) -> None:
    client = as_user(rosa)
    options: dict[str, Any] = {"content_type": "application/json", "headers": {"Idempotency-Key": "k"}}
    body = {"name": "Nightly", "scopes": ["data:read"]}
    first, again = (client.post(TOKENS, body, **options) for _ in range(2))
    assert (first.json()["token"].startswith("margin_"), again.json()["token"]) == (True, None)
    assert first.json()["id"] == again.json()["id"]
    assert AccessToken.objects.count() == 1


def test_no_token_makes_or_lists_tokens(rosa: User, client: Client) -> None:
    _, text = token_for(rosa, *Scope)
    body = {"name": "Another", "scopes": ["data:read"]}
    answer = client.post(TOKENS, body, content_type="application/json", **bearing(text))
    assert (answer.status_code, answer.json()["code"]) == (403, "session-only")
    assert client.get(TOKENS, **bearing(text)).status_code == 403


def test_who_has_no_business_with_a_token_is_told_that_there_is_none(
    rosa: User, rhea: User, petra: User, as_user: AsUser
) -> None:
    row, _ = token_for(rosa)
    for who, status in ((rosa, 200), (petra, 200), (rhea, 404)):
        assert as_user(who).get(f"{TOKENS}/{row.pk}").status_code == status
    assert as_user(rhea).delete(f"{TOKENS}/{row.pk}").status_code == 404
    assert as_user(rhea).get(f"{TOKENS}/999").json() == as_user(rhea).get(f"{TOKENS}/{row.pk}").json()


def test_an_annotator_has_nothing_that_a_token_could_do(ada: User, as_user: AsUser) -> None:
    assert as_user(ada).get(TOKENS).status_code == 403
