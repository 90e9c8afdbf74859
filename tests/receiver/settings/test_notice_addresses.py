"""Addresses that are somebody's own, in all their spellings."""

import ipaddress
import socket

import pytest

from receiver.settings.notice_addresses import find_refusal, is_public, parse_address

PRIVATE = [
    "127.0.0.1",
    "127.255.255.254",
    "0.0.0.0",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",  # a carrier's
    "169.254.169.254",  # metadata of clouds
    "192.0.0.192",
    "198.18.0.1",
    "203.0.113.7",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "fe80::1",
    "fc00::1",
    "fd00:ec2::254",
    "fec0::1",
    "ff02::1",
    "2001:db8::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "2002:7f00:1::",
    "2002:a00:1::1",
    "2001:0:a00:1::1",
]
PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "2606:4700::1111",
    "::ffff:1.1.1.1",
    "64:ff9b::101:101",
    "2002:101:101::1",
]


@pytest.mark.parametrize("text", PRIVATE)
def test_own_networks_are_not_public(text: str) -> None:
    assert not is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize("text", PUBLIC)
def test_the_internet_is_public(text: str) -> None:
    assert is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize("text", ["2130706433", "0x7f.1", "017700000001", "127.1"])
def test_odd_spellings_resolve_to_what_they_are(text: str) -> None:
    """They are names for us; what the resolver makes of them is judged."""
    assert parse_address(text) is None
    (found,) = {str(one[4][0]) for one in socket.getaddrinfo(text, 80, type=socket.SOCK_STREAM)}
    address = parse_address(found)
    assert address is not None
    assert not is_public(address)


@pytest.mark.parametrize(
    ("text", "is_https", "private", "allowed"),
    [
        ("1.1.1.1", True, False, True),
        ("1.1.1.1", True, True, True),
        ("1.1.1.1", False, True, False),
        ("10.0.0.1", True, False, False),
        ("10.0.0.1", True, True, True),
        ("10.0.0.1", False, True, True),
    ],
)
def test_refusals(text: str, *, is_https: bool, private: bool, allowed: bool) -> None:
    refusal = find_refusal(ipaddress.ip_address(text), is_https=is_https, private=private)
    assert (refusal is None) is allowed


def test_scopes_are_left_out() -> None:
    assert parse_address("fe80::1%eth0") == ipaddress.ip_address("fe80::1")
