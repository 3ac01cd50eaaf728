"""Which addresses may be called from inside the house: those of the public internet and no others.

Somebody who may name an address must not reach with it what they could not reach themselves: this machine, the
network behind it, a cloud's metadata. Knows text and tables. Must not look names up: whoever does passes what it
found to `refusal` and connects to that very address, so that no second look-up can answer otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final
from urllib.parse import urlsplit

LONGEST_URL: Final = 500
PORTS: Final = frozenset({80, 443})  # below 1024: the others belong to protocols that a request could disturb
FIRST_FREE_PORT: Final = 1024

# RFC 3986's characters. A backslash or a blank is read by one parser as this and by another as that.
_CHARACTERS: Final = re.compile(r"[A-Za-z0-9\-._~:/?\[\]@!$&'()*+,;=%]+")
_LABEL: Final = r"(?!-)[a-z0-9_-]{1,63}(?<!-)"
_NAME: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
# What inet_aton would take for an address: a last label that is a number, decimal, octal or hexadecimal.
_NUMBER: Final = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)")

# Of the IANA special-purpose registries what `is_global` of some Python versions lets through, and one more.
_NEVER: Final = tuple(
    ip_network(text)
    for text in (
        "192.0.0.0/24",  # IETF protocols; a cloud's metadata among them
        "192.88.99.0/24",  # relays of 6to4
        "168.63.129.16/32",  # a cloud's metadata on a public address
        "2001::/23",  # IETF protocols, Teredo among them: an IPv4 address within
        "2002::/16",  # 6to4: an IPv4 address within
        "3fff::/20",  # documentation
    )
)
_UNICAST: Final = IPv6Network("2000::/3")  # all of IPv6 that is given out
_NAT64: Final = IPv6Network("64:ff9b::/96")


class AddressError(ValueError):
    """Nothing may be sent there; the message is a sentence that says why and what to do."""


@dataclass(frozen=True, slots=True)
class Target:
    """An address taken apart once: what is checked is what is called."""

    scheme: str
    host: str  # a name in lower case, or an IP address without brackets
    port: int
    path: str  # with its query

    @property
    def authority(self) -> str:
        """Of the Host header: without the port where it is the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _default_port(self.scheme) else f"{host}:{self.port}"


def read_target(url: str, *, insecure: bool = False, private: Collection[str] = ()) -> Target:
    """What an address says; `insecure` allows http, and hosts in `private` may have any port.

    Raises:
        AddressError: it is no address, or of a kind that is never called.
    """
    if not url or len(url) > LONGEST_URL:
        raise AddressError(f"Give an address of at most {LONGEST_URL} characters.")
    if not _CHARACTERS.fullmatch(url):
        raise AddressError(
            "Write the address in plain letters, digits and RFC 3986's signs, without a #; names in other letters "
            "in their xn-- form."
        )
    try:
        parts = urlsplit(url)
        port = parts.port
        host = (parts.hostname or "").lower()
    except ValueError:
        raise AddressError("This is no address. Example: https://hooks.example.org/margin") from None
    if parts.scheme not in ({"http", "https"} if insecure else {"https"}):
        raise AddressError("An address begins with https://. Example: https://hooks.example.org/margin")
    if "@" in parts.netloc:
        raise AddressError("Take user name and password out of the address: deliveries are signed instead.")
    host = _host(host)
    port = _default_port(parts.scheme) if port is None else port
    if not (port in PORTS or port >= FIRST_FREE_PORT or (host in private and port)):
        raise AddressError(f"Port {port} is not called. Use 443, or one from {FIRST_FREE_PORT} on.")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(scheme=parts.scheme, host=host, port=port, path=path)


def _default_port(scheme: str) -> int:
    return 443 if scheme == "https" else 80


def _host(host: str) -> str:
    """A name, or an IP address in its canonical form."""
    try:
        return str(ip_address(host))
    except ValueError:
        pass
    if _NUMBER.fullmatch(host):
        raise AddressError("Write an IP address as four decimal numbers, such as 203.0.113.7, or use a name.")
    if not _NAME.fullmatch(host) or len(host) > 253:
        raise AddressError("The address names no host. Example: https://hooks.example.org/margin")
    return host


def refusal(address: str) -> str:
    """Why an IP address may not be called, in a sentence that does not name it; empty: it may."""
    try:
        found = ip_address(address)
    except ValueError:  # a zone, as in fe80::1%eth0, among others
        return "It leads to something that is no address of the public internet."
    if is_public(found):
        return ""
    return (
        "It leads into a private network or back to this machine. Use a public address, or ask an administrator to "
        "name the host in WEBHOOK_PRIVATE_HOSTS."
    )


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether an address belongs to one machine of the public internet, in whatever form it is written."""
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            return False
        if (within := _within(address)) is not None:
            return is_public(within)
        if address not in _UNICAST:
            return False
    return address.is_global and not address.is_multicast and not any(address in net for net in _NEVER)


def _within(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that this one only wraps: mapped, or behind a NAT64."""
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped
