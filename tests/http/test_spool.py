"""Bodies of requests that are kept until they are complete."""

from __future__ import annotations

import errno
import os
from io import BytesIO
from typing import IO

import pytest
from fake_exchange import FakeExchange, request

from staplesrv.http.spool import Spool


class Answering:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.content: IO[bytes] | None = None
        self.calls: list[str] = []

    def process(self, content: IO[bytes]) -> None:
        """As the interface says."""
        self.content = content

    def pause(self) -> None:
        """As the interface says."""
        self.calls.append("pause")

    def resume(self) -> None:
        """As the interface says."""
        self.calls.append("resume")

    def lost(self) -> None:
        """As the interface says."""
        self.calls.append("lost")


class FullDisk(BytesIO):
    """A file on a full disk.

    Args:
        at: What fails there, beside the closing.
    """

    def __init__(self, at: str) -> None:
        super().__init__()
        self._at = at

    def write(self, data: object, /) -> int:
        """Write, or fail."""
        return self._fail() if self._at == "write" else super().write(data)  # type: ignore[arg-type]

    def seek(self, position: int, whence: int = 0, /) -> int:
        """Go somewhere, or fail."""
        return self._fail() if self._at == "seek" else super().seek(position, whence)

    def close(self) -> None:
        """Be closed, and fail."""
        super().close()
        self._fail()

    def _fail(self) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("size", [10, 200_000], ids=["small", "large"])
def test_a_body(size: int) -> None:
    """It is handed on from its start, once it is complete; the client's pace from the beginning."""
    answering = Answering()
    spool = Spool(FakeExchange(request(method=b"POST", length=size)), answering)
    spool.pause()
    for _ in range(2):
        spool.body(b"a" * (size // 2))
        assert answering.content is None
    spool.body_end(())
    assert answering.content is not None
    with answering.content as content:
        assert content.read() == b"a" * size
    assert answering.calls == ["pause"]


def test_a_client_that_goes_away() -> None:
    """Nothing is kept, and nobody is asked to answer."""
    answering, file = Answering(), BytesIO()
    spool = Spool(FakeExchange(request(method=b"POST", length=2)), answering, lambda _size: file)
    spool.body(b"a")
    spool.lost()
    assert (answering.calls, answering.content, file.closed) == (["lost"], None, True)


@pytest.mark.parametrize("at", ["write", "seek"])
def test_a_full_disk(at: str) -> None:
    """It is a 500, whenever it shows; what comes after that is dropped."""
    answering, file = Answering(), FullDisk(at)
    exchange = FakeExchange(request(method=b"POST", length=2))
    spool = Spool(exchange, answering, lambda _size: file)
    spool.body(b"a")
    if at == "write":
        spool.body(b"a")
    spool.body_end(())
    assert (exchange.told.status, answering.content, file.closed) == (500, None, True)
