"""Clients that are led elsewhere."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from fake_exchange import FakeExchange, Told, request
from hypothesis import given
from hypothesis import strategies as st

from staplesrv.errors import OperatorError
from staplesrv.http.redirect import HttpsRedirect, Redirect
from staplesrv.http.request import Request
from staplesrv.http.target import is_origin_form


def told(application: Redirect | HttpsRedirect, of: Request) -> Told:
    """What the client gets."""
    exchange = FakeExchange(of)
    application.handle(exchange)
    assert exchange.told.finished
    return exchange.told


@pytest.mark.parametrize(
    ("to", "target", "location"),
    [
        ("https://www.example.org", b"/a/b?c=d", b"https://www.example.org/a/b?c=d"),
        ("https://www.example.org/", b"/", b"https://www.example.org/"),
        ("http://www.example.org:8080/base/", b"/a?", b"http://www.example.org:8080/base/a?"),
        ("https://[2001:db8::1]", b"/%0d%0aSet-Cookie:x", b"https://[2001:db8::1]/%0d%0aSet-Cookie:x"),
        ("https://www.example.org", b"//evil.example/", b"https://www.example.org//evil.example/"),
        ("https://www.example.org", b"/@evil.example", b"https://www.example.org/@evil.example"),
    ],
)
def test_path_and_query_are_kept(to: str, target: bytes, location: bytes) -> None:
    """They are put behind the URL, byte for byte, and never into its host."""
    seen = told(Redirect(to), request(target))
    assert (seen.status, seen.field(b"location")) == (301, location)


@pytest.mark.parametrize(
    ("method", "status"), [(b"GET", 301), (b"HEAD", 301), (b"POST", 308), (b"PUT", 308), (b"DELETE", 308)]
)
def test_a_method_is_kept_where_it_counts(method: bytes, status: int) -> None:
    """RFC 9110 §15.4.9: after a 308 a POST stays one."""
    assert told(Redirect("https://a.example"), request(b"/", method)).status == status


def test_the_server_as_a_whole() -> None:
    """`*` has no path: it is led to the root."""
    seen = told(Redirect("https://a.example"), request(b"*", b"OPTIONS"))
    assert (seen.status, seen.field(b"location")) == (308, b"https://a.example/")


@pytest.mark.parametrize(
    "to",
    [
        "www.example.org",
        "//www.example.org",
        "ftp://www.example.org",
        "https://",
        "https:///path",
        "https://user@example.org",
        "https://example.org?x",
        "https://example.org#x",
        "https://example.org/a b",
        "https://example.org/\r\nX: y",
        "https://ex\u00e4mple.org",
        "https://example.org/\u00e4",
        "https://[::1",
        "https://example.org:99999",
    ],
)
def test_a_url_that_is_none_to_lead_to(to: str) -> None:
    """It is the operator's to mend."""
    with pytest.raises(OperatorError):
        Redirect(to)


@given(st.from_regex(rb"/[!\"$-~]{0,30}", fullmatch=True).filter(is_origin_form))
def test_the_host_stays_whatever_is_asked_for(target: bytes) -> None:
    """No path leads anywhere else."""
    location = told(Redirect("https://a.example"), request(target)).field(b"location")
    assert location == b"https://a.example" + target


# From plain HTTP to https.


@pytest.mark.parametrize(
    ("host", "port", "location"),
    [
        (b"example.org", 443, b"https://example.org/a?b"),
        (b"EXAMPLE.org:80", 443, b"https://example.org/a?b"),
        (b"example.org:8080", 8443, b"https://example.org:8443/a?b"),
        (b"[2001:db8::1]:80", 443, b"https://[2001:db8::1]/a?b"),
        (b"example.org:", 443, b"https://example.org/a?b"),
    ],
)
def test_to_https(host: bytes, port: int, location: bytes) -> None:
    """The host stays, the port is that of https."""
    seen = told(HttpsRedirect(port), request(b"/a?b", fields=((b"host", host),)))
    assert (seen.status, seen.field(b"location")) == (301, location)


@pytest.mark.parametrize("host", [b"", b"a b", b"evil@example.org", b"example.org/x", b"ex\r\nample"])
def test_a_host_that_is_none(host: bytes) -> None:
    """There is nowhere to lead to."""
    assert told(HttpsRedirect(), request(fields=((b"host", host),))).status == 400


# The challenges of ACME.


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a challenge."""
    (tmp_path / "to-ken_1").write_bytes(b"to-ken_1.hash")
    return tmp_path


def challenge(token: bytes, method: bytes = b"GET") -> Request:
    """A request for a challenge."""
    return request(b"/.well-known/acme-challenge/" + token, method)


@pytest.mark.parametrize("query", [b"", b"?x"])
def test_a_challenge(folder: Path, query: bytes) -> None:
    """RFC 8555 §8.3: the content of the file, with that type, over plain HTTP."""
    seen = told(HttpsRedirect(443, folder), challenge(b"to-ken_1" + query))
    assert (seen.status, seen.body) == (200, b"to-ken_1.hash")
    assert seen.field(b"content-type") == b"application/octet-stream"


@pytest.mark.parametrize(
    "token",
    [
        b"",
        b"other",
        b"..",
        b"../to-ken_1",
        b"%2e%2e",
        b"to-ken_1/",
        b"a/b",
        b".hidden",
        b"to%2dken_1",
        b"x" * 256,
        b"x" * 255,
    ],
)
def test_what_is_no_token(folder: Path, token: bytes) -> None:
    """It is 404: not led to https, and no way out of the folder."""
    (folder / ".hidden").write_bytes(b"hidden")
    assert told(HttpsRedirect(443, folder), challenge(token)).status == 404


def test_what_is_no_plain_file(folder: Path, tmp_path: Path) -> None:
    """Links, folders, pipes and large files are nobody's challenge, and nothing waits for them."""
    (folder / "link").symlink_to("/etc/passwd")
    (folder / "folder").mkdir()
    os.mkfifo(folder / "pipe")
    (folder / "large").write_bytes(bytes(5000))
    for name in (b"link", b"folder", b"pipe", b"large"):
        assert told(HttpsRedirect(443, folder), challenge(name)).status == 404


def test_a_challenge_by_another_method(folder: Path) -> None:
    """It is 405, for GET and HEAD are all there is."""
    seen = told(HttpsRedirect(443, folder), challenge(b"to-ken_1", b"POST"))
    assert (seen.status, seen.field(b"allow")) == (405, b"GET, HEAD")


def test_challenges_without_a_folder() -> None:
    """They are led to https like everything else."""
    assert told(HttpsRedirect(), challenge(b"x")).status == 301


def test_everything_else_beside_challenges(folder: Path) -> None:
    """It is led to https."""
    for target in (b"/", b"/.well-known/acme-challenge", b"/.well-known/other"):
        assert told(HttpsRedirect(443, folder), request(target)).status == 301
