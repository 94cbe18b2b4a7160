from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from staplesrv.ops.address import Address, host_name


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("example.org", "example.org", 443),
        ("Example.ORG.:8443", "example.org", 8443),
        ("bücher.example", "xn--bcher-kva.example", 443),
        ("192.0.2.1:1", "192.0.2.1", 1),
        ("[2001:DB8::1]", "2001:db8::1", 443),
        ("[::1]:65535", "::1", 65535),
        ("[fe80::1%eth0]:443", "fe80::1%eth0", 443),
        ("local_host", "local_host", 443),
    ],
)
def test_an_address_is_a_host_and_perhaps_a_port(text: str, host: str, port: int) -> None:
    """443 where there is none; IPv6 in brackets; names as DNS has them."""
    assert Address.parse(text) == Address(host, port)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("", "HOST[:PORT]"),
        ("https://example.org/", "scheme"),
        ("2001:db8::1", "brackets"),
        ("example.org:0", "no port"),
        ("example.org:65536", "no port"),
        ("example.org:http", "HOST[:PORT]"),
        ("example.org:", "HOST[:PORT]"),
        ("[example.org]", "HOST[:PORT]"),
        ("[::g]", "IPv6"),
        ("[fe80::g%1]:1", "fe80::g%1"),
        ("a b", "no name"),
        ("127.1", "IPv4"),
        ("-x.example", "no name"),
        ("xn--ü.example", "internationalised"),
    ],
)
def test_what_is_no_address_is_refused_with_a_hint(text: str, hint: str) -> None:
    """The text of the error says what to write."""
    with pytest.raises(ValueError, match=re.escape(hint)):
        Address.parse(text)


@pytest.mark.parametrize("text", ["example.org:443", "192.0.2.1:1", "[2001:db8::1]:8443"])
def test_an_address_is_written_as_it_is_read(text: str) -> None:
    """With its port, and with brackets around IPv6."""
    assert str(Address.parse(text)) == text


@given(st.text() | st.from_regex(r"\[?[0-9a-f:.%\-xn]+\]?(:[0-9]+)?", fullmatch=True))
def test_any_text_is_an_address_or_refused(text: str) -> None:
    """Nothing but ValueError comes out; what is read can be read again."""
    try:
        address = Address.parse(text)
    except ValueError:
        return
    assert address.host.isascii() or "%" in address.host
    assert Address.parse(str(address)) == address


def test_a_host_name_may_be_an_ipv6_address_without_brackets() -> None:
    """As --servername has it."""
    assert host_name("2001:db8::1") == "2001:db8::1"
