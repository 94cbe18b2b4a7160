"""A client's end of an HTTP/2 connection on a short wire, made with other people's libraries for frames and HPACK."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from hpack import Encoder
from hpack.hpack import Decoder
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    RstStreamFrame,
    SettingsFrame,
)
from wire import Wire

from staplesrv.http.exchange import Application
from staplesrv.http.fields import Fields

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

GET: Fields = ((b":method", b"GET"), (b":scheme", b"https"), (b":path", b"/"), (b":authority", b"example.org"))
POST: Fields = ((b":method", b"POST"), *GET[1:])


class Speaker(ABC):
    """A client that speaks frames, and keeps what comes back.

    Attributes:
        got: The frames that came so far.
        encoder: Of header blocks.
    """

    def __init__(self) -> None:
        self.encoder = Encoder()
        self.got: list[Frame] = []
        self._decoder = Decoder()
        self._rest = b""

    @abstractmethod
    def send_bytes(self, *pieces: bytes) -> list[Frame]:
        """Send pieces as they are; returns the frames that came back, as far as they are there."""

    @abstractmethod
    def until(self, condition: Callable[[], object]) -> None:
        """Read until something holds; fail where it does not in the end."""

    @property
    @abstractmethod
    def ended(self) -> bool:
        """Whether the server has closed."""

    def greet(self, settings: dict[int, int] | None = None) -> None:
        """Send the preface and the first SETTINGS."""
        self.send_bytes(PREFACE, SettingsFrame(0, settings=settings or {}).serialize())

    def send(self, *frames: Frame) -> list[Frame]:
        """Send frames in one piece; returns those that came back for them, as far as they are there."""
        return self.send_bytes(b"".join(frame.serialize() for frame in frames))

    def take(self, data: bytes) -> list[Frame]:
        """Take bytes from the server; returns the frames that are complete with them."""
        new = []
        view = memoryview(self._rest + data)
        while len(view) >= 9:
            frame, length = Frame.parse_frame_header(view[:9])
            if len(view) < 9 + length:
                break
            frame.parse_body(view[9 : 9 + length])
            view = view[9 + length :]
            if isinstance(frame, HeadersFrame):
                frame.fields = tuple((name, value) for name, value in self._decoder.decode(frame.data, raw=True))
            new.append(frame)
        self._rest = bytes(view)
        self.got += new
        return new

    def block(self, fields: Fields) -> bytes:
        """Encode fields."""
        return self.encoder.encode(list(fields), huffman=True)

    def headers(self, number: int, fields: Fields = GET, *, end: bool = True) -> HeadersFrame:
        """Make a whole HEADERS frame."""
        flags = ["END_HEADERS", "END_STREAM"] if end else ["END_HEADERS"]
        return HeadersFrame(number, self.block(fields), flags=flags)

    def request(self, number: int, fields: Fields = GET, *, end: bool = True) -> list[Frame]:
        """Send the head of a request."""
        return self.send(self.headers(number, fields, end=end))

    def of(self, number: int, kind: type[Frame] = Frame) -> list[Any]:
        """Return the frames of a stream that came so far."""
        return [frame for frame in self.got if frame.stream_id == number and isinstance(frame, kind)]

    def status(self, number: int) -> int:
        """Return the status of a stream's response."""
        return int(self.fields(number)[0][1])

    def fields(self, number: int) -> Fields:
        """Return the fields of a stream's last response, interim ones left out."""
        found: list[Fields] = [frame.fields for frame in self.of(number, HeadersFrame)]
        return next(fields for fields in found if fields[0][0] == b":status" and fields[0][1] >= b"200")

    def body(self, number: int) -> bytes:
        """Return the body of a stream's response, so far."""
        return b"".join(frame.data for frame in self.of(number, DataFrame))

    def ended_stream(self, number: int) -> bool:
        """Tell whether the server has ended a stream in order."""
        return any("END_STREAM" in frame.flags for frame in self.of(number))

    def reset_code(self, number: int) -> int | None:
        """Return the code with which a stream was reset."""
        return next((frame.error_code for frame in self.of(number, RstStreamFrame)), None)

    @property
    def goaway_code(self) -> int | None:
        """The code with which the connection was ended."""
        return next((frame.error_code for frame in reversed(self.got) if isinstance(frame, GoAwayFrame)), None)


class Client(Speaker):
    """Speaks with a server on a short wire.

    Args:
        application: The server's.
        settings: What the client says in its first SETTINGS.
        greet: Whether it says anything by itself.
        wire_settings: For the `Wire`.

    Attributes:
        wire: The connection.
    """

    def __init__(
        self,
        application: Application,
        settings: dict[int, int] | None = None,
        *,
        greet: bool = True,
        **wire_settings: Any,
    ) -> None:
        super().__init__()
        self.wire = Wire(application, alpn=b"h2", **wire_settings)
        self._read = 0
        if greet:
            self.greet(settings)

    @property
    def ended(self) -> bool:
        """Whether the server has closed."""
        return bool(self.wire.ended)

    def send_bytes(self, *pieces: bytes) -> list[Frame]:
        """Send pieces as they are, each in one read; returns the frames that came back."""
        self.wire.send(*pieces)
        return self.read()

    def read(self) -> list[Frame]:
        """Return the frames that came since the last time."""
        new = self.wire.transport.written[self._read :]
        self._read += len(new)
        return self.take(new)

    def reset_code(self, number: int) -> int | None:
        """Return the code with which a stream was reset, be it a moment after its response."""
        self.wire.clock.advance(0.1)
        self.read()
        return super().reset_code(number)

    def until(self, condition: Callable[[], object]) -> None:
        """Check that something holds: on this wire there is nothing to wait for."""
        self.read()
        assert condition()


def data(number: int, content: bytes = b"", *, end: bool = False, **others: Any) -> DataFrame:
    """Make a DATA frame."""
    return DataFrame(number, content, flags=["END_STREAM"] if end else [], **others)


def continuation(number: int, block: bytes, *, end: bool = True) -> ContinuationFrame:
    """Make a CONTINUATION frame."""
    return ContinuationFrame(number, block, flags=["END_HEADERS"] if end else [])
