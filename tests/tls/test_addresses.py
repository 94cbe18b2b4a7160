"""Addresses of sockets."""

from __future__ import annotations

import ipaddress
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress

from staplesrv.tls.addresses import address_of, network_of


def v6(host: str) -> IPv6Address:
    """An IPv6 address with some port."""
    return IPv6Address("TCP", host, 1)


def test_ipv4() -> None:
    """Host and port."""
    assert address_of(socket.AF_INET, ("192.0.2.1", 443)) == IPv4Address("TCP", "192.0.2.1", 443)


def test_ipv6() -> None:
    """With its flow label and its scope."""
    assert address_of(socket.AF_INET6, ("2001:db8::1", 443, 5, 0)) == IPv6Address("TCP", "2001:db8::1", 443, 5, 0)


def test_the_scope_of_a_link_local_address_is_the_interfaces_name() -> None:
    """Python's accept(2) shows it as a number beside the address."""
    number, name = socket.if_nameindex()[0]
    assert address_of(socket.AF_INET6, ("fe80::1", 443, 0, number)).host == f"fe80::1%{name}"
    assert address_of(socket.AF_INET6, (f"fe80::1%{name}", 443, 0, number)).host == f"fe80::1%{name}"


def test_unix(tmp_path: Path) -> None:
    """The path of the server's end; the client's has none, as a rule."""
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(path)
        server.listen()
        client.connect(path)
        accepted, peer = server.accept()
        with accepted:
            assert address_of(socket.AF_UNIX, accepted.getsockname()) == UNIXAddress(path.encode())
            assert address_of(socket.AF_UNIX, peer) == UNIXAddress(None)


def test_a_unix_client_has_no_network() -> None:
    """All of them are alike."""
    assert network_of(UNIXAddress(b"/run/s")) == ""


def test_an_ipv4_client_is_its_address() -> None:
    """Also where a socket of IPv6 shows it, however it is spelled."""
    for address in (IPv4Address("TCP", "192.0.2.1", 1), v6("::ffff:192.0.2.1"), v6("::ffff:c000:201")):
        assert network_of(address) == "192.0.2.1"


@pytest.mark.parametrize("host", ["2001:db8:1:2::", "2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff"])
def test_an_ipv6_client_is_its_64(host: str) -> None:
    """It may take any address in that."""
    assert network_of(v6(host)) == network_of(v6("2001:db8:1:2:3:4:5:6"))
    assert network_of(v6(host)) != network_of(v6("2001:db8:1:3::1"))


def test_a_scope_is_no_part_of_a_network() -> None:
    """It is there for link-local addresses."""
    assert network_of(v6("fe80::1%eth0")) == network_of(v6("fe80::2"))


@given(st.ip_addresses(v=6), st.ip_addresses(v=6))
def test_clients_are_equal_where_their_64_is(one: ipaddress.IPv6Address, other: ipaddress.IPv6Address) -> None:
    """Or their IPv4 address, where they have one."""
    mapped = one.ipv4_mapped or other.ipv4_mapped
    same = one.ipv4_mapped == other.ipv4_mapped if mapped else int(one) >> 64 == int(other) >> 64
    assert (network_of(v6(str(one))) == network_of(v6(str(other)))) is same
