"""Which targets name files, and which."""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from staplesrv.http.static.file_path import FilePath

ODD_TARGETS = st.lists(
    st.sampled_from(
        [b"/", b"..", b".", b"%2e", b"%2E", b"%2f", b"%5c", b"\\", b"%00", b"%", b"%2", b"a", b"%c0%ae", b"\xff", b"~"]
    ),
    max_size=12,
).map(b"".join)


@pytest.mark.parametrize(
    ("target", "name", "url"),
    [
        (b"/", b"index.html", b"/"),
        (b"/a.txt", b"a.txt", b"/a.txt"),
        (b"/a/b/", b"a/b/index.html", b"/a/b/"),
        (b"/%61.txt", b"a.txt", b"/a.txt"),
        (b"/a%20b%25", b"a b%", b"/a%20b%25"),
        (b"/a+b", b"a+b", b"/a+b"),
        (b"/%3Fa%23", b"?a#", b"/%3Fa%23"),
        (b"/a;b=c,d", b"a;b=c,d", b"/a;b=c,d"),
        ("/grün".encode(), "grün".encode(), b"/gr%C3%BCn"),
        (b"/gr%c3%bcn", "grün".encode(), b"/gr%C3%BCn"),
        (b"/.well-known/acme", b".well-known/acme", b"/.well-known/acme"),
        (b"/a..b/c.", b"a..b/c.", b"/a..b/c."),
    ],
)
def test_a_target_names_a_file(target: bytes, name: bytes, url: bytes) -> None:
    """Escapes are undone once, in each segment by itself."""
    path = FilePath.parse(target)
    assert path is not None
    assert (path.name, path.url) == (name, url)


@pytest.mark.parametrize(
    "target",
    [
        b"",
        b"*",
        b"a",
        b"//",
        b"/a//b",
        b"//a",
        b"/..",
        b"/../etc/passwd",
        b"/a/../../etc/passwd",
        b"/./a",
        b"/a/.",
        b"/%2e%2e/etc/passwd",
        b"/%2E./a",
        b"/a%2fb",
        b"/a%2F..%2F..%2Fetc",
        b"/..%2f",
        b"/%252e%252e%2f",
        b"/a\\b",
        b"/..\\..\\etc",
        b"/%5c..%5c",
        b"/a%00.txt",
        b"/a\0",
        b"/%ff",
        b"/\xff",
        b"/%c0%ae%c0%ae/etc",
        b"/%e0%80%ae",
        b"/%ed%a0%80",
        b"/.git/config",
        b"/.htpasswd",
        b"/a/.env",
        b"/.Well-Known/a",
        b"/.well-known/.htaccess",
        b"/...",
        b"/%",
        b"/%2",
        b"/%zz",
        b"/a%u002e",
    ],
)
def test_what_is_hidden_or_ambiguous_names_nothing(target: bytes) -> None:
    """Nor does anything that has another reading elsewhere."""
    assert FilePath.parse(target) is None


def test_an_escape_is_undone_once() -> None:
    """`%252e` is a file whose name has a percent sign in it."""
    path = FilePath.parse(b"/%252e%252e/x")
    assert path is not None
    assert path.name == b"%2e%2e/x"


@given(ODD_TARGETS | st.binary(max_size=40).map(b"/".__add__))
def test_no_name_leads_upwards(target: bytes) -> None:
    """Whatever a target says, its name has no empty or dotted segment and no NUL."""
    path = FilePath.parse(target)
    if path is not None:
        assert all(segment and segment not in {b".", b".."} for segment in path.name.split(b"/"))
        assert not path.name.startswith(b"/")
        assert b"\0" not in path.name
        path.name.decode()


@given(ODD_TARGETS | st.text(max_size=20).map(lambda text: b"/" + text.encode()))
def test_a_url_is_the_same_path(target: bytes) -> None:
    """And it never begins with two slashes, nor with more than a link may have in it."""
    path = FilePath.parse(target)
    if path is not None:
        assert FilePath.parse(path.url) == path
        assert unquote_to_bytes(path.url) == unquote_to_bytes(target)
        assert not path.url.startswith(b"//")
        assert path.url.isascii()
        assert not set(path.url) & set(b' ?#\\\r\n\t"<>')
