"""The page of a policy's response server: setting, clearing, trying, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from annotation.models import User
from tests.factories import make_policy
from training.models import PolicyVersion
from training.services.policies import key_for
from training.tests.chat_server import ChatServer, Script

pytestmark = pytest.mark.django_db


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with ChatServer() as running:
        yield running


@pytest.fixture
def policy(db: None) -> PolicyVersion:
    return make_policy("V0")


@pytest.fixture
def client(as_user: Callable[[User], Client], rosa: User) -> Client:
    return as_user(rosa)


def place(policy: PolicyVersion, name: str = "endpoint") -> str:
    return reverse(f"admin:training_policyversion_{name}", args=(policy.pk,))


def tried(client: Client, policy: PolicyVersion) -> str:
    return client.post(place(policy, "try"), follow=True).content.decode()


def test_a_researcher_sets_and_clears_it_and_the_history_says_who(
    client: Client, rosa: User, policy: PolicyVersion
) -> None:
    client.post(place(policy), {"endpoint": " http://responses:8000/v1 ", "endpoint_model": "m"})
    policy.refresh_from_db()
    assert (policy.endpoint, policy.endpoint_model) == ("http://responses:8000/v1", "m")
    client.post(place(policy), {"endpoint": "", "endpoint_model": ""})
    policy.refresh_from_db()
    assert (policy.endpoint, policy.endpoint_model) == ("", "")
    entries = LogEntry.objects.filter(user=rosa).order_by("pk")
    assert ["http://responses:8000/v1" in entries[0].change_message, "none" in entries[1].change_message] == [
        True
    ] * 2


@pytest.mark.parametrize(
    "address",
    [
        "responses:8000",
        "ftp://host/",
        "file:///etc/passwd",
        "http://",
        "http://user:password@host/",
        "http://host:port/",
        "http://host:99999/",
        "http://host/?key=1",
        "http://host/#x",
        "http://ho st/",
        "http://[::1",
        "javascript:alert(1)",
    ],
)
def test_what_is_no_plain_address_is_refused_at_its_field(
    client: Client, policy: PolicyVersion, address: str
) -> None:
    page = client.post(place(policy), {"endpoint": address}).content.decode()
    policy.refresh_from_db()
    assert policy.endpoint == ""
    assert "m-error" in page


def test_annotators_do_not_get_there(
    as_user: Callable[[User], Client], ada: User, policy: PolicyVersion
) -> None:
    assert as_user(ada).get(place(policy)).status_code != 200
    as_user(ada).post(place(policy), {"endpoint": "http://host"})
    policy.refresh_from_db()
    assert policy.endpoint == ""


def test_trying_says_that_it_answers(client: Client, policy: PolicyVersion, server: ChatServer) -> None:
    client.post(place(policy), {"endpoint": server.address})
    assert "The response server answers: one token in" in tried(client, policy)
    assert server.requests[0]["max_tokens"] == 1


def test_trying_says_why_it_does_not_and_repeats_nothing(
    client: Client, policy: PolicyVersion, server: ChatServer
) -> None:
    client.post(place(policy), {"endpoint": server.address})
    server.scripts = {"": Script(status=404)}
    page = tried(client, policy)
    assert "The response server does not know the model or the address (HTTP 404)." in page
    assert "secret-of-the-server" not in page
    client.post(place(policy), {"endpoint": "http://127.0.0.1:1"})
    assert "The response server cannot be reached." in tried(client, policy)


def test_the_page_without_a_server_offers_nothing_to_try(client: Client, policy: PolicyVersion) -> None:
    assert "Try it" not in client.get(place(policy)).content.decode()
    assert "none; set one" in client.get(place(policy, "change")).content.decode()


def test_a_key_belongs_to_a_host_or_a_port_of_it(settings: Settings) -> None:
    settings.RESPONSE_SERVER_KEYS = {"a.example": "one", "b.example:8000": "two"}
    hosts = [
        "https://A.example/v1",
        "http://a.example:9",
        "http://b.example:8000",
        "http://b.example",
        "http://a.example.evil",
    ]
    assert [key_for(host) for host in hosts] == ["one", "one", "two", None, None]
