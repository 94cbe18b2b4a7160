"""What is answered with the files of a folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from site_folder import SiteFolder

from staplesrv.http.static.settings import StaticSettings


@pytest.fixture
def folder(tmp_path: Path) -> SiteFolder:
    """A folder to be filled."""
    return SiteFolder(tmp_path / "www")


def test_a_file_is_answered_with_what_is_known_of_it(folder: SiteFolder) -> None:
    """The content comes with its type, length, entity-tag and date, and with word that ranges can be had."""
    folder.write("a.css", "body {}")
    told = folder.get(b"/a.css")
    assert (told.status, told.body) == (200, b"body {}")
    assert told.field(b"content-type") == b"text/css; charset=utf-8"
    assert told.field(b"content-length") == b"7"
    assert told.field(b"etag") == b'"1797a97e8c2f0000-7"'.replace(b"1797a97e8c2f0000", b"%x" % (1_700_000_000 * 10**9))
    assert told.field(b"last-modified") == b"Tue, 14 Nov 2023 22:13:20 GMT"
    assert told.field(b"accept-ranges") == b"bytes"
    assert told.field(b"vary") is None
    assert told.field(b"cache-control") is None


def test_head_is_told_the_same_without_the_content(folder: SiteFolder) -> None:
    """RFC 9110 §9.3.2: HEAD gets the fields of GET, whether the file is in memory or not."""
    for size in (10, 100_000):
        folder.write("a.bin", bytes(size))
        folder.clock.advance(2)
        got, head = folder.get(b"/a.bin"), folder.get(b"/a.bin", method=b"HEAD")
        assert (head.status, head.body) == (200, b"")
        assert sorted(head.fields) == sorted(got.fields)
        assert head.field(b"content-length") == b"%d" % size


def test_an_empty_file_is_a_file(folder: SiteFolder) -> None:
    """200, and no bytes."""
    folder.write("empty.txt")
    told = folder.get(b"/empty.txt", (b"range", b"bytes=0-"))
    assert (told.status, told.body, told.field(b"content-length")) == (200, b"", b"0")


def test_a_folder_is_its_index(folder: SiteFolder) -> None:
    """With a slash at the end a folder stands for its index.html."""
    folder.write("index.html", "front")
    folder.write("docs/index.html", "docs")
    assert folder.get(b"/").body == b"front"
    assert folder.get(b"/?a=b").body == b"front"
    assert folder.get(b"/docs/").body == b"docs"


@pytest.mark.parametrize(
    ("target", "location"),
    [
        (b"/docs", b"/docs/"),
        (b"/docs?a=b&c", b"/docs/?a=b&c"),
        (b"/docs?", b"/docs/?"),
        (b"/%64ocs", b"/docs/"),
        (b"/docs/a%20b%0d%0aX:%20y", b"/docs/a%20b%0D%0AX:%20y/"),
    ],
)
def test_a_folder_without_its_slash_is_a_redirect(folder: SiteFolder, target: bytes, location: bytes) -> None:
    """The query is kept, and the location stays on this host and on its line."""
    folder.write("docs/index.html")
    folder.write("docs/a b\r\nX: y/index.html")
    told = folder.get(target)
    assert (told.status, told.field(b"location")) == (301, location)


@pytest.mark.parametrize("target", [b"//evil.example/docs", b"/%2fevil.example", b"/\\evil.example", b"//docs", b"///"])
def test_no_redirect_leads_to_another_host(folder: SiteFolder, target: bytes) -> None:
    """A path that a browser would take for another host is not found, whatever is in the folder."""
    folder.write("docs/index.html")
    folder.write("evil.example/docs/index.html")
    assert folder.get(target).status == 404


def test_a_folder_shows_nothing_without_an_index(folder: SiteFolder) -> None:
    """There is no listing, nor word that the folder exists."""
    folder.write("docs/secret.txt")
    folder.write("index.html/x")
    for target in (b"/docs", b"/docs/", b"/", b"/index.html", b"/index.html/"):
        assert folder.get(target).status == 404


def test_a_file_is_no_folder(folder: SiteFolder) -> None:
    """What is below a file, or the file with a slash, is not found."""
    folder.write("a.txt", "a")
    for target in (b"/a.txt/", b"/a.txt/b", b"/a.txt/b/"):
        assert folder.get(target).status == 404


@pytest.mark.parametrize("method", [b"POST", b"PUT", b"DELETE", b"PATCH", b"get", b"TRACE", b"CONNECT"])
def test_other_methods_are_not_allowed(folder: SiteFolder, method: bytes) -> None:
    """RFC 9110 §15.5.6: the answer says which methods are. Methods are case-sensitive, §9.1."""
    folder.write("a.txt", "a")
    folder.get(b"/a.txt")
    told = folder.get(b"/a.txt", method=method)
    assert (told.status, told.field(b"allow")) == (405, b"GET, HEAD, OPTIONS")


@pytest.mark.parametrize("target", [b"/a.txt", b"*", b"/nothing"])
def test_options_says_which_methods_there_are(folder: SiteFolder, target: bytes) -> None:
    """RFC 9110 §9.3.7, also of the server as a whole."""
    told = folder.get(target, method=b"OPTIONS")
    assert (told.status, told.field(b"allow"), told.field(b"content-length")) == (204, b"GET, HEAD, OPTIONS", None)


def test_cache_control_goes_by_pattern(tmp_path: Path) -> None:
    """The first pattern that fits counts; one with a slash is for the path."""
    patterns = {"assets/*": "public, max-age=31536000, immutable", "*.html": "no-cache", "*": "max-age=60"}
    folder = SiteFolder(tmp_path / "www", StaticSettings(cache_control=patterns))
    for name in ("assets/a/b.js", "assets/index.html", "index.html", "a.txt"):
        folder.write(name)
    assert folder.get(b"/assets/a/b.js").field(b"cache-control") == b"public, max-age=31536000, immutable"
    assert folder.get(b"/assets/").field(b"cache-control") == b"public, max-age=31536000, immutable"
    assert folder.get(b"/").field(b"cache-control") == b"no-cache"
    assert folder.get(b"/a.txt").field(b"cache-control") == b"max-age=60"


def test_what_is_missing_gets_the_folders_own_page(folder: SiteFolder) -> None:
    """404.html goes out with 404, its own type, and nothing that would make a cache or a range of it."""
    folder.write("404.html", "nothing here")
    for target in (b"/nothing", b"/.git/config", b"/%00", b"/a/../404.html"):
        told = folder.get(target, (b"range", b"bytes=0-3"), (b"if-none-match", b"*"), (b"if-match", b'"x"'))
        assert (told.status, told.body) == (404, b"nothing here")
        assert [name for name, _ in told.fields] == [b"Content-Type", b"Content-Length"]
    assert folder.get(b"/nothing", method=b"HEAD").field(b"content-length") == b"12"
    assert folder.get(b"/404.html").status == 200


def test_a_large_page_for_what_is_missing_is_streamed(folder: SiteFolder) -> None:
    """As any other large file."""
    folder.write("404.html", bytes(300_000))
    told = folder.get(b"/nothing")
    assert (told.status, len(told.body), told.field(b"content-length")) == (404, 300_000, b"300000")


def test_without_such_a_page_there_is_a_plain_one(folder: SiteFolder) -> None:
    """One line, and never the path that was asked for."""
    told = folder.get(b"/<script>")
    assert (told.status, told.field(b"content-type")) == (404, b"text/html; charset=utf-8")
    assert b"404 Not Found" in told.body
    assert b"script" not in told.body


def test_an_application_in_the_browser_answers_for_its_own_paths(tmp_path: Path) -> None:
    """The fallback is answered with 200 and its own conditions, but for paths that no file could have."""
    folder = SiteFolder(tmp_path / "www", StaticSettings(fallback="app/index.html"))
    folder.write("app/index.html", "app")
    folder.write("real.txt", "real")
    folder.write("empty/x")
    told = folder.get(b"/users/17?tab=a")
    assert (told.status, told.body) == (200, b"app")
    assert folder.get(b"/empty").body == folder.get(b"/empty/").body == b"app"
    assert folder.get(b"/real.txt").body == b"real"
    assert folder.get(b"/users/17", (b"if-none-match", told.field(b"etag") or b"")).status == 304
    assert folder.get(b"/.git/config").status == 404
    assert folder.get(b"/users/17", method=b"POST").status == 405


def test_a_missing_fallback_is_not_found(tmp_path: Path) -> None:
    """404, and nothing that goes round in circles."""
    folder = SiteFolder(tmp_path / "www", StaticSettings(fallback="index.html", not_found=""))
    assert folder.get(b"/users/17").status == 404


def test_a_folder_that_is_gone_is_not_found(folder: SiteFolder) -> None:
    """While a site is put in place there may be nothing for a moment."""
    folder.root.rmdir()
    assert folder.get(b"/").status == 404
    assert folder.get(b"/a/b").status == 404


def test_a_new_version_of_the_site_is_seen_within_a_second(tmp_path: Path) -> None:
    """The root may be a link that is turned to another folder."""
    for version in ("1", "2"):
        SiteFolder(tmp_path / version).write("index.html", version)
    current = tmp_path / "current"
    current.symlink_to("1")
    folder = SiteFolder(current)
    assert folder.get(b"/").body == b"1"
    current.unlink()
    current.symlink_to("2")
    folder.clock.advance(1)
    assert folder.get(b"/").body == b"2"
