"""One request to somebody else's address: look its name up once, check what was found, connect to that.

Knows the network. Must not know rows: what it is given it sends, and what came of it is a status and a sentence, never
a word of the answer.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from typing import Final

import httpx
from django.conf import settings

from annotation.core.addresses import AddressError, Target, read_target, refusal

SECONDS: Final = 15.0  # for everything, from the look-up to the answer's status
CHECK_SECONDS: Final = 4.0  # for a look-up while somebody waits
CONNECT_SECONDS: Final = 5.0  # with each of a name's addresses
MOST_ADDRESSES: Final = 4  # of one name that are tried


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a request: the answer's status, if there was one, and why it is no success."""

    status: int | None
    error: str
    took_ms: int

    @property
    def gone(self) -> bool:
        """The receiver wants nothing more, ever."""
        return self.status == HTTPStatus.GONE


def check_address(url: str) -> Target:
    """What an address says, if a delivery could be sent there now.

    Raises:
        AddressError: it could not; the message says why.
    """
    target = _read(url)
    with _Waiting() as waiting:
        try:
            waiting.submit(addresses_of, target).result(CHECK_SECONDS)
        except TimeoutError:
            raise AddressError(f"{target.host} could not be looked up in time. Try again.") from None
    return target


class _Waiting(ThreadPoolExecutor):
    """A thread that is not waited for: the resolver has no time limit of its own."""

    def __init__(self) -> None:
        super().__init__(max_workers=1)

    def __exit__(self, *_: object) -> None:
        self.shutdown(wait=False)


def _read(url: str) -> Target:
    return read_target(url, insecure=settings.WEBHOOK_INSECURE, private=settings.WEBHOOK_PRIVATE_HOSTS)


def addresses_of(target: Target) -> list[str]:
    """The IP addresses of a target's host, each of which may be called.

    One forbidden address forbids the name: it could be the one that is taken the next time.

    Raises:
        AddressError: there is no such host, or one of its addresses may not be called.
    """
    found = look_up(target.host, target.port)
    if target.host not in settings.WEBHOOK_PRIVATE_HOSTS:
        for reason in filter(None, map(refusal, found)):
            raise AddressError(reason)
    return found[:MOST_ADDRESSES]


def look_up(host: str, port: int) -> list[str]:
    """Ask the resolver, in its order; an IP address is its own answer.

    Raises:
        AddressError: it knows no such host.
    """
    try:
        answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        raise AddressError(f"There is no host named {host}, or it cannot be looked up now.") from None
    return list(dict.fromkeys(str(answer[4][0]) for answer in answers))


async def post(url: str, *, headers: Mapping[str, str], body: bytes) -> Outcome:
    """Send `body`; 2xx within SECONDS is success. Redirects are not followed, proxies of the environment not used."""
    began = time.monotonic()
    status: int | None = None
    try:
        async with asyncio.timeout(SECONDS):
            target = _read(url)
            found = await asyncio.to_thread(addresses_of, target)
            status = await _post_to_first(target, found, headers, body)
        error = _complaint(status)
    except AddressError as refused:
        error = str(refused)
    except (TimeoutError, httpx.TimeoutException):
        error = f"It did not answer within {SECONDS:.0f} seconds."
    except (httpx.HTTPError, OSError) as broken:
        error = _reason(broken)
    return Outcome(status, error, round(1000 * (time.monotonic() - began)))


async def _post_to_first(
    target: Target, addresses: Sequence[str], headers: Mapping[str, str], body: bytes
) -> int:
    """The status from the first of the addresses that takes a connection."""
    for address in addresses[:-1]:
        try:
            return await _post_to(address, target, headers, body)
        except (httpx.ConnectError, httpx.ConnectTimeout):
            continue  # nothing was sent yet
    return await _post_to(addresses[-1], target, headers, body)


async def _post_to(address: str, target: Target, headers: Mapping[str, str], body: bytes) -> int:
    # The connection goes to the checked address; certificate and Host header are those of the name.
    where = httpx.URL(
        scheme=target.scheme, host=address, port=target.port, raw_path=target.path.encode("ascii")
    )
    timeout = httpx.Timeout(SECONDS, connect=CONNECT_SECONDS)
    async with httpx.AsyncClient(verify=_trust(), trust_env=False, timeout=timeout) as client:
        request = client.build_request(
            "POST",
            where,
            content=body,
            headers={**headers, "host": target.authority},
            extensions={"sni_hostname": target.host, "timeout": timeout.as_dict()},
        )
        response = await client.send(request, stream=True, follow_redirects=False)
        await response.aclose()  # unread
        return response.status_code


@cache
def _trust() -> ssl.SSLContext:
    """Authorities whose certificates count: the public ones, or those of SSL_CERT_FILE and SSL_CERT_DIR."""
    return httpx.create_ssl_context()


def _complaint(status: int) -> str:
    """Why an answer is no success; empty: it is one."""
    if 200 <= status < 300:
        return ""
    if 300 <= status < 400:
        return f"It answered {status} and points elsewhere. Redirects are not followed: give the address they lead to."
    if status == HTTPStatus.GONE:
        return "It answered 410: it wants no more deliveries."
    return f"It answered {status} where 2xx was expected."


def _reason(error: Exception) -> str:
    """What broke, in a sentence made here: nothing that the other side wrote is repeated."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return "Its certificate is not valid for this name, or not from a known authority."
        if isinstance(cause, ssl.SSLError):
            return "It does not speak TLS as it should."
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, httpx.ConnectError):
        return "It takes no connection."
    return "It broke off before it answered, or answered something that is not HTTP."
