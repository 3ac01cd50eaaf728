"""Which addresses webhooks may go to. The networks are those of IANA's special-purpose registries."""

from __future__ import annotations

from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation.core.addresses import AddressError, is_public, read_target, refusal

PRIVATE = [
    "0.0.0.0",  # noqa: S104  refused, not bound
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:0:127.0.0.1",
    "64:ff9b::127.0.0.1",
    "64:ff9b::10.0.0.1",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
]
PUBLIC = [
    "1.1.1.1",
    "9.255.255.255",
    "11.0.0.0",
    "172.32.0.1",
    "192.169.0.1",
    "2606:4700::1111",
    "2a00:1450::1",
    "64:ff9b::1.1.1.1",
]
NETWORKS = [
    ip_network(text)
    for text in ("10.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16")
]


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_of_no_public_machine_is_refused(address: str) -> None:
    assert refusal(address)
    assert address not in refusal(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_may_be_called(address: str) -> None:
    assert refusal(address) == ""


@pytest.mark.parametrize("text", ["", "localhost", "1.2.3", "0177.0.0.1", "2130706433", "1.2.3.4, 5.6.7.8"])
def test_what_is_no_address_is_refused(text: str) -> None:
    assert refusal(text)


def inside(net: object) -> st.SearchStrategy[IPv4Address]:
    return st.ip_addresses(v=4, network=str(net)).map(lambda found: IPv4Address(str(found)))


@given(st.sampled_from(NETWORKS).flatmap(inside))
def test_a_private_address_stays_private_in_every_wrapping(address: IPv4Address) -> None:
    number = int(address)
    wrapped = [
        IPv6Address(number),  # IPv4-compatible
        IPv6Address(0xFFFF << 32 | number),  # mapped
        IPv6Address(0x64FF9B << 96 | number),  # NAT64
        IPv6Address(0x2002 << 112 | number << 80),  # 6to4
        IPv6Address(0x20010000 << 96 | number ^ 0xFFFFFFFF),  # Teredo's client
    ]
    forms: list[IPv4Address | IPv6Address] = [address, *wrapped]
    assert [str(form) for form in forms if is_public(form)] == []


@given(st.ip_addresses(v=4).map(lambda found: IPv4Address(str(found))))
def test_a_mapped_address_is_as_public_as_what_it_maps(address: IPv4Address) -> None:
    assert is_public(IPv6Address(f"::ffff:{address}")) == is_public(address)


@given(st.ip_addresses(v=4, network="127.0.0.0/8").map(str), st.data())
def test_an_address_in_decimal_octal_or_hexadecimal_is_no_host(address: str, data: st.DataObject) -> None:
    """All forms that inet_aton takes but the canonical one, which is an address and refused as one."""
    parts = [int(part) for part in address.split(".")]
    kept = data.draw(st.integers(0, 3))
    tail = 0
    for part in parts[kept:]:
        tail = tail * 256 + part
    forms = [data.draw(st.sampled_from(["{:d}", "0{:o}", "0x{:x}"])) for _ in range(kept + 1)]
    host = ".".join(form.format(part) for form, part in zip(forms, [*parts[:kept], tail], strict=True))
    if host == address:
        assert refusal(read_target(f"https://{host}/").host)
        return
    with pytest.raises(AddressError, match="four decimal numbers"):
        read_target(f"https://{host}/")


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("", "at most 500"),
        ("https://example.org/" + "a" * 500, "at most 500"),
        ("http://example.org/", "begins with https"),
        ("ftp://example.org/", "begins with https"),
        ("//example.org/", "begins with https"),
        ("file:///etc/passwd", "begins with https"),
        ("https://ada:secret@example.org/", "user name and password"),
        ("https://@example.org/", "user name and password"),
        ("https://example.org\\@127.0.0.1/", "plain letters"),
        ("https://example.org/ x", "plain letters"),
        ("https://example.org/\r\nhost: x", "plain letters"),
        ("https://example.org/#part", "plain letters"),
        ("https://①②⑦.⓪.⓪.①/", "plain letters"),
        ("https://bücher.example/", "xn--"),
        ("https://", "names no host"),
        ("https:///path", "names no host"),
        ("https://example..org/", "names no host"),
        ("https://exa%6Dple.org/", "names no host"),
        ("https://%31%32%37.0.0.1/", "four decimal numbers"),
        ("https://example.org:99999/", "no address"),
        ("https://example.org:x/", "no address"),
        ("https://[::1/", "no address"),
        ("https://example.org:22/", "Port 22"),
        ("https://example.org:0/", "Port 0"),
        ("https://127.1/", "four decimal numbers"),
        ("https://0x7f000001/", "four decimal numbers"),
    ],
)
def test_what_is_never_called_is_refused_with_a_sentence(url: str, complaint: str) -> None:
    with pytest.raises(AddressError, match=complaint):
        read_target(url)


def test_an_address_is_taken_apart_once_and_whole() -> None:
    target = read_target("https://Hooks.Example.org:8443/a%20b?key=1")
    assert (target.scheme, target.host, target.port, target.path) == (
        "https",
        "hooks.example.org",
        8443,
        "/a%20b?key=1",
    )
    assert target.authority == "hooks.example.org:8443"
    assert read_target("https://example.org").authority == "example.org"
    assert read_target("https://[2606:4700:0::1111]:443/").authority == "[2606:4700::1111]"
    assert read_target("https://[::ffff:1.1.1.1]/").host == str(ip_address("::ffff:1.1.1.1"))


def test_http_and_any_port_are_for_those_who_ask() -> None:
    assert read_target("http://example.org/", insecure=True).port == 80
    assert read_target("https://inside:22/", private=["inside"]).port == 22


@given(st.text(max_size=60))
def test_any_text_is_an_address_or_a_sentence(text: str) -> None:
    for url in (text, f"https://{text}", f"https://example.org{text}"):
        with suppress(AddressError):
            target = read_target(url)
            assert target.host
            assert target.path.startswith("/")
