"""Precompressed neighbours."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from site_folder import SiteFolder

from staplesrv.http.static.encodings import choose
from staplesrv.http.static.settings import StaticSettings

ALL = frozenset({b"br", b"zstd", b"gzip"})


@pytest.mark.parametrize(
    ("accepted", "codings"),
    [
        (b"", [b""]),
        (b"gzip, deflate, br, zstd", [b"br", b"zstd", b"gzip", b""]),
        (b"GZip", [b"gzip", b""]),
        (b"x-gzip", [b"gzip", b""]),
        (b"gzip;q=1.0, br;q=0.5", [b"gzip", b"br", b""]),
        (b"gzip ; Q=0.001", [b"gzip", b""]),
        (b"br;q=0, gzip", [b"gzip", b""]),
        (b"br;q=0.000,*", [b"zstd", b"gzip", b""]),
        (b"*", [b"br", b"zstd", b"gzip", b""]),
        (b"*;q=0", [b""]),
        (b"identity", [b""]),
        (b"identity;q=0.5, gzip;q=0.2, br;q=0.9", [b"br", b""]),
        # RFC 9110 §12.5.3: the file itself, where nothing else is left.
        (b"identity;q=0", [b""]),
        (b"*;q=0, identity;q=0", [b""]),
        # What can't be read does not count.
        (b"br;q=2, gzip;q=x, zstd;level=3", [b""]),
        (b"br;q=0.1234, gzip", [b"gzip", b""]),
        (b"brr, gz ip", [b""]),
        (b",, ,br", [b"br", b""]),
        (b"br," * 100, [b""]),
    ],
)
def test_a_client_gets_what_it_likes_best(accepted: bytes, codings: list[bytes]) -> None:
    """By weight; among equals the smallest first."""
    assert choose(accepted, ALL) == tuple(codings)


@given(
    st.binary(max_size=300) | st.text("brgzipstd;q=01.,* ", max_size=60).map(str.encode),
    st.sets(st.sampled_from(sorted(ALL))),
)
def test_only_what_there_is_can_be_chosen(accepted: bytes, codings: set[bytes]) -> None:
    """And the file itself always is the last resort."""
    chosen = choose(accepted, frozenset(codings))
    assert set(chosen[:-1]) <= codings
    assert chosen[-1] == b""


@pytest.fixture(params=[65536, 0], ids=["in memory", "on the disk"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> SiteFolder:
    """A folder with a script and its neighbours."""
    made = SiteFolder(tmp_path / "www", StaticSettings(file_in_memory=request.param))
    made.write("a.js", "plain")
    for ending in ("br", "zst", "gz"):
        made.write(f"a.js.{ending}", f"as {ending}")
    return made


@pytest.mark.parametrize(("coding", "ending"), [(b"br", b"br"), (b"zstd", b"zst"), (b"gzip", b"gz")])
def test_a_neighbour_goes_out_in_place_of_the_file(folder: SiteFolder, coding: bytes, ending: bytes) -> None:
    """With the file's type, its own length and tag, and Vary."""
    for _ in range(2):
        told = folder.get(b"/a.js", (b"accept-encoding", coding))
        assert told.body == b"as " + ending
        assert told.field(b"content-encoding") == coding
        assert told.field(b"content-type") == b"text/javascript; charset=utf-8"
        assert told.field(b"vary") == b"Accept-Encoding"
        assert (told.field(b"etag") or b"").endswith(b"-" + coding + b'"')


def test_the_file_itself_says_that_it_varies(folder: SiteFolder) -> None:
    """RFC 9110 §12.5.5: Vary is there whatever the client accepts, and with 206 and 304."""
    told = folder.get(b"/a.js")
    assert (told.body, told.field(b"content-encoding"), told.field(b"vary")) == (b"plain", None, b"Accept-Encoding")
    assert folder.get(b"/a.js", (b"range", b"bytes=0-1")).field(b"vary") == b"Accept-Encoding"
    assert folder.get(b"/a.js", (b"if-none-match", b"*")).field(b"vary") == b"Accept-Encoding"


def test_a_range_is_of_what_is_sent(folder: SiteFolder) -> None:
    """RFC 9110 §14.1.2: positions are in the encoded content, and If-Range tells codings apart."""
    brotli = (b"accept-encoding", b"br")
    tag = folder.get(b"/a.js", brotli).field(b"etag") or b""
    told = folder.get(b"/a.js", brotli, (b"range", b"bytes=3-"), (b"if-range", tag))
    assert (told.status, told.body, told.field(b"content-encoding")) == (206, b"br", b"br")
    assert folder.get(b"/a.js", (b"range", b"bytes=3-"), (b"if-range", tag)).body == b"plain"


def test_several_lines_of_accept_encoding_are_one_list(folder: SiteFolder) -> None:
    """RFC 9110 §5.3; also where the answer to one of them is known."""
    zstd, brotli = (b"accept-encoding", b"zstd"), (b"accept-encoding", b"br;q=0.1")
    assert folder.get(b"/a.js", zstd).body == b"as zst"
    assert folder.get(b"/a.js", brotli).body == b"as br"
    assert folder.get(b"/a.js", brotli, zstd).body == b"as zst"


def test_a_neighbour_alone_is_a_file_of_its_own(folder: SiteFolder) -> None:
    """It has its own type and is not unpacked on its way; the file that it was made of must be there."""
    told = folder.get(b"/a.js.gz", (b"accept-encoding", b"gzip"))
    assert (told.field(b"content-type"), told.field(b"content-encoding")) == (b"application/gzip", None)
    folder.write("b.js.gz", "packed")
    assert folder.get(b"/b.js", (b"accept-encoding", b"gzip")).status == 404


def test_a_neighbour_that_comes_and_goes_is_seen(folder: SiteFolder) -> None:
    """Within a second, as the file itself."""
    brotli = (b"accept-encoding", b"br")
    folder.get(b"/a.js", brotli)
    (folder.root / "a.js.br").unlink()
    folder.clock.advance(1)
    assert folder.get(b"/a.js", brotli).body == b"plain"
    folder.write("a.js.br", "new")
    folder.clock.advance(1)
    assert folder.get(b"/a.js", brotli).body == b"new"


def test_neighbours_that_are_no_use(folder: SiteFolder, tmp_path: Path) -> None:
    """A folder of that name, and a link that leads out, are as good as none."""
    (tmp_path / "secret").write_bytes(b"secret")
    for ending in ("br", "zst", "gz"):
        (folder.root / f"a.js.{ending}").unlink()
    (folder.root / "a.js.br").mkdir()
    (folder.root / "a.js.gz").symlink_to(tmp_path / "secret")
    told = folder.get(b"/a.js", (b"accept-encoding", b"br, gzip"))
    assert (told.status, told.body) == (200, b"plain")


def test_pages_for_what_is_missing_have_neighbours_too(folder: SiteFolder) -> None:
    """404.html.br goes out where it is accepted."""
    folder.write("404.html", "plain")
    folder.write("404.html.br", "packed")
    told = folder.get(b"/nothing", (b"accept-encoding", b"br"))
    assert (told.status, told.body, told.field(b"content-encoding")) == (404, b"packed", b"br")
    assert told.field(b"vary") == b"Accept-Encoding"
