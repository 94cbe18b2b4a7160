"""Host and port, taken apart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from staplesrv.http.authority import Authority, split


@pytest.mark.parametrize(
    ("authority", "host", "port"),
    [
        (b"example.org", b"example.org", None),
        (b"Example.ORG:8443", b"example.org", 8443),
        (b"example.org:", b"example.org", None),
        (b"example.org.", b"example.org.", None),
        (b"xn--bcher-kva.example", b"xn--bcher-kva.example", None),
        (b"under_score.example:0", b"under_score.example", 0),
        (b"192.0.2.1:443", b"192.0.2.1", 443),
        (b"[2001:DB8::1]", b"[2001:db8::1]", None),
        (b"[::ffff:192.0.2.1]:65535", b"[::ffff:192.0.2.1]", 65535),
    ],
)
def test_split(authority: bytes, host: bytes, port: int | None) -> None:
    """A host comes in lower case, a port as a number."""
    assert split(authority) == Authority(host, port)


@pytest.mark.parametrize(
    "authority",
    [
        b"",
        b":443",
        b"a b",
        b" a",
        b"a,b",
        b"a/b",
        b"a@b",
        b"a%41",
        b"a\x00",
        b"b\xc3\xbccher.example",
        b"a:b",
        b"a:1:2",
        b"a:-1",
        b"a:+1",
        b"a:65536",
        b"a:000443",
        b"a\n",
        b"2001:db8::1",
        b"[2001:db8::1",
        b"[2001:db8::1]x",
        b"[fe80::1%25eth0]",
        b"[v1.a]",
        b"[]",
        b"[192.0.2.1]",
        b"[::1]]",
    ],
)
def test_not_an_authority(authority: bytes) -> None:
    """What is not a host and a port in one reading is none."""
    assert split(authority) is None


@given(st.binary(max_size=40))
def test_whatever_comes(authority: bytes) -> None:
    """Whatever bytes come, the answer is a host that is itself one, or nothing."""
    found = split(authority)
    if found is not None:
        assert found.host == found.host.lower()
        assert split(found.host) == Authority(found.host, None)
