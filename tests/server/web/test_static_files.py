"""Static files, over HTTP on a wire in memory."""

from __future__ import annotations

import os
import socket
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from server.wire import Answer, ask, web_site
from twisted.trial.unittest import TestCase

from staplesrv.server.web.static_files import StaticFiles, content_types, is_plain


class StaticFilesTests(TestCase):
    """A folder as clients see it."""

    def setUp(self) -> None:
        """Fill a folder."""
        # Not trial's own, which lies in the folder that the tests are started in.
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.root = Path(temporary.name, "root")
        (self.root / "dir").mkdir(parents=True)
        (self.root / "index.html").write_text("<h1>grüße</h1>")
        (self.root / "ten.bin").write_bytes(b"0123456789")
        (self.root / "dir" / "page.txt").write_text("page")
        (self.root / ".git").mkdir()
        (self.root / ".git" / "config").write_text("secret")
        (self.root / ".well-known").mkdir()
        (self.root / ".well-known" / "security.txt").write_text("contact")
        self.site = web_site(StaticFiles(str(self.root)))

    def tearDown(self) -> None:
        """Nothing that a client did left a traceback."""
        assert not self.flushLoggedErrors()

    async def get(self, target: str | bytes, method: str = "GET", **headers: str) -> Answer:
        """Ask for a path."""
        return await ask(self.site, target, method, **headers)

    async def test_a_folder_shows_its_index(self) -> None:
        """With the media type, the length and when it was changed."""
        answer = await self.get("/")
        assert (answer.status, answer.body) == (200, "<h1>grüße</h1>".encode())
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert answer.headers["content-length"] == "16"
        assert answer.headers["last-modified"].endswith("GMT")

    async def test_a_query_changes_nothing(self) -> None:
        """It is not part of the path."""
        assert (await self.get("/dir/page.txt?a=/../b")).body == b"page"

    async def test_head_has_the_headers_alone(self) -> None:
        """The same as of GET."""
        answer = await self.get("/ten.bin", "HEAD")
        assert (answer.status, answer.headers["content-length"], answer.body) == (200, "10", b"")

    async def test_another_method_is_not_allowed(self) -> None:
        """And the answer says which are."""
        answer = await self.get("/ten.bin", "POST", content_length="0")
        assert answer.status == 405
        assert "GET" in answer.headers["allow"]

    async def test_a_folder_is_not_listed(self) -> None:
        """What is not linked to is nobody's business."""
        answer = await self.get("/dir/")
        assert answer.status == 404
        assert b"page.txt" not in answer.body

    async def test_a_folder_without_its_slash_is_redirected(self) -> None:
        """So that relative links on its page work; the query comes along."""
        answer = await self.get("/dir?a=b")
        assert (answer.status, answer.headers["location"]) == (301, "./dir/?a=b")

    async def test_no_redirect_leaves_the_host(self) -> None:
        """A path that starts with two slashes would be a host in a browser's eyes."""
        (self.root / "evil.example").mkdir()
        for target in ("//evil.example", "/%2f/evil.example", "//dir", "/dir/..//evil.example"):
            answer = await self.get(target)
            assert answer.status == 404 or answer.headers["location"].startswith("./")

    async def test_a_missing_file_is_not_found(self) -> None:
        """With a small page."""
        answer = await self.get("/nope")
        assert answer.status == 404
        assert b"404 Not Found" in answer.body

    async def test_nothing_lies_below_a_file(self) -> None:
        """Nor does a slash make a folder of it."""
        assert (await self.get("/ten.bin/")).status == 404
        assert (await self.get("/ten.bin/x")).status == 404

    async def test_hidden_files_are_not_served(self) -> None:
        """However their dots and slashes are written."""
        for target in (
            "/.git/config",
            "/%2egit/config",
            "/dir/..%2f.git/config",
            "/.git%2fconfig",
            "/dir%2f..%2f.git%2fconfig",
            "/.git",
        ):
            answer = await self.get(target)
            assert answer.status == 404, target
            assert b"secret" not in answer.body

    async def test_well_known_files_are_served(self) -> None:
        """RFC 8615: the one folder with a dot that is meant for everybody."""
        assert (await self.get("/.well-known/security.txt")).body == b"contact"

    async def test_nothing_outside_of_the_folder_is_served(self) -> None:
        """Two dots lead nowhere."""
        (self.root.parent / "outside").write_text("outside")
        for target in (
            "/../outside",
            "/dir/../../outside",
            "/%2e%2e/outside",
            "/..%2foutside",
            "/dir/..%5c..%5coutside",
        ):
            assert (await self.get(target)).status == 404, target

    async def test_odd_paths_are_not_found(self) -> None:
        """And none of them ends in a traceback."""
        for target in (
            "/%00",
            "/dir/%00page.txt",
            "/ten.bin%00.html",
            "/%ff%fe",
            "/" + "a" * 5000,
            "/" + "a/" * 2000,
            "/%",
            "/%zz",
            "//",
            "/dir//page.txt",
            "/:",
            "/~root",
            "/CON",
            "/%0d%0aset-cookie:a",
        ):
            assert (await self.get(target)).status == 404, target

    async def test_a_target_that_is_no_ascii_is_a_bad_request(self) -> None:
        """A path is written with escapes."""
        assert (await self.get(b"/\xff")).status == 400

    async def test_a_pipe_or_a_socket_is_not_found(self) -> None:
        """A pipe would block the whole process."""
        os.mkfifo(self.root / "pipe")
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(self.root / "socket"))
            assert (await self.get("/pipe")).status == 404
            assert (await self.get("/socket")).status == 404

    async def test_a_link_to_nothing_is_not_found(self) -> None:
        """And one in a circle neither."""
        (self.root / "nowhere").symlink_to("nothing")
        (self.root / "circle").symlink_to("circle")
        assert (await self.get("/nowhere")).status == 404
        assert (await self.get("/circle")).status == 404

    async def test_an_index_that_is_a_folder_is_not_found(self) -> None:
        """It is not redirected to for ever."""
        (self.root / "dir" / "index.html").mkdir()
        assert (await self.get("/dir/")).status == 404

    async def test_a_part_of_a_file(self) -> None:
        """From the front, to the end, from the end."""
        for wanted, body, said in (
            ("bytes=2-4", b"234", "bytes 2-4/10"),
            ("bytes=7-", b"789", "bytes 7-9/10"),
            ("bytes=-2", b"89", "bytes 8-9/10"),
            ("bytes=-50", b"0123456789", "bytes 0-9/10"),
            ("bytes=8-50", b"89", "bytes 8-9/10"),
        ):
            answer = await self.get("/ten.bin", range=wanted)
            assert (answer.status, answer.body, answer.headers["content-range"]) == (206, body, said), wanted

    async def test_a_part_that_is_not_there(self) -> None:
        """Its answer says how long the file is."""
        answer = await self.get("/ten.bin", range="bytes=10-")
        assert (answer.status, answer.headers["content-range"]) == (416, "bytes */10")

    async def test_odd_ranges_are_ignored(self) -> None:
        """As is more than one: a client could have a file read a thousand times over."""
        for wanted in ("bytes=0-1,4-5", "bytes=x", "\xff", "bytes=9-1", "bytes=" + "0-," * 1000):
            answer = await self.get("/ten.bin", range=wanted)
            assert (answer.status, answer.body) == (200, b"0123456789"), wanted

    async def test_a_part_of_another_version_is_of_no_use(self) -> None:
        """If-Range with the right date gets the part, with another one the whole."""
        changed = (await self.get("/ten.bin")).headers["last-modified"]
        assert (await self.get("/ten.bin", range="bytes=0-1", if_range=changed)).status == 206
        assert (await self.get("/ten.bin", range="bytes=0-1", if_range='"etag"')).status == 200

    async def test_a_file_that_did_not_change_is_not_sent_again(self) -> None:
        """304, without a body."""
        changed = (await self.get("/ten.bin")).headers["last-modified"]
        answer = await self.get("/ten.bin", if_modified_since=changed)
        assert (answer.status, answer.body) == (304, b"")

    async def test_an_archive_is_not_unpacked_on_its_way(self) -> None:
        """What is downloaded is what is there."""
        (self.root / "site.tar.gz").write_bytes(b"\x1f\x8b")
        answer = await self.get("/site.tar.gz")
        assert answer.headers["content-type"] == "application/gzip"
        assert "content-encoding" not in answer.headers

    async def test_an_unknown_kind_of_file_is_bytes(self) -> None:
        """Not a page, as which a browser would run what is in it."""
        (self.root / "upload.xyz123").write_text("<script>")
        assert (await self.get("/upload.xyz123")).headers["content-type"] == "application/octet-stream"

    async def test_a_file_that_goes_away_while_it_is_opened_is_not_found(self) -> None:
        """Between the look and the opening there is always a moment."""

        class Gone(StaticFiles):
            def openForReading(self) -> object:
                raise FileNotFoundError(2, "No such file or directory")

        self.site = web_site(Gone(str(self.root)))
        assert (await self.get("/ten.bin")).status == 404

    async def test_a_long_file_arrives_whole(self) -> None:
        """Longer than what is read at once."""
        (self.root / "long").write_bytes(bytes(range(256)) * 4096)
        answer = await self.get("/long")
        assert answer.body == bytes(range(256)) * 4096


def test_texts_say_that_they_are_utf8() -> None:
    """Browsers would guess; what is no text has no character set."""
    types = content_types()
    assert types[".css"] == "text/css; charset=utf-8"
    assert types[".js"] == "text/javascript; charset=utf-8"
    assert types[".png"] == "image/png"
    assert types[".svg"] == "image/svg+xml"
    assert types[".wasm"] == "application/wasm"


@given(st.binary())
def test_a_plain_segment_names_one_file_that_is_not_hidden(segment: bytes) -> None:
    """Whatever a client may write."""
    if is_plain(segment):
        name = segment.decode()
        assert "/" not in name
        assert "\0" not in name
        assert not name.startswith(".") or name == ".well-known"
