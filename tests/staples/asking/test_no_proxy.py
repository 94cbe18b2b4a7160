"""Which hosts are asked without the proxy."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from staplesrv.staples.asking.no_proxy import bypasses, is_pattern


@pytest.mark.parametrize(
    ("host", "pattern"),
    [
        ("ocsp.example", "ocsp.example"),
        ("ocsp.example", "OCSP.EXAMPLE."),
        ("a.ocsp.example", "ocsp.example"),
        ("a.ocsp.example", ".ocsp.example"),
        ("ocsp.example", ".ocsp.example"),
        ("a.ocsp.example", "*.ocsp.example"),
        ("xn--bcher-kva.example", "bücher.example"),
        ("192.0.2.7", "192.0.2.7"),
        ("192.0.2.7", "192.0.2.0/24"),
        ("192.0.2.7", "192.0.2.1/24"),
        ("2001:db8::7", "2001:db8::/32"),
        ("2001:db8::7", "2001:DB8:0::7"),
        ("::1", "[::1]"),
        ("anything.example", "*"),
        ("::1", "*"),
    ],
)
def test_it_matches(host: str, pattern: str) -> None:
    """Domains match themselves and what is below, networks their addresses, `*` everything."""
    assert is_pattern(pattern)
    assert bypasses(host, ["other.example", pattern])


@pytest.mark.parametrize(
    ("host", "pattern"),
    [
        ("ocsp.example", "a.ocsp.example"),
        ("myocsp.example", "ocsp.example"),
        ("ocsp.example.org", "ocsp.example"),
        ("192.0.2.7", "192.0.3.0/24"),
        ("192.0.2.7", "2001:db8::/32"),
        ("192.0.2.7.example", "192.0.2.7"),
        ("ocsp.example", "192.0.2.0/24"),
        ("ocsp.example", ""),
    ],
)
def test_it_does_not_match(host: str, pattern: str) -> None:
    """A pattern matches nothing else."""
    assert not bypasses(host, [pattern])


def test_nothing_bypasses_an_empty_list() -> None:
    """Without patterns every host goes through the proxy."""
    assert not bypasses("ocsp.example", [])


@pytest.mark.parametrize(
    "entry", ["", " ", "a b", "http://ocsp.example", "ocsp.example:80", "1.2.3", "10.0.0.0/33", "**"]
)
def test_what_is_no_pattern(entry: str) -> None:
    """What could never match is told apart, so that settings can refuse it."""
    assert not is_pattern(entry)


@given(st.text(max_size=40), st.text(max_size=40))
def test_no_text_raises(host: str, entry: str) -> None:
    """Whatever host and pattern are, the outcome is yes or no; and what is no pattern matches nothing."""
    assert bypasses(host, [entry]) in {False, is_pattern(entry)}
