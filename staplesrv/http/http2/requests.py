"""From header blocks to requests, and which blocks are known already."""

from __future__ import annotations

from staplesrv.http.fields import Fields
from staplesrv.http.http2.decoder import Decoder
from staplesrv.http.http2.frames import Code, ConnectionFault
from staplesrv.http.http2.heads import Refused, read_head, read_trailers
from staplesrv.http.limits import Limits
from staplesrv.http.request import Request

TOO_LONG_TARGET = 414
TOO_MANY_FIELDS = 431

_MOST_KNOWN = 16
_LONGEST_KNOWN = 2048
_ROOM = 4  # what a line of HTTP/1.1 has beside name and value


class RequestReader:
    """Reads the header blocks of one connection, every one of them and in order: they share a table.

    A block that leaves the table as it is means the same until another one changes it. Requests without a body are
    kept by their block, at most 32 KiB of them: what a client repeats is looked up in 0.1 us, where reading takes 10
    to 25.

    Args:
        limits: The same as for HTTP/1.1.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        # Up to twice the limit a page says so; beyond, the decoder loses its place and the connection ends.
        self._decoder = Decoder(2 * limits.headers)
        self._known: dict[bytes, Request] = {}

    def read(self, block: bytes, *, ended: bool) -> Request:
        """Read the head of a request.

        Args:
            block: The whole header block.
            ended: Whether no body follows.

        Raises:
            ConnectionFault: it is no header block.
            StreamFault: its fields are malformed.
            Refused: they are too many, or no application is asked that.
        """
        known = self._known.get(block) if ended else None
        if known is not None:
            return known
        fields = self._decode(block)
        size = sum([len(name) + len(value) + _ROOM for name, value in fields])
        try:
            request = self._read(fields, size, ended=ended)
        except Refused as refused:
            refused.line = self._line(dict(fields))
            raise
        if ended and not self._decoder.changed and size <= _LONGEST_KNOWN and len(self._known) < _MOST_KNOWN:
            self._known[block] = request
        return request

    def read_trailers(self, block: bytes) -> Fields:
        """Read the fields after a body.

        Raises:
            ConnectionFault: it is no header block, or a very large one.
            StreamFault: the fields are malformed.
        """
        fields = self._decode(block)
        if len(fields) > self._limits.fields:
            raise ConnectionFault(Code.ENHANCE_YOUR_CALM)
        return read_trailers(fields)

    def skip(self, block: bytes) -> None:
        """Read a block that is of no interest, for the table's sake.

        Raises:
            ConnectionFault: it is no header block.
        """
        self._decode(block)

    def _read(self, fields: Fields, size: int, *, ended: bool) -> Request:
        if size > self._limits.headers or len(fields) > self._limits.fields:
            raise Refused(TOO_MANY_FIELDS)
        request = read_head(fields, ended=ended)
        if len(request.target) > self._limits.request_line:
            raise Refused(TOO_LONG_TARGET)
        return request

    def _line(self, named: dict[bytes, bytes]) -> bytes:
        target = named.get(b":path", named.get(b":authority", b""))
        return b"%s %s HTTP/2.0" % (named.get(b":method", b""), target[: self._limits.request_line])

    def _decode(self, block: bytes) -> Fields:
        fields = self._decoder.read(block)
        if self._decoder.changed:
            self._known.clear()
        return fields
