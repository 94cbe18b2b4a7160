"""Request targets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from staplesrv.http.target import Target, is_origin_form, read_target


@pytest.mark.parametrize(
    ("target", "path", "authority"),
    [
        (b"/", b"/", None),
        (b"//two/slashes", b"//two/slashes", None),
        (b"/a?b?c|{}\"'\\^`", b"/a?b?c|{}\"'\\^`", None),
        (b"http://example.org/a?b", b"/a?b", b"example.org"),
        (b"HTTPS://example.org", b"/", b"example.org"),
        (b"http://example.org?a/b", b"/?a/b", b"example.org"),
        (b"http://user@example.org/", b"/", b"user@example.org"),
        (b"http:///a", b"/a", b""),
    ],
)
def test_get(target: bytes, path: bytes, authority: bytes | None) -> None:
    """The origin form is as sent; the absolute form is split, and its authority left for others to check."""
    assert read_target(b"GET", target) == Target(path, authority)


@pytest.mark.parametrize(
    "target", [b"", b"a", b"*", b"?a", b"/a#b", b"/a b", b"/\x7f", b"/\x80", b"/\x00", b"ftp://a/", b"http:/a", b"a:80"]
)
def test_none_of_the_forms(target: bytes) -> None:
    """What is no form of RFC 9112 §3.2, has a fragment, or bytes that need an escape, is no target."""
    assert read_target(b"GET", target) is None


def test_options() -> None:
    """OPTIONS may be for the whole server: RFC 9112 §3.2.4."""
    assert read_target(b"OPTIONS", b"*") == Target(b"*", None)
    assert read_target(b"OPTIONS", b"http://example.org") == Target(b"*", b"example.org")
    assert read_target(b"OPTIONS", b"http://example.org/") == Target(b"/", b"example.org")


@given(st.binary(max_size=30))
def test_whatever_comes(target: bytes) -> None:
    """What is accepted leads to a path that is fit to be handled."""
    found = read_target(b"GET", target)
    if found is not None:
        assert is_origin_form(found.path)
