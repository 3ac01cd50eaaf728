"""The one request of a delivery: where it goes, and what may not lead it elsewhere."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Callable, Iterator

import pytest
import trustme
from pytest_django import Settings

from annotation.core.addresses import AddressError
from annotation.services import calling
from annotation.services.calling import Outcome, check_address
from annotation.tests.receiver import HOST, Receiver, receiving

Resolver = Callable[..., list[str]]
PUBLIC = "1.1.1.1"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The resolver answers 127.0.0.1 the first time and 127.0.0.2 from then on; names are kept. 127.0.0.1 counts as
    public, 127.0.0.2 does not."""
    names: list[str] = []

    def answer(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        names.append(host)
        address = "127.0.0.1" if len(names) == 1 else "127.0.0.2"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    monkeypatch.setattr(calling, "refusal", lambda found: "" if found == "127.0.0.1" else "It is private.")
    return names


def resolve_to(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    monkeypatch.setattr(calling, "look_up", lambda host, port: list(addresses))


def send(url: str, body: bytes = b"{}", **headers: str) -> Outcome:
    return asyncio.run(calling.post(url, headers=headers, body=body))


def test_a_name_is_looked_up_once_and_the_checked_address_is_called(
    settings: Settings, asked: list[str], receiver: Receiver
) -> None:
    settings.WEBHOOK_INSECURE = True
    with receiving(address="127.0.0.2", port=receiver.port) as inner:
        assert send(receiver.url()).status == 204
    assert asked == [HOST]
    assert (len(receiver.got), len(inner.got)) == (1, 0)


def test_a_name_that_changes_after_registration_is_checked_again(
    settings: Settings, asked: list[str], receiver: Receiver
) -> None:
    settings.WEBHOOK_INSECURE = True
    check_address(receiver.url())
    outcome = send(receiver.url())
    assert (outcome.status, outcome.error) == (None, "It is private.")
    assert receiver.got == []


def test_one_private_address_forbids_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    resolve_to(monkeypatch, PUBLIC, "10.0.0.5")
    with pytest.raises(AddressError, match="private network") as refused:
        check_address("https://hooks.example.org/")
    assert "10.0.0.5" not in str(refused.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "169.254.169.254", "[::ffff:10.0.0.1]", "[::]"])
def test_a_private_address_is_refused_at_once(host: str) -> None:
    with pytest.raises(AddressError, match="private network"):
        check_address(f"https://{host}/")


def test_a_name_that_nobody_knows_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(AddressError, match=r"no host named nowhere\.example"):
        check_address("https://nowhere.example/")


def test_a_named_private_host_may_be_called(
    monkeypatch: pytest.MonkeyPatch, settings: Settings, receiver: Receiver
) -> None:
    settings.WEBHOOK_INSECURE = True
    resolve_to(monkeypatch, "127.0.0.1")
    assert "private network" in send(receiver.url()).error
    settings.WEBHOOK_PRIVATE_HOSTS = [HOST]
    assert send(receiver.url()).error == ""


@pytest.fixture
def inside(monkeypatch: pytest.MonkeyPatch, settings: Settings, receiver: Receiver) -> Receiver:
    """A receiver in the house's own network, with leave."""
    settings.WEBHOOK_INSECURE = True
    settings.WEBHOOK_PRIVATE_HOSTS = [HOST]
    resolve_to(monkeypatch, "127.0.0.1")
    return receiver


def test_host_path_and_body_arrive_as_they_were_given(inside: Receiver) -> None:
    body = '{"name":"周"}'.encode()
    assert send(inside.url("/a%20b/?key=1&x=%2F"), body, **{"webhook-id": "1"}).status == 204
    (sent,) = inside.got
    assert (sent.path, sent.body) == ("/a%20b/?key=1&x=%2F", body)
    assert sent.headers["host"] == f"{HOST}:{inside.port}"
    assert sent.headers["webhook-id"] == "1"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(inside: Receiver, status: int) -> None:
    with receiving() as other:
        inside.answers = [(status, {"location": f"http://127.0.0.1:{other.port}/", "content-length": "0"})]
        outcome = send(inside.url())
    assert outcome.status == status
    assert "Redirects are not followed" in outcome.error
    assert other.got == []


def test_a_proxy_of_the_environment_is_not_used(inside: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    with receiving() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        assert send(inside.url()).status == 204
    assert proxy.got == []


def test_nothing_that_was_answered_is_repeated(inside: Receiver) -> None:
    inside.answers = [(500, {"x-inner": "a secret"})]
    outcome = send(inside.url())
    assert outcome.error == "It answered 500 where 2xx was expected."
    inside.answers = [(410, {})]
    assert send(inside.url()).gone


def test_the_next_address_of_a_name_is_tried_where_one_takes_no_connection(
    inside: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve_to(monkeypatch, "127.0.0.9", "127.0.0.1")
    assert send(inside.url()).status == 204
    resolve_to(monkeypatch, "127.0.0.8", "127.0.0.9")
    assert send(inside.url()).error == "It takes no connection."


def test_an_answer_that_comes_drop_by_drop_does_not_stretch_the_time(
    inside: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calling, "SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as slow:

        async def drip() -> Outcome:
            async def write(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                for _number in range(100):
                    writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                    await asyncio.sleep(0.05)

            async with await asyncio.start_server(write, sock=slow):
                url = f"http://{HOST}:{slow.getsockname()[1]}/"
                return await calling.post(url, headers={}, body=b"{}")

        began = time.monotonic()
        outcome = asyncio.run(drip())
    assert outcome.error.startswith("It did not answer within")
    assert time.monotonic() - began < 3


def test_what_is_not_http_is_a_sentence(inside: Receiver) -> None:
    assert "valid" not in send(inside.url()).error
    outcome = send(inside.url(scheme="https"))
    assert outcome.error == "It does not speak TLS as it should."


@pytest.fixture
def authority(monkeypatch: pytest.MonkeyPatch) -> trustme.CA:
    """An authority whose certificates count."""
    found = trustme.CA()
    trust = ssl.create_default_context()
    found.configure_trust(trust)
    monkeypatch.setattr(calling, "_trust", lambda: trust)
    return found


@pytest.mark.parametrize(
    ("name", "error"),
    [
        (HOST, ""),
        ("other.example.org", "Its certificate is not valid for this name"),
        ("127.0.0.1", "Its certi"),
    ],
)
def test_the_certificate_must_be_that_of_the_name(
    inside: Receiver, authority: trustme.CA, name: str, error: str
) -> None:
    """Not that of the address which is called."""
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(name).configure_cert(tls)
    with receiving(tls=tls) as secured:
        outcome = send(secured.url(scheme="https"))
    assert (outcome.status, len(secured.got)) == ((204, 1) if not error else (None, 0))
    assert outcome.error.startswith(error)


def test_a_certificate_of_an_unknown_authority_is_refused(inside: Receiver) -> None:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert(HOST).configure_cert(tls)
    with receiving(tls=tls) as secured:
        assert send(secured.url(scheme="https")).error.startswith("Its certificate is not valid")
