"""Sending what is not in memory, at the client's pace."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_exchange import FakeExchange, request
from site_folder import SiteFolder

from staplesrv.http.static.transfer import Transfer

pytestmark = pytest.mark.usefixtures("no_descriptor_left")

PIECE = 256 * 1024
SIZE = 5 * PIECE + 17


@pytest.fixture
def folder(tmp_path: Path) -> SiteFolder:
    """A folder with a large file."""
    made = SiteFolder(tmp_path / "www")
    made.write("large.bin", os.urandom(SIZE))
    return made


class SlowExchange(FakeExchange):
    """A client that takes one piece at a time."""

    __slots__ = ("pieces",)

    def __init__(self, version: str = "1.1") -> None:
        super().__init__(request(b"/large.bin", version=version))
        self.pieces: list[int] = []

    def write(self, data: bytes) -> None:
        """Take it, and ask for a pause."""
        super().write(data)
        self.pieces.append(len(data))
        assert self.handler is not None
        self.handler.pause()


def begun(folder: SiteFolder) -> SlowExchange:
    """A transfer of which the client has the first piece."""
    exchange = SlowExchange()
    exchange.give(folder.application)
    assert exchange.handler is not None
    exchange.handler.body_end(())
    return exchange


def test_a_large_file_is_read_as_the_client_takes_it(folder: SiteFolder) -> None:
    """A piece for each time that it is ready for more."""
    exchange = begun(folder)
    assert isinstance(exchange.handler, Transfer)
    assert exchange.pieces == [PIECE]
    while not exchange.told.finished:
        before = len(exchange.pieces)
        exchange.handler.resume()
        assert len(exchange.pieces) <= before + 1
    assert exchange.pieces == [PIECE] * 5 + [17]
    assert exchange.told.body == (folder.root / "large.bin").read_bytes()


def test_pieces_are_small_where_there_may_be_many(folder: SiteFolder) -> None:
    """A client of HTTP/2 can leave a hundred of them waiting."""
    exchange = SlowExchange(version="2")
    exchange.give(folder.application)
    assert exchange.handler is not None
    exchange.handler.body_end(())
    assert exchange.pieces == [32 * 1024]
    exchange.handler.lost()


def test_nothing_is_sent_before_the_request_is_complete(folder: SiteFolder) -> None:
    """Before, the version does not know whom to pause; and a body is of no interest."""
    exchange = SlowExchange()
    exchange.give(folder.application)
    assert exchange.handler is not None
    exchange.handler.body(b"whatever")
    exchange.handler.pause()
    exchange.handler.resume()
    assert exchange.told.status == 0
    exchange.handler.lost()


def test_a_client_that_goes_away(folder: SiteFolder) -> None:
    """The file is closed, and nothing more is written."""
    exchange = begun(folder)
    assert exchange.handler is not None
    exchange.handler.lost()
    exchange.handler.resume()
    assert exchange.pieces == [PIECE]
    assert not exchange.told.finished


def test_a_file_that_shrinks_breaks_its_transfer_off(folder: SiteFolder) -> None:
    """The client must not take what it has for the whole."""
    exchange = begun(folder)
    os.truncate(folder.root / "large.bin", PIECE + 5)
    assert exchange.handler is not None
    exchange.handler.resume()
    exchange.handler.resume()
    assert exchange.told.aborted
    assert not exchange.told.finished
    assert exchange.pieces == [PIECE, 5]
    exchange.handler.resume()


def test_a_file_that_grows_is_sent_as_it_was_announced(folder: SiteFolder) -> None:
    """Content-Length is a promise."""
    exchange = begun(folder)
    with (folder.root / "large.bin").open("ab") as file:
        file.write(b"more")
    assert exchange.handler is not None
    while not exchange.told.finished:
        exchange.handler.resume()
    assert len(exchange.told.body) == SIZE == int(exchange.told.field(b"content-length") or 0)


def test_a_file_that_is_replaced_is_sent_as_it_was(folder: SiteFolder) -> None:
    """It was opened once, and stays what it was."""
    content = (folder.root / "large.bin").read_bytes()
    exchange = begun(folder)
    folder.write("new", "new").replace(folder.root / "large.bin")
    assert exchange.handler is not None
    while not exchange.told.finished:
        exchange.handler.resume()
    assert exchange.told.body == content


def test_a_disk_that_fails_breaks_the_transfer_off() -> None:
    """As if the file had become shorter."""

    def pieces() -> Iterator[bytes]:
        yield b"first"
        raise OSError

    exchange = FakeExchange()
    closed: list[bool] = []
    Transfer(exchange, 200, (), pieces(), lambda: closed.append(True)).body_end(())
    assert exchange.told.aborted
    assert closed == [True]


def test_a_client_that_goes_away_while_it_is_written_to(folder: SiteFolder) -> None:
    """`lost` may come from within `write`."""

    class Leaving(FakeExchange):
        __slots__ = ()

        def write(self, data: bytes) -> None:
            super().write(data)
            assert self.handler is not None
            self.handler.lost()

    exchange = Leaving(request(b"/large.bin"))
    exchange.give(folder.application)
    assert exchange.handler is not None
    exchange.handler.body_end(())
    assert len(exchange.told.body) == PIECE
    assert not exchange.told.finished


def test_a_client_that_can_take_more_at_once(folder: SiteFolder) -> None:
    """`pause` and `resume` within one `write` go on without going deeper."""

    class Eager(FakeExchange):
        __slots__ = ()

        def write(self, data: bytes) -> None:
            super().write(data)
            assert self.handler is not None
            self.handler.pause()
            self.handler.resume()

    folder.write("many.bin", bytes(PIECE * 40))
    exchange = Eager(request(b"/many.bin"))
    exchange.give(folder.application)
    assert exchange.handler is not None
    exchange.handler.body_end(())
    assert exchange.told.finished


def test_head_and_304_of_a_large_file_leave_nothing_open(folder: SiteFolder) -> None:
    """They are answered at once."""
    assert folder.get(b"/large.bin", method=b"HEAD").field(b"content-length") == b"%d" % SIZE
    assert folder.get(b"/large.bin", (b"if-none-match", b"*")).status == 304
    assert folder.get(b"/large.bin", (b"if-match", b'"x"')).status == 412
    assert folder.get(b"/large.bin", (b"range", b"bytes=%d-" % SIZE)).status == 416
