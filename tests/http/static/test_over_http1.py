"""Files over a connection of HTTP/1.1, as clients see them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from site_folder import SiteFolder, open_descriptors
from wire import Wire

pytestmark = pytest.mark.usefixtures("no_descriptor_left")

GET = b"GET /%s HTTP/1.1\r\nHost: example.org\r\n%s\r\n"
LARGE = 3_000_000


@pytest.fixture
def folder(tmp_path: Path) -> SiteFolder:
    """A folder with a small and a large file."""
    made = SiteFolder(tmp_path / "www")
    made.write("small.txt", "small")
    made.write("large.bin", os.urandom(LARGE))
    return made


def test_a_small_file_is_one_write(folder: SiteFolder) -> None:
    """Head and content together."""
    wire = Wire(folder.application)
    answer = wire.send(GET % (b"small.txt", b""))
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"\r\n\r\nsmall")
    assert wire.transport.writes == 1
    assert not wire.ended


def test_files_come_in_the_order_asked_for(folder: SiteFolder) -> None:
    """Large and small ones in one pipeline, the connection kept."""
    wire = Wire(folder.application)
    requests = [GET % (name, fields) for name, fields in ((b"large.bin", b""), (b"nothing", b""), (b"small.txt", b""))]
    wire.send(b"".join(requests))
    large = (folder.root / "large.bin").read_bytes()
    head, _, rest = wire.transport.written.partition(b"\r\n\r\n")
    assert b"Content-Length: %d" % LARGE in head
    assert rest.startswith(large)
    assert [part[:3] for part in rest[LARGE:].split(b"HTTP/1.1 ")[1:]] == [b"404", b"200"]
    assert rest.endswith(b"small")


def test_a_slow_client_is_waited_for(folder: SiteFolder) -> None:
    """No more than a piece waits in memory, whatever the size of the file."""
    wire = Wire(folder.application)
    wire.transport.slow = True
    wire.send(GET % (b"large.bin", b""))
    most = 0
    while wire.transport.waiting:
        most = max(most, len(wire.transport.waiting))
        wire.transport.drain()
    assert most < 600_000
    assert wire.transport.written.endswith((folder.root / "large.bin").read_bytes())
    assert not wire.ended


def test_a_client_that_vanishes_leaves_nothing_open(folder: SiteFolder) -> None:
    """In the middle of a large file."""
    before = open_descriptors()
    wire = Wire(folder.application)
    wire.transport.slow = True
    wire.send(GET % (b"large.bin", b""))
    assert open_descriptors() > before
    wire.vanish()
    assert open_descriptors() == before


def test_a_file_that_shrinks_ends_the_connection(folder: SiteFolder) -> None:
    """RFC 9112 §8: an incomplete message is noticed by its length."""
    wire = Wire(folder.application)
    wire.transport.slow = True
    wire.send(GET % (b"large.bin", b""))
    os.truncate(folder.root / "large.bin", 300_000)
    while wire.transport.waiting and not wire.ended:
        wire.transport.drain()
    assert wire.ended == "broken"
    assert len(wire.transport.written) < LARGE


def test_a_body_with_a_get_is_of_no_interest(folder: SiteFolder) -> None:
    """RFC 9110 §9.3.1: neither before a small file nor before a large one."""
    for name in (b"small.txt", b"large.bin"):
        wire = Wire(folder.application)
        wire.send(GET % (name, b"Content-Length: 5\r\n") + b"hello", GET % (b"nothing", b""))
        assert wire.transport.written.count(b"HTTP/1.1 ") == 2


def test_head_has_no_content(folder: SiteFolder) -> None:
    """Nor do a 304 and what follows it."""
    wire = Wire(folder.application)
    for name in (b"small.txt", b"large.bin"):
        before = len(wire.transport.written)
        answer = wire.send((GET % (name, b"")).replace(b"GET", b"HEAD"))[before:]
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert answer.endswith(b"\r\n\r\n")
        before = len(wire.transport.written)
        answer = wire.send(GET % (name, b"If-None-Match: *\r\n"))[before:]
        assert answer.startswith(b"HTTP/1.1 304 ")
        assert answer.endswith(b"\r\n\r\n")
    assert not wire.ended
