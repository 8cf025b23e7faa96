"""Which addresses are the public internet, and who may leave it."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.fetch.guard import BlockedAddress, Guard, is_public


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "64:ff9b::101:101", "2002:101:101::1"]
)
def test_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.1.2.3",
        "0.0.0.0",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "192.0.0.8",
        "192.0.2.1",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1",
        "ff02::1",
        "fec0::1",
        "2001:db8::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b:1::7f00:1",
        "2002:7f00:1::",
        "2001::1",
        "",
        "localhost",
        "0x7f.1",
        "127.1",
    ],
)
def test_not_public(address: str) -> None:
    assert not is_public(address)


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_is_judged_alike_in_every_ipv6_coat(address: ipaddress.IPv4Address) -> None:
    number = int(address)
    for coat in (
        f"::ffff:{address}",
        f"64:ff9b::{number >> 16:x}:{number & 0xFFFF:x}",
        f"2002:{number >> 16:x}:{number & 0xFFFF:x}::1",
    ):
        assert is_public(coat) == is_public(str(address))


def guard(*named: str, allow: bool = False) -> Guard:
    return Guard(allow_private=allow, named=lambda host: host in named)


def test_public_addresses_pass_and_private_ones_do_not() -> None:
    assert guard().check("a.example", ["1.1.1.1", "2606:4700::1111"]) == ["1.1.1.1", "2606:4700::1111"]
    with pytest.raises(BlockedAddress, match=r"10\.0\.0\.1"):
        guard().check("a.example", ["10.0.0.1"])


def test_a_private_address_beside_a_public_one_is_left_out() -> None:
    assert guard().check("a.example", ["127.0.0.1", "1.1.1.1"]) == ["1.1.1.1"]
    assert guard("a.example").check("a.example", ["127.0.0.1", "1.1.1.1"]) == ["1.1.1.1"]


def test_a_named_host_and_port_may_be_private_and_no_other_port() -> None:
    checked = guard("intranet:8080")
    assert checked.check("intranet:8080", ["10.0.0.1"]) == ["10.0.0.1"]
    with pytest.raises(BlockedAddress):
        checked.check("intranet", ["10.0.0.1"])


def test_a_named_host_that_was_public_may_not_become_private() -> None:
    checked = guard("a.example")
    assert checked.check("a.example", ["1.1.1.1"]) == ["1.1.1.1"]
    with pytest.raises(BlockedAddress):
        checked.check("a.example", ["127.0.0.1"])


def test_everything_may_be_reached_when_the_user_says_so() -> None:
    assert guard(allow=True).check("a.example", ["127.0.0.1"]) == ["127.0.0.1"]


@pytest.mark.parametrize("host", ["127.0.0.1:80", "[::1]", "localhost:8000", "x.localhost", "10.0.0.1"])
def test_behind_a_proxy_the_name_alone_is_judged(host: str) -> None:
    with pytest.raises(BlockedAddress):
        guard().check_name(host)
    guard(host).check_name(host)


@pytest.mark.parametrize("host", ["a.example", "1.1.1.1", "[2606:4700::1111]:443"])
def test_behind_a_proxy_other_names_pass(host: str) -> None:
    guard().check_name(host)


CREDENTIALS = [
    "169.254.169.254",
    "fe80::1",
    "fe80::1%eth0",
    "::ffff:169.254.169.254",
    "fd00:ec2::254",
    "fd00:0ec2:0:0:0:0:0:254",
    "fd00:ec2::23",
    "fd20:ce::254",
    "fd00:42::42",
    "100.100.100.200",
    "::ffff:100.100.100.200",
    "192.0.0.192",
    "168.63.129.16",
]


@pytest.mark.parametrize("address", CREDENTIALS)
def test_where_clouds_keep_credentials_is_not_public_whatever_the_address_looks_like(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", CREDENTIALS)
def test_where_clouds_keep_credentials_stays_closed_unless_a_start_url_names_it(address: str) -> None:
    with pytest.raises(BlockedAddress, match="credentials"):
        Guard(allow_private=True, named=lambda _: False).check("a.example", [address])
    assert Guard(allow_private=True, named=lambda _: True).check("a.example", [address]) == [address]
    assert Guard(allow_private=True, named=lambda _: False).check("a.example", [address, "10.0.0.1"]) == ["10.0.0.1"]
