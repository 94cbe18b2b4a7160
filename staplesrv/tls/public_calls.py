"""The calls on pyOpenSSL's public API: slower, and without some of what the private bindings know."""

from __future__ import annotations

import socket
from collections.abc import Callable, Hashable
from functools import partial
from typing import Any, cast

from OpenSSL import SSL

from staplesrv.tls.connection import ServerConnection
from staplesrv.tls.openssl_calls import RECORD, Choose, Select, Staple, Want


class PublicCalls:
    """The calls on pyOpenSSL's public API."""

    leads_late = False

    def shown(self, connection: SSL.Connection) -> Hashable:
        """Return the certificate itself."""
        return connection.get_certificate(as_cryptography=True)

    def resumed(self, connection: SSL.Connection) -> bool | None:  # noqa: ARG002 - the interface
        """There is no public call."""
        return None

    def set_groups(self, context: SSL.Context, groups: bytes) -> bool:  # noqa: ARG002 - the interface
        """There is no public call for more than one group."""
        return False

    def set_signature_algorithms(self, context: SSL.Context, algorithms: bytes) -> bool:  # noqa: ARG002 - the interface
        """There is no public call."""
        return False

    def on_server_name(self, context: SSL.Context, choose: Choose, refusing: SSL.Context) -> None:
        """Refuse by a context without a certificate; a resumed handshake, which needs none, once it is done."""

        def callback(connection: SSL.Connection) -> None:
            chosen = choose(connection) or refusing
            if chosen is refusing and isinstance(connection, ServerConnection):
                connection.refused = True
            if chosen is not connection.get_context():
                connection.set_context(chosen)

        context.set_tlsext_servername_callback(callback)

    def on_status_request(self, context: SSL.Context, staple: Staple) -> None:
        """Hand out staples."""
        context.set_ocsp_server_callback(staple)

    def on_protocols(self, context: SSL.Context, select: Select) -> None:
        """Select."""
        context.set_alpn_select_callback(select)

    def accept(self, context: SSL.Context, connected: socket.SocketType) -> ServerConnection:
        """Make a connection."""
        connection = ServerConnection(context, cast("Any", connected))
        connection.set_accept_state()
        return connection

    def handshake(self, connection: SSL.Connection) -> Want | None:
        """Go on with the handshake."""
        # Not the method of a subclass, which may do more than that.
        want = _finished(partial(SSL.Connection.do_handshake, connection))
        if want is None and isinstance(connection, ServerConnection):
            connection.check()
        return want

    def read(self, connection: SSL.Connection) -> bytes | Want:
        """Read a record."""
        try:
            return connection.recv(RECORD)
        except SSL.ZeroReturnError:
            return b""
        except SSL.WantReadError:
            return Want.READABLE
        except SSL.WantWriteError:
            return Want.WRITABLE

    def write(self, connection: SSL.Connection, data: bytes | memoryview) -> int | Want:
        """Write a record."""
        try:
            return connection.send(data)
        except SSL.WantReadError:
            return Want.READABLE
        except SSL.WantWriteError:
            return Want.WRITABLE

    def close(self, connection: SSL.Connection) -> Want | None:
        """Send a close_notify."""
        return _finished(connection.shutdown)


def _finished(call: Callable[[], object]) -> Want | None:
    try:
        call()
    except SSL.WantReadError:
        return Want.READABLE
    except SSL.WantWriteError:
        return Want.WRITABLE
    return None
