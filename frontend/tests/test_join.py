"""Joining by a link. Ruth invites, Nora joins, Ada has an account already."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import reverse

from annotation.models import Invitation, Role, User
from annotation.services.invitations import create_invitation, hash_of, revoke_invitation
from tests.factories import make_user

AsUser = Callable[[User], Client]
CHOICE = {"username": "nora", "password": "a long enough one", "again": "a long enough one"}


@pytest.fixture
def ruth(db: None) -> User:
    return make_user("ruth", role=Role.ADMINISTRATOR)


@pytest.fixture
def token(ruth: User) -> str:
    return create_invitation(by=ruth, name="Nora", role=Role.ANNOTATOR, languages=["en"], days=7)[1]


def test_nora_joins_and_is_at_home(client: Client, token: str) -> None:
    page = client.get(f"/join/{token}", follow=True)
    assert page.redirect_chain == [("/join", 302)]
    text = page.content.decode()
    assert "Welcome, Nora" in text
    assert "made-up name" in text
    answer = client.post("/join", CHOICE, follow=True)
    assert answer.redirect_chain == [("/", 302)]
    assert answer.wsgi_request.user == User.objects.get(username="nora")
    assert client.get("/join").status_code == 404


def test_the_link_leaves_nothing_in_an_address_or_a_page(client: Client, token: str) -> None:
    answer = client.get(f"/join/{token}")
    assert answer["Referrer-Policy"] == "no-referrer"
    assert "no-store" in answer["Cache-Control"]
    page = client.get("/join")
    assert "no-store" in page["Cache-Control"]
    for held in (page.content.decode(), str(dict(client.session)), answer["Location"]):
        assert token not in held


def test_looking_at_a_link_does_not_use_it_up(token: str) -> None:
    for _ in range(2):
        assert Client().get(f"/join/{token}", follow=True).status_code == 200
    assert Client().head(f"/join/{token}").status_code == 302
    assert Invitation.objects.usable().exists()


def test_links_that_do_not_work_are_answered_alike(client: Client, token: str, ruth: User) -> None:
    row, revoked = create_invitation(by=ruth, name="Otto", role=Role.ANNOTATOR, languages=[], days=7)
    revoke_invitation(invitation=row, by=ruth)
    client.get(f"/join/{token}")
    client.post("/join", CHOICE)
    pages = [Client().get(f"/join/{link}") for link in (token, revoked, "wrong", "x" * 43, "x" * 5000)]
    assert {page.status_code for page in pages} == {404}
    assert len({re.sub(rb'value="[^"]*"', b"", page.content) for page in pages}) == 1
    assert "Ask whoever invited you for a new one" in pages[0].content.decode()


def test_nobody_registers_without_a_link(client: Client, db: None) -> None:
    assert client.get("/join").status_code == 404
    assert client.post("/join", CHOICE).status_code == 404
    assert not User.objects.exists()


def test_no_page_offers_to_register(client: Client, db: None) -> None:
    page = client.get("/sign-in").content.decode()
    assert "/join" not in page
    for path in ("/register", "/signup", "/sign-up", "/accounts/register/"):
        assert client.get(path).status_code == 404


def test_a_link_that_ends_while_somebody_types_makes_no_account(
    client: Client, token: str, ruth: User
) -> None:
    client.get(f"/join/{token}")
    revoke_invitation(invitation=Invitation.objects.get(token_hash=hash_of(token)), by=ruth)
    assert client.post("/join", CHOICE).status_code == 404
    assert not User.objects.filter(username="nora").exists()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"username": "RUTH"}, "has this user name already"),
        ({"username": "two words"}, "Enter a valid username"),
        ({"password": "short", "again": "short"}, "too short"),
        ({"again": "something else"}, "The two passwords differ."),
        ({"password": "", "again": ""}, "required"),
    ],
)
def test_what_will_not_do_is_said_and_the_link_still_works(
    client: Client, token: str, changes: dict[str, str], words: str
) -> None:
    client.get(f"/join/{token}")
    page = client.post("/join", {**CHOICE, **changes})
    assert words in page.content.decode()
    assert CHOICE["password"] not in page.content.decode()
    client.post("/join", CHOICE)
    assert User.objects.filter(username="nora").exists()


def test_whoever_is_signed_in_is_told_and_makes_no_second_account(
    as_user: AsUser, ada: User, token: str
) -> None:
    client = as_user(ada)
    page = client.get(f"/join/{token}", follow=True).content.decode()
    assert "You are signed in as ada" in page
    client.post("/join", CHOICE)
    assert not User.objects.filter(username="nora").exists()


def test_a_link_that_does_not_work_is_logged_without_its_token(
    client: Client, db: None, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        client.get("/join/somebodys-token")
    assert "somebodys-token" not in caplog.text


def test_an_error_on_the_way_logs_no_token(
    token: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def break_down(**_: object) -> None:
        raise RuntimeError("out of order")

    monkeypatch.setattr("frontend.join.find_invitation", break_down)
    with caplog.at_level(logging.DEBUG):
        answer = Client(raise_request_exception=False).get(f"/join/{token}")
    assert answer.status_code == 500
    assert "/join/*" in caplog.text
    assert token not in caplog.text


def test_the_admins_link_leads_here(as_user: AsUser, ruth: User, client: Client) -> None:
    values = {"name": "Nora", "role": "annotator", "languages": "", "days": "7"}
    link = as_user(ruth).post(reverse("admin:annotation_invitation_add"), values).context["link"]
    assert client.get(link, follow=True).status_code == 200
