"""Files over a connection of HTTP/2, where a client may ask for a hundred and take none of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from h2spec import WINDOW
from http2_client import GET, Client
from hyperframe.frame import RstStreamFrame, WindowUpdateFrame
from site_folder import SiteFolder, open_descriptors

from staplesrv.http.fields import Fields

pytestmark = pytest.mark.usefixtures("no_descriptor_left")

LARGE = 200_000
LARGE_FILE: Fields = (*GET[:2], (b":path", b"/large.bin"), GET[3])
STREAMS = range(1, 256, 2)


@pytest.fixture
def folder(tmp_path: Path) -> SiteFolder:
    """A folder with a large file."""
    made = SiteFolder(tmp_path / "www")
    made.write("large.bin", os.urandom(LARGE))
    return made


@pytest.fixture
def client(folder: SiteFolder) -> Iterator[Client]:
    """A client that has asked for all that it may, and takes nothing yet."""
    made = Client(folder.application, {WINDOW: 0})
    made.send(*[made.headers(number, LARGE_FILE) for number in STREAMS])
    yield made
    made.wire.vanish()


def test_what_is_not_taken_holds_little_memory(client: Client) -> None:
    """No more than 32 KiB of each file wait."""
    streams = client.wire.protocol._speaker.streams.values()
    assert len(streams) == len(STREAMS)
    assert max(stream.outgoing.size for stream in streams) <= 32 * 1024


def test_a_file_is_open_once(folder: SiteFolder) -> None:
    """However many streams it is sent on, it takes one descriptor."""
    before = open_descriptors()
    client = Client(folder.application, {WINDOW: 0})
    client.send(*[client.headers(number, LARGE_FILE) for number in STREAMS])
    assert len(open_descriptors()) == len(before) + 1
    client.send(*[RstStreamFrame(number, error_code=8) for number in STREAMS])
    assert open_descriptors() == before


def test_each_stream_gets_the_whole_file(folder: SiteFolder, client: Client) -> None:
    """Streams that read from one descriptor are not in each other's way."""
    client.send(WindowUpdateFrame(0, 2**30), *[WindowUpdateFrame(number, LARGE) for number in STREAMS])
    content = (folder.root / "large.bin").read_bytes()
    assert all(client.body(number) == content for number in STREAMS)


def test_a_file_that_is_replaced_is_opened_anew(folder: SiteFolder) -> None:
    """Who asked before gets what it was, and who asks then what it is."""
    before = (folder.root / "large.bin").read_bytes()
    client = Client(folder.application, {WINDOW: 0})
    client.request(1, LARGE_FILE)
    folder.write("new.bin", os.urandom(LARGE)).replace(folder.root / "large.bin")
    folder.clock.advance(2)
    client.request(3, LARGE_FILE)
    client.send(WindowUpdateFrame(0, 2**30), *[WindowUpdateFrame(number, LARGE) for number in (1, 3)])
    assert client.body(1) == before
    assert client.body(3) == (folder.root / "large.bin").read_bytes()
