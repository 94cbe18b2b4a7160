"""Where a head ends, what is too much of it, and which heads are known already."""

from __future__ import annotations

from staplesrv.http.http1.head import BAD_REQUEST, TOO_MANY_FIELDS, Head, read_head
from staplesrv.http.http1.refusal import Refusal
from staplesrv.http.limits import Limits

TOO_LONG_LINE = 414
_END = b"\r\n\r\n"
_LINE_END = b"\r\n"

_MOST_KNOWN = 1024
_LONGEST_KNOWN = 1024


class Heads:
    """Takes heads from what clients send; one for all connections of a factory.

    Attributes:
        known: Heads of requests without a body, by their bytes. A head is read the same whoever sends it, so that what
            a client repeats on a kept connection, as most programs do, is looked up instead: 0.1 us against 6 to 11.
            At most a mebibyte of them; then it starts anew.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.known: dict[bytes, Head] = {}

    def take(self, data: bytes, seen: int = 0) -> tuple[Head | None, bytes]:
        """Take a head from the beginning of what a client has sent.

        How the bytes were split into reads makes no difference: of several faults the one is told that comes first.

        Args:
            data: Everything since the last request.
            seen: How much of it was looked at before, and held no head.

        Returns:
            The head, and what follows it; as long as the head is not whole, None, and all that there is of it.

        Raises:
            Refusal: it is none that this server takes, or too large.
        """
        if data.startswith(_LINE_END):
            data, seen = _without_empty_lines(data), 0
        end = data.find(_END, max(0, seen + 1 - len(_END))) + len(_END)
        if end < len(_END):
            self._check(data, len(data), seen)
            return None, data
        sent, rest = (data, b"") if end == len(data) else (data[:end], data[end:])
        head = self.known.get(sent)
        if head is None:
            self._check(sent, end, seen)
            head = read_head(sent, self._limits.fields)
            if head.request.length == 0 and end <= _LONGEST_KNOWN:
                self._learn(sent, head)
        return head, rest

    def _check(self, data: bytes, size: int, seen: int) -> None:
        """Refuse what is too large by now, and what can't become a head: without this an odd client would wait."""
        limits = self._limits
        line = data.find(_LINE_END, 0, size)
        long_line = line > limits.request_line or (line < 0 and size > limits.request_line + 2)
        room = limits.request_line + 2 if line < 0 or long_line else line + 2 + limits.headers + 2
        # RFC 9112 §2.2 lets a recipient take a bare LF for the end of a line: then two recipients differ.
        # Looked for once in each byte, or a head that comes byte by byte would cost as much as a thousand.
        start, stop = seen - (data[seen - 1 : seen] == b"\r"), min(size, room)
        if data.count(b"\n", start, stop) != data.count(_LINE_END, start, stop):
            raise Refusal(BAD_REQUEST)
        if size > room or long_line:
            raise Refusal(TOO_LONG_LINE if line < 0 or long_line else TOO_MANY_FIELDS)

    def _learn(self, sent: bytes, head: Head) -> None:
        if len(self.known) >= _MOST_KNOWN:
            self.known.clear()
        self.known[sent] = head


def _without_empty_lines(data: bytes) -> bytes:
    # RFC 9112 §2.2: some clients send an empty line after a body.
    start = 0
    while data.startswith(_LINE_END, start):
        start += len(_LINE_END)
    return data[start:]
