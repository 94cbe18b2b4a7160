"""What stays of a connection that is over for us while its client may still be sending.

close(2) on a socket with unread input answers with a reset, and a reset can overtake, at the client, the answer or the
alert that was sent last. So the server says that it will send no more, reads what still comes, and throws it away.
"""

from __future__ import annotations

import fcntl
import socket
import struct
import termios
from collections.abc import Callable
from contextlib import suppress

from twisted.internet.interfaces import IReadDescriptor
from zope.interface import implementer

from staplesrv.deadlines import Deadlines
from staplesrv.tls.poller import READING, Watches

LINGER_SECONDS = 5.0
"""How long a client may go on sending; as nginx has it by default between two reads, here for all of them."""

_NOTHING = bytes(struct.calcsize("i"))
_unread = bytearray(_NOTHING)
"""Where FIONREAD puts its answer. Of bytes Python would make a copy, after an exception that they can't be written."""
_RESET = struct.pack("ii", 1, 0)
_MUCH = 65_536


def unread(connected: socket.SocketType) -> bool:
    """Tell whether the kernel has input for a socket that was not read. 0.6 us; a recv(2) that fails takes 2."""
    try:
        fcntl.ioctl(connected.fileno(), termios.FIONREAD, _unread)
    except OSError:
        return False
    return _unread != _NOTHING


def reset(connected: socket.SocketType) -> None:
    """Have close(2) send a reset, and drop what was not sent."""
    with suppress(OSError):
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)


@implementer(IReadDescriptor)
class Lingering:
    """A socket whose input is thrown away until the client is done, or the deadline comes.

    Args:
        connected: The socket; closed here.
        poller: Tells when there is input.
        deadlines: Has `abortConnection` called after `LINGER_SECONDS`.
        gone: Called once when the socket is closed.
    """

    def __init__(
        self, connected: socket.SocketType, poller: Watches, deadlines: Deadlines[Lingering], gone: Callable[[], object]
    ) -> None:
        self._socket = connected
        self._poller = poller
        self._deadlines = deadlines
        self._gone = gone
        with suppress(OSError):
            connected.shutdown(socket.SHUT_WR)
        deadlines.begin(self)
        poller.watch(self, 0, READING)

    def fileno(self) -> int:
        """Return the descriptor; -1 when closed."""
        return self._socket.fileno()

    def logPrefix(self) -> str:
        """Name it in the log."""
        return "lingering"

    def doRead(self) -> None:
        """Throw away what has come."""
        try:
            if self._socket.recv(_MUCH):
                return
        except BlockingIOError:
            return
        except OSError:
            pass  # reset: as good an end as any
        self.connectionLost()

    def abortConnection(self) -> None:
        """Close it; a client that still sends gets a reset."""
        self.connectionLost()

    def readConnectionLost(self, reason: object) -> None:
        """End of it, as some reactors say it."""
        self.connectionLost(reason)

    def connectionLost(self, reason: object = None) -> None:  # noqa: ARG002 - Twisted's interface
        """End of it; the reactor calls this."""
        if self._socket.fileno() < 0:
            return
        self._deadlines.end(self)
        self._poller.watch(self, READING, 0)
        self._socket.close()
        self._gone()
