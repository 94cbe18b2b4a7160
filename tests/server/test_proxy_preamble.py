"""The PROXY protocol in front of handshakes."""

from __future__ import annotations

from ipaddress import ip_network
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress

from staplesrv.http.proxy_protocol import ProxyHeader, build
from staplesrv.server.proxy_preamble import ProxyPreamble, proxy_preambles
from staplesrv.tls.addresses import Address
from staplesrv.tls.preamble import BadPreamble

CLIENT, SERVER = ("192.0.2.7", 4711), ("198.51.100.1", 443)
BINARY = build(ProxyHeader(CLIENT, SERVER), checksum=True)
LINE = b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\n"
HELLO = b"\x16\x03\x01"


@given(st.sampled_from([BINARY, LINE]), st.sets(st.integers(1, len(BINARY) + len(HELLO))))
def test_the_end_is_found_however_it_comes(header: bytes, cuts: set[int]) -> None:
    """What follows the header is not part of it, and who the client is does not depend on where it was cut."""
    sent, preamble, taken = header + HELLO, ProxyPreamble(), 0
    for start, end in pairwise([0, *sorted(cut for cut in cuts if cut < len(sent)), len(sent)]):
        length = preamble.feed(sent[start:end])
        taken += end - start if length is None else length
        if length is not None:
            break
    assert taken == len(header)
    assert preamble.peer == IPv4Address("TCP", *CLIENT)


@pytest.mark.parametrize(
    ("header", "peer"),
    [
        (build(ProxyHeader(("2001:db8::7", 1), ("::1", 2))), IPv6Address("TCP", "2001:db8::7", 1)),
        (build(ProxyHeader()), None),
        (b"PROXY UNKNOWN\r\n", None),
    ],
)
def test_who_the_client_is(header: bytes, peer: Address | None) -> None:
    """An address of either kind, or nobody else than who connected."""
    preamble = ProxyPreamble()
    assert preamble.feed(header) == len(header)
    assert preamble.peer == peer


def test_something_else() -> None:
    """It is refused: a trusted sender that begins with TLS would pass for the client itself."""
    with pytest.raises(BadPreamble):
        ProxyPreamble().feed(HELLO)
    spoilt = ProxyPreamble()
    assert spoilt.feed(b"PROXY ") is None
    with pytest.raises(BadPreamble):
        spoilt.feed(b"TCP5\r\n")


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        (IPv4Address("TCP", "10.1.2.3", 1), True),
        (IPv4Address("TCP", "11.1.2.3", 1), False),
        (IPv6Address("TCP", "::ffff:10.1.2.3", 1), True),
        (IPv6Address("TCP", "2001:db8::1", 1), True),
        (IPv6Address("TCP", "2001:db9::1", 1), False),
        (IPv6Address("TCP", "fe80::1%eth0", 1), False),
        (UNIXAddress(None), True),
    ],
)
def test_who_is_trusted(address: Address, expected: bool) -> None:  # noqa: FBT001
    """Addresses within the networks, in whatever form, and UNIX sockets; from others TLS comes at once."""
    make = proxy_preambles([ip_network("10.0.0.0/8"), ip_network("2001:db8::/32")])
    assert (make(address) is not None) is expected
