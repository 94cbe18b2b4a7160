"""A preamble as a proxy might send it: `FROM HOST PORT` and a line feed."""

from __future__ import annotations

from twisted.internet.address import IPv4Address, IPv6Address

from staplesrv.tls.addresses import Address
from staplesrv.tls.preamble import BadPreamble

_LONGEST = 9000


class ToyPreamble:
    """Takes it.

    Attributes:
        peer: Who it says the client is.
        fed: The pieces that came.
    """

    def __init__(self) -> None:
        self.peer: Address | None = None
        self.fed: list[bytes] = []
        self._line = b""

    def feed(self, data: bytes) -> int | None:
        """Take the next bytes."""
        self.fed.append(data)
        before = len(self._line)
        self._line += data
        word = self._line[:5]
        if word != b"FROM "[: len(word)] or len(self._line) > _LONGEST:
            raise BadPreamble
        if b"\n" not in self._line:
            return None
        line = self._line.partition(b"\n")[0]
        self.peer = _address(*line.decode().split()[1:3])
        return len(line) + 1 - before


def _address(host: str = "", port: str = "") -> Address | None:
    if not host:
        return None
    return (IPv6Address if ":" in host else IPv4Address)("TCP", host, int(port))
