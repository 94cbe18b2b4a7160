"""Clients' transports of Twisted's that can send at once, and whose sockets another poller than the reactor watches.

Twisted's TCP transport sends in the reactor's next turn, which takes two changes of its epoll and a turn for a few
hundred bytes that the socket has room for: `write_now` sends them there and then, and leaves the rest to Twisted. And
the reactor makes a logging context for each event, 5 us, and a turn of its own where other sockets are in an epoll of
their own: the poller that watches those watches these too.
"""

from __future__ import annotations

import socket
from typing import Any, Protocol

from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.python.failure import Failure

READING = 1
WRITING = 4
"""As epoll(7) has them: EPOLLIN and EPOLLOUT."""

_DONE = Failure(CONNECTION_DONE)  # type: ignore[no-untyped-call]
_LOST = Failure(CONNECTION_LOST)  # type: ignore[no-untyped-call]


class Watches(Protocol):
    """Watches sockets."""

    def watch(self, descriptor: Any, before: int, after: int) -> None:
        """Change what a socket is watched for.

        Args:
            descriptor: Has Twisted's `doRead`, `doWrite` and `connectionLost`.
            before: What it was watched for until now: `READING`, `WRITING`, both or 0.
            after: The same for from now on, and something else.
        """


class Eager:
    """Mixed into a client's transport: can send at once, and reads on when it can't send any more.

    What it is mixed into is made as ever, and then given its `poller`.
    """

    poller: Watches
    """Who watches the socket, instead of the reactor."""
    _watched = 0

    def write_now(self: Any, data: bytes) -> None:
        """Send data: now as far as the socket takes it, the rest when it takes more."""
        if not (self._tempDataBuffer or self.dataBuffer or self.disconnecting or self._aborting) and self.connected:
            try:
                sent = self.socket.send(data)
            except OSError:
                sent = 0  # full or broken: Twisted finds out
            if sent == len(data):
                return
            data = data[sent:]
        self.write(data)

    def writeSomeData(self: Any, data: bytes) -> Any:
        """Send some data; what a closed connection doesn't take is thrown away.

        A backend that answers and closes before it has read all of the request makes sending fail. Its answer has
        come by then, and is still to be read; the end of the connection shows in reading, too.
        """
        result = super().writeSomeData(data)  # type: ignore[misc]
        return len(data) if isinstance(result, Exception) and not self.disconnecting else result

    def is_open(self: Any) -> bool:
        """Tell whether the other end, as far as is known here, has not closed the connection; 1 us."""
        if not self.connected:
            return False
        try:
            return bool(self.socket.recv(1, socket.MSG_PEEK))
        except BlockingIOError:
            return True
        except OSError:
            return False

    # What the reactor would do with the results of these, they do themselves.

    def doRead(self: Any) -> None:
        """Hand on what there is to read."""
        try:
            data = self.socket.recv(self.bufferSize)
        except BlockingIOError:
            return
        except OSError:
            self.connectionLost(_LOST)
            return
        if data:
            self.protocol.dataReceived(data)
        else:
            self.stopReading()
            self.readConnectionLost(_DONE)

    def doWrite(self: Any) -> None:
        """Send what waits."""
        ended = super().doWrite()  # type: ignore[misc]
        if ended is not None:
            self.connectionLost(_DONE if ended is CONNECTION_DONE else _LOST)

    def startReading(self) -> None:
        """As Twisted has it, like the three below."""
        self._watch(self._watched | READING)

    def stopReading(self) -> None:
        """See above."""
        self._watch(self._watched & ~READING)

    def startWriting(self) -> None:
        """See above."""
        self._watch(self._watched | WRITING)

    def stopWriting(self) -> None:
        """See above."""
        self._watch(self._watched & ~WRITING)

    def _watch(self, wanted: int) -> None:
        if wanted != self._watched:
            self.poller.watch(self, self._watched, wanted)
            self._watched = wanted
