"""What curl sees of files, of a backend and of a Twisted Web resource, over both HTTP versions."""

from __future__ import annotations

import gzip
import hashlib
import json
import random
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest
from functional.harness import MIB, Pki
from functional.http_server import VERSIONS, HTTPServer, http_backend, http_server, site_table

TEXT = b"line by line, " * 100
LARGE = random.Random(1).randbytes(MIB)
RESOURCE = """
from twisted.web.resource import Resource

class Tree(Resource):
    isLeaf = True

    def render_GET(self, request):
        return b"%s at %s" % (request.method, request.uri)

    def render_POST(self, request):
        return b"%d bytes" % len(request.content.read())

class Broken(Exception):
    pass
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HTTPServer]:
    """Files at files.test, a backend at proxy.test, a resource at resource.test."""
    folder = tmp_path_factory.mktemp("curl")
    www = folder / "www"
    (www / "docs").mkdir(parents=True)
    (www / "docs" / "index.html").write_text("<p>the documents")
    (www / "text.txt").write_bytes(TEXT)
    (www / "text.txt.gz").write_bytes(gzip.compress(TEXT))
    (www / "large.bin").write_bytes(LARGE)
    (www / ".secret").write_text("nobody's business")
    (folder / "tree.py").write_text(RESOURCE)
    pki = Pki("ca")
    files = pki.issue(folder, "files.test", "proxy.test", "resource.test")
    with http_backend(folder / "backend") as backend:
        sites = (
            {"names": ["files.test"], "static": www, "headers": {"Strict-Transport-Security": "max-age=63072000"}},
            {"names": ["proxy.test"], "proxy": f"http://127.0.0.1:{backend}", "max_body": 2 * MIB},
            {"names": ["resource.test"], "resource": "tree:Tree", "max_body": 1000},
        )
        tables = [site_table(files, **site) for site in sites]
        with http_server(pki, folder, *tables, PYTHONPATH=f"{Path(__file__).parents[2]}:{folder}") as running:
            yield running
            running.program.stop()
            assert "Traceback" not in running.program.output()
    pki.close()


@pytest.mark.parametrize("version", VERSIONS)
class TestFiles:
    def test_a_file(self, server: HTTPServer, version: str) -> None:
        """A file comes whole, in the version asked for, with its type, its dates and the site's own fields."""
        answer = server.curl("/text.txt", name="files.test", version=version)
        assert (answer.status, answer.version, answer.body) == (200, version, TEXT)
        assert answer.fields["content-type"] == "text/plain; charset=utf-8"
        assert answer.fields["content-length"] == str(len(TEXT))
        assert answer.fields["strict-transport-security"] == "max-age=63072000"
        assert parsedate_to_datetime(answer.fields["date"]) >= parsedate_to_datetime(answer.fields["last-modified"])

    def test_a_head(self, server: HTTPServer, version: str) -> None:
        """HEAD has the fields of the GET and no body."""
        answer = server.curl("/large.bin", "--head", name="files.test", version=version)
        assert (answer.status, answer.fields["content-length"]) == (200, str(MIB))

    @pytest.mark.parametrize(
        ("asked", "said", "expected"),
        [
            ("0-0", f"bytes 0-0/{MIB}", LARGE[:1]),
            ("1000-1999", f"bytes 1000-1999/{MIB}", LARGE[1000:2000]),
            ("1048000-", f"bytes 1048000-1048575/{MIB}", LARGE[1048000:]),
            ("-10", f"bytes 1048566-1048575/{MIB}", LARGE[-10:]),
            ("1048570-9999999", f"bytes 1048570-1048575/{MIB}", LARGE[1048570:]),
        ],
    )
    def test_a_range(self, server: HTTPServer, version: str, asked: str, said: str, expected: bytes) -> None:
        """RFC 9110 §14: the bytes asked for, and which they are."""
        answer = server.curl("/large.bin", "--range", asked, name="files.test", version=version)
        assert (answer.status, answer.fields["content-range"], answer.body) == (206, said, expected)

    def test_several_ranges(self, server: HTTPServer, version: str) -> None:
        """RFC 9110 §14.6: several ranges come as the parts of one body."""
        answer = server.curl("/large.bin", "--range", "0-9,100-109", name="files.test", version=version)
        assert answer.status == 206
        kind, _, boundary = answer.fields["content-type"].partition("; boundary=")
        assert kind == "multipart/byteranges"
        _, first, second, last = answer.body.split(b"--" + boundary.strip('"').encode())
        assert first.rpartition(b"\r\n\r\n")[2] == LARGE[:10] + b"\r\n"
        assert second.rpartition(b"\r\n\r\n")[2] == LARGE[100:110] + b"\r\n"
        assert last.strip() == b"--"

    def test_a_range_past_the_end(self, server: HTTPServer, version: str) -> None:
        """RFC 9110 §15.5.17: 416, and how long the file is."""
        answer = server.curl("/large.bin", "--range", "2000000-", name="files.test", version=version)
        assert (answer.status, answer.fields["content-range"]) == (416, f"bytes */{MIB}")

    def test_a_download_that_is_resumed(self, server: HTTPServer, version: str, tmp_path: Path) -> None:
        """`curl --continue-at -` goes on where a first one ended; with If-Range of an old ETag it begins anew."""
        answer = server.curl("/large.bin", "--continue-at", "1000000", name="files.test", version=version)
        assert (answer.status, answer.body) == (206, LARGE[1000000:])
        old = ("--range", "5-", "-H", 'If-Range: "old"')
        assert server.curl("/large.bin", *old, name="files.test", version=version).body == LARGE

    def test_conditions(self, server: HTTPServer, version: str) -> None:
        """RFC 9110 §13: 304 for what the client has, by ETag or date; 412 where it has not what it says."""
        first = server.curl("/text.txt", name="files.test", version=version).fields
        for condition, status in (
            (f"If-None-Match: {first['etag']}", 304),
            ("If-None-Match: *", 304),
            (f'If-None-Match: "other", W/{first["etag"]}', 304),
            ('If-None-Match: "other"', 200),
            (f"If-Modified-Since: {first['last-modified']}", 304),
            ("If-Modified-Since: Thu, 01 Jan 1998 00:00:00 GMT", 200),
            ('If-Match: "other"', 412),
            (f"If-Match: {first['etag']}", 200),
            ("If-Unmodified-Since: Thu, 01 Jan 1998 00:00:00 GMT", 412),
        ):
            answer = server.curl("/text.txt", "-H", condition, name="files.test", version=version)
            assert (condition, answer.status) == (condition, status)
            assert (answer.body == TEXT) == (status == 200)

    def test_encodings(self, server: HTTPServer, version: str) -> None:
        """The neighbour .gz goes to who takes gzip, under an ETag of its own; Vary says so to caches, both times."""
        plain = server.curl("/text.txt", name="files.test", version=version)
        packed = server.curl("/text.txt", "--compressed", name="files.test", version=version)
        assert (packed.fields["content-encoding"], packed.body) == ("gzip", TEXT)
        assert packed.fields["vary"].lower() == plain.fields["vary"].lower() == "accept-encoding"
        assert packed.fields["etag"] != plain.fields["etag"]
        refused = ("-H", "Accept-Encoding: gzip;q=0, *;q=0.1")
        assert server.curl("/text.txt", *refused, name="files.test", version=version).body == TEXT

    def test_folders(self, server: HTTPServer, version: str) -> None:
        """A folder without its slash is moved to, query and all; with it the index comes; without an index a 404."""
        moved = server.curl("/docs?a=b", name="files.test", version=version)
        assert (moved.status, moved.fields["location"].endswith("/docs/?a=b")) == (301, True)
        assert server.curl("/docs/", name="files.test", version=version).body == b"<p>the documents"
        assert server.curl("/", name="files.test", version=version).status == 404

    @pytest.mark.parametrize(
        "target",
        [
            "/../tree.py",
            "/docs/../../tree.py",
            "/%2e%2e/tree.py",
            "/..%2ftree.py",
            "/docs/..%5c..%5ctree.py",
            "//etc/passwd",
            "/.secret",
            "/%2esecret",
            "/docs/%00",
            "/text.txt/",
            "/" + "a" * 300,
            "/%ff%fe",
            "/none",
        ],
    )
    def test_what_is_not_served(self, server: HTTPServer, version: str, target: str) -> None:
        """What is out of the root, hidden, or no name at all is not there."""
        answer = server.curl(target, name="files.test", version=version)
        assert answer.status in {400, 403, 404}
        assert b"Tree" not in answer.body
        assert b"business" not in answer.body

    def test_methods(self, server: HTTPServer, version: str) -> None:
        """Files are read alone: 405 says by what; a body with it does no harm."""
        answer = server.curl("/text.txt", "--data", "a" * 100_000, name="files.test", version=version)
        assert (answer.status, "GET" in answer.fields["allow"]) == (405, True)


@pytest.mark.parametrize("version", VERSIONS)
class TestProxy:
    def test_what_the_backend_is_told(self, server: HTTPServer, version: str) -> None:
        """It sees the site's name, the client's address and the scheme, and nothing of what the client made up."""
        made_up = ("-H", "X-Forwarded-For: 192.0.2.1", "-H", "Forwarded: for=192.0.2.1", "-H", "X-Own: kept")
        hop = ("-H", "Connection: X-Hop", "-H", "X-Hop: 1") if version == "1.1" else ()
        fields = json.loads(server.curl("/fields", *made_up, *hop, name="proxy.test", version=version).body)
        told = {name.lower(): value for name, value in fields}
        host = f"proxy.test:{server.port}"
        assert (told["host"], told["x-forwarded-host"], told["x-forwarded-proto"]) == (host, host, "https")
        assert told["x-forwarded-for"] == "127.0.0.1"
        assert "for=127.0.0.1" in told["forwarded"].replace('"', "")
        assert "192.0.2.1" not in str(fields)
        assert told["x-own"] == "kept"
        assert "x-hop" not in told
        assert len(told) == len(fields)

    def test_a_body_of_known_length(self, server: HTTPServer, version: str, tmp_path: Path) -> None:
        """An upload arrives byte by byte as it was."""
        (tmp_path / "body").write_bytes(LARGE)
        answer = server.curl("/", "-T", str(tmp_path / "body"), name="proxy.test", version=version)
        assert answer.body == f"{MIB} {hashlib.sha256(LARGE).hexdigest()}".encode()

    def test_a_body_of_unknown_length(self, server: HTTPServer, version: str, tmp_path: Path) -> None:
        """So does one whose length nobody knows in advance: chunked, or HTTP/2's frames."""
        (tmp_path / "body").write_bytes(LARGE)
        body = ("-X", "POST", "-H", "Transfer-Encoding: chunked", "--data-binary", f"@{tmp_path / 'body'}")
        if version == "2":
            body = ("-X", "POST", "-H", "Content-Length:", "--data-binary", f"@{tmp_path / 'body'}")
        answer = server.curl("/", *body, name="proxy.test", version=version)
        assert answer.body == f"{MIB} {hashlib.sha256(LARGE).hexdigest()}".encode()

    def test_a_body_that_is_too_large(self, server: HTTPServer, version: str, tmp_path: Path) -> None:
        """Past the site's `max_body` a client is told so, and the backend is not bothered for long."""
        (tmp_path / "body").write_bytes(LARGE * 3)
        assert server.curl("/", "-T", str(tmp_path / "body"), name="proxy.test", version=version).status == 413

    def test_expect(self, server: HTTPServer, version: str, tmp_path: Path) -> None:
        """Who waits for a 100 before the body gets it, and then the answer."""
        (tmp_path / "body").write_bytes(b"expected")
        expect = ("-H", "Expect: 100-continue", "--expect100-timeout", "30", "-T", str(tmp_path / "body"))
        answer = server.curl("/", *expect, name="proxy.test", version=version)
        assert answer.status == 200
        assert answer.body == f"8 {hashlib.sha256(b'expected').hexdigest()}".encode()
        if version == "1.1":
            assert answer.interim == [100]

    def test_early_hints(self, server: HTTPServer, version: str) -> None:
        """A backend's 103 comes first, and then its answer."""
        answer = server.curl("/hints", name="proxy.test", version=version)
        assert (answer.interim, answer.status, answer.body) == ([103], 200, b"hinted")

    def test_trailers(self, server: HTTPServer, version: str) -> None:
        """A backend's trailers arrive after the body."""
        answer = server.curl("/trailers", "-H", "TE: trailers", name="proxy.test", version=version)
        assert (answer.body, answer.trailers) == (b"hello\n", {"x-checksum": "abc"})

    def test_a_backend_that_breaks_off(self, server: HTTPServer, version: str) -> None:
        """The client notices: curl ends with an error, not with a short file."""
        assert server.curl("/cut", name="proxy.test", version=version).exit_status in {18, 56, 92}

    def test_a_head(self, server: HTTPServer, version: str) -> None:
        """HEAD goes through as HEAD."""
        answer = server.curl("/bytes/5", "--head", name="proxy.test", version=version)
        assert (answer.status, answer.fields["content-length"], answer.exit_status) == (200, "5", 0)


@pytest.mark.parametrize("version", VERSIONS)
class TestResource:
    def test_a_get(self, server: HTTPServer, version: str) -> None:
        """A Twisted Web resource sees method and URI."""
        assert server.curl("/a%20b?c=d", name="resource.test", version=version).body == b"GET at /a%20b?c=d"

    def test_a_body(self, server: HTTPServer, version: str) -> None:
        """It reads a body up to the site's `max_body`; a larger one is refused."""
        assert server.curl("/", "--data", "a" * 999, name="resource.test", version=version).body == b"999 bytes"
        assert server.curl("/", "--data", "a" * 1001, name="resource.test", version=version).status == 413

    def test_a_method_that_it_has_not(self, server: HTTPServer, version: str) -> None:
        """Twisted Web's own answer comes through."""
        assert server.curl("/", "-X", "DELETE", name="resource.test", version=version).status == 405


class TestOldClients:
    @pytest.mark.parametrize("name", ["files.test", "proxy.test", "resource.test"])
    def test_http_1_0(self, server: HTTPServer, name: str) -> None:
        """A client of HTTP/1.0 is answered, and the connection ends with the answer unless it asks to keep it."""
        target = "/bytes/1000" if name == "proxy.test" else "/text.txt"
        answer = server.curl(target, "--http1.0", name=name)
        assert (answer.status, answer.exit_status) == (200, 0)
        assert answer.fields["connection"].lower() == "close"
        assert "transfer-encoding" not in answer.fields

    def test_http_1_0_without_a_length(self, server: HTTPServer) -> None:
        """What has no length ends with the connection; nothing is chunked, and no trailers come."""
        answer = server.curl("/trailers", "--http1.0", name="proxy.test")
        assert (answer.status, answer.body, answer.trailers, answer.exit_status) == (200, b"hello\n", {}, 0)
        assert "transfer-encoding" not in answer.fields
