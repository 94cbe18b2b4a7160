"""Where an answer's heads end: the interim ones, and the final one."""

from __future__ import annotations

from staplesrv.http.proxy.response_head import FINAL, HEAD_BYTES, BadAnswer, ResponseHead, parse_head

_END = b"\r\n\r\n"
_LINE_END = 2

_INTERIM_HEADS = 64
"""So many may come before an answer; a backend that sends them without an end has none."""


class ResponseHeads:
    """Takes heads from what one backend sends."""

    def __init__(self) -> None:
        self._begun = bytearray()
        self._interim = 0

    def begin(self) -> None:
        """The answer to another request follows."""
        self._interim = 0

    def take(self, data: bytes) -> tuple[ResponseHead | None, bytes]:
        """Take a head.

        Args:
            data: What has come since the last call.

        Returns:
            The head, and what follows it; None as long as it is not whole.

        Raises:
            BadAnswer: it is none, too large, or one interim head too many.
        """
        begun = self._begun
        if begun:
            searched = max(0, len(begun) - len(_END) + 1)
            begun += data
            end = begun.find(_END, searched)
            if end >= 0:
                data = bytes(begun)
                begun.clear()
        else:
            end = data.find(_END)
            if end < 0:
                begun += data
        if end > HEAD_BYTES or len(begun) > HEAD_BYTES:
            raise BadAnswer("a head without an end")
        if end < 0:
            return None, b""
        head = parse_head(data[: end + _LINE_END])
        if head.status < FINAL:
            self._interim += 1
            if self._interim > _INTERIM_HEADS:
                raise BadAnswer("interim answers without an end")
        return head, data[end + len(_END) :]
