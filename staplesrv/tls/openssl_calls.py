"""What the room calls OpenSSL for where pyOpenSSL's public API has no way, or a slow one.

`private_calls` and `public_calls` are the two ways to do it; `openssl.calls` is the one in use.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Hashable, Sequence
from enum import Enum
from typing import Any, Protocol

from OpenSSL import SSL

from staplesrv.tls.connection import ServerConnection

Choose = Callable[[SSL.Connection], SSL.Context | None]
"""Picks the context for a connection whose server name is known; None refuses the handshake. It must not raise."""

Staple = Callable[[SSL.Connection, object], bytes]
"""Returns an OCSP response's DER for a connection, or nothing; the second argument is None. It must not raise."""

Select = Callable[[SSL.Connection, Sequence[bytes]], Any]
"""Returns one of the protocols offered, or pyOpenSSL's `NO_OVERLAPPING_PROTOCOLS`; an exception ends the handshake."""

RECORD = 16384
"""Bytes: no record has more plaintext, and SSL_read gives one at most (RFC 8446 §5.1)."""


class Want(Enum):
    """What the socket must be before a call that could not finish is repeated."""

    READABLE = "readable"
    WRITABLE = "writable"


class Calls(Protocol):
    """The calls; a connection is made by `accept` for those after it.

    `handshake`, `read`, `write` and `close` raise SSL.Error where the connection can't go on; that is SSL.SysCallError
    where its socket failed, or came to its end without a close_notify.

    Attributes:
        leads_late: Whether `on_server_name` can be called for a context that has connections.
    """

    leads_late: bool

    def shown(self, connection: SSL.Connection) -> Hashable:
        """Return a key for the certificate that this connection shows: equal for equal certificates of one context."""

    def resumed(self, connection: SSL.Connection) -> bool | None:
        """Tell whether the connection resumes a session; None where that can't be known."""

    def set_groups(self, context: SSL.Context, groups: bytes) -> bool:
        """Set the key exchange groups, in OpenSSL's notation; False leaves OpenSSL's own choice."""

    def set_signature_algorithms(self, context: SSL.Context, algorithms: bytes) -> bool:
        """Set what a peer may sign its handshake with, in OpenSSL's notation; False leaves OpenSSL's own choice."""

    def on_server_name(self, context: SSL.Context, choose: Choose, refusing: SSL.Context) -> None:
        """Have `choose` pick the context of each connection; `refusing` has no certificate, for where that is all."""

    def on_status_request(self, context: SSL.Context, staple: Staple) -> None:
        """Have `staple` give each client that asks for a certificate's status what it is sent."""

    def on_protocols(self, context: SSL.Context, select: Select) -> None:
        """Have `select` pick one of the application protocols that a client offers."""

    def accept(self, context: SSL.Context, connected: socket.SocketType) -> ServerConnection:
        """Make the server's side of a connection on a socket, for the calls below."""

    def handshake(self, connection: ServerConnection) -> Want | None:
        """Go on with the handshake; None when it is done."""

    def read(self, connection: SSL.Connection) -> bytes | Want:
        """Read at most one record's plaintext; `b""` after the peer's close_notify.

        OpenSSL holds back nothing that the socket has not: what is left shows as a readable socket.
        """

    def write(self, connection: SSL.Connection, data: bytes | memoryview) -> int | Want:
        """Write, and return how many bytes. What could not be written must be offered again, as much or more of it."""

    def close(self, connection: SSL.Connection) -> Want | None:
        """Send a close_notify; None when it is sent. Reading goes on."""
