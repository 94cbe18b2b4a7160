"""The few calls that OpenSSL has and pyOpenSSL does not offer. The only user of pyOpenSSL's private `lib`.

Two implementations of one interface: `PrivateCalls` on `lib`, `PublicCalls` on pyOpenSSL's public API, which does the
same with less: it is slower, and does not know of resumed sessions. `calls` is the one in use, chosen at import. One
contract test runs both.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Hashable, Sequence
from enum import Enum
from functools import partial
from typing import Any, Protocol, cast

from OpenSSL import SSL

from staplesrv.tls.connection import ServerConnection

Choose = Callable[[SSL.Connection], SSL.Context | None]
"""Picks the context for a connection whose server name is known; None refuses the handshake. It must not raise."""

Staple = Callable[[SSL.Connection, object], bytes]
"""Returns an OCSP response's DER for a connection, or nothing; the second argument is None. It must not raise."""

Select = Callable[[SSL.Connection, Sequence[bytes]], Any]
"""Returns one of the protocols offered, or pyOpenSSL's `NO_OVERLAPPING_PROTOCOLS`; an exception ends the handshake."""

_ALERT_FATAL = 2  # SSL_TLSEXT_ERR_ALERT_FATAL
_NO_ANSWER = 3  # SSL_TLSEXT_ERR_NOACK
_HANDSHAKE_FAILURE = 40  # RFC 8446 §6.2: also what a server without a certificate says

_OPENSSL_3_6_0 = 0x30600000

_RECORD = 16384  # RFC 8446 §5.1: no record has more plaintext, and SSL_read gives one at most


_underway: list[SSL.Connection | None] = [None]
"""Whose handshake `PrivateCalls` is at, and OpenSSL calls back about. The table of all connections that pyOpenSSL has,
and asks at each callback, is for those that are used without these calls."""

_raised: list[Exception] = []
"""What a callback of that handshake raised."""


class Want(Enum):
    """What the socket must be before a call that could not finish is repeated."""

    READABLE = "readable"
    WRITABLE = "writable"


class Calls(Protocol):
    """What the room needs beyond pyOpenSSL's public API.

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

    def handshake(self, connection: SSL.Connection) -> Want | None:
        """Go on with the handshake; None when it is done."""

    def read(self, connection: SSL.Connection) -> bytes | Want:
        """Read at most one record's plaintext; nothing at all after the peer's close_notify.

        OpenSSL holds back nothing that the socket has not: what is left shows as a readable socket.
        """

    def write(self, connection: SSL.Connection, data: bytes | memoryview) -> int | Want:
        """Write, and return how much of it. What could not be written must be offered again, as much or more of it."""

    def close(self, connection: SSL.Connection) -> Want | None:
        """Send a close_notify; None when it is sent. Reading goes on."""


class PrivateCalls:
    """The calls on pyOpenSSL's private bindings.

    Raises:
        ImportError, AttributeError: this pyOpenSSL has other bindings.
    """

    leads_late = True

    def __init__(self) -> None:
        from OpenSSL._util import ffi, lib  # noqa: PLC0415 - what may be missing is asked for here alone

        self._ffi: Any = ffi
        self._connections: Any = SSL.Connection._reverse_mapping  # noqa: SLF001 - the only way from SSL* to Python
        self._get_certificate: Callable[[Any], Hashable] = lib.SSL_get_certificate
        self._session_reused: Callable[[Any], int] = lib.SSL_session_reused
        self._set_groups: Callable[[Any, bytes], int] = lib.SSL_CTX_set1_curves_list
        self._set_algorithms: Callable[[Any, bytes], int] = lib.SSL_CTX_set1_sigalgs_list
        self._set_callback: Callable[[Any, Any], object] = lib.SSL_CTX_set_tlsext_servername_callback
        self._clear_errors: Callable[[], None] = lib.ERR_clear_error
        self._peek_error: Callable[[], int] = lib.ERR_peek_error
        self._do_handshake: Callable[[Any], int] = lib.SSL_do_handshake
        self._read: Callable[[Any, Any, int], int] = lib.SSL_read
        self._write: Callable[[Any, Any, int], int] = lib.SSL_write
        self._shutdown: Callable[[Any], int] = lib.SSL_shutdown
        self._set_staple: Callable[[Any, Any, int], int] = lib.SSL_set_tlsext_status_ocsp_resp
        self._set_accept_state: Callable[[Any], None] = lib.SSL_set_accept_state
        self._clear_mode: Callable[[Any, int], int] = lib.SSL_clear_mode
        self._get_error: Callable[[Any, int], int] = lib.SSL_get_error
        self._new: Callable[[Any], Any] = lib.SSL_new
        self._free: Callable[[Any], None] = lib.SSL_free
        self._gc: Callable[[Any, Any], Any] = ffi.gc
        self._set_fd: Callable[[Any, int], int] = lib.SSL_set_fd
        self._set_context: Callable[[Any, Any], Any] = lib.SSL_set_SSL_CTX
        self._malloc: Callable[[int], Any] = lib.OPENSSL_malloc
        self._set_status_callback: Callable[[Any, Any], object] = lib.SSL_CTX_set_tlsext_status_cb
        self._set_protocols_callback: Callable[[Any, Any, Any], object] = lib.SSL_CTX_set_alpn_select_cb
        self._blank = _blank()
        self._unpack: Callable[[Any, int], bytes] = ffi.unpack
        self._from_buffer: Callable[[memoryview], Any] = ffi.from_buffer
        # One for all connections: what SSL_read puts there is copied out before anything else runs.
        self._plaintext: Any = ffi.new("char[]", _RECORD)
        # Off: pyOpenSSL's defaults of one record per SSL_write, where a call could fill the socket, and of reading on
        # after a record without plaintext, where a client that sends nothing else would hold the reactor.
        self._unwanted_modes: int = lib.SSL_MODE_ENABLE_PARTIAL_WRITE | lib.SSL_MODE_AUTO_RETRY
        self._wants = {lib.SSL_ERROR_WANT_READ: Want.READABLE, lib.SSL_ERROR_WANT_WRITE: Want.WRITABLE}
        self._want_read: int = lib.SSL_ERROR_WANT_READ
        self._zero_return: int = lib.SSL_ERROR_ZERO_RETURN

    def shown(self, connection: SSL.Connection) -> Hashable:
        """Return the address of the certificate: 0.2 us, where asking for the certificate itself takes 9."""
        return self._get_certificate(connection._ssl)  # noqa: SLF001 - the SSL* itself

    def resumed(self, connection: SSL.Connection) -> bool | None:
        """Tell whether the session is resumed. Known from the server-name callback on."""
        return bool(self._session_reused(connection._ssl))  # noqa: SLF001 - the SSL* itself

    def set_groups(self, context: SSL.Context, groups: bytes) -> bool:
        """Set the groups; an OpenSSL that lacks one of them refuses them all."""
        done = self._set_groups(context._context, groups) == 1  # noqa: SLF001 - the SSL_CTX* itself
        self._clear_errors()
        return done

    def set_signature_algorithms(self, context: SSL.Context, algorithms: bytes) -> bool:
        """Set the algorithms; an OpenSSL that lacks one of them refuses them all."""
        done = self._set_algorithms(context._context, algorithms) == 1  # noqa: SLF001 - the SSL_CTX* itself
        self._clear_errors()
        return done

    def on_server_name(self, context: SSL.Context, choose: Choose, refusing: SSL.Context) -> None:  # noqa: ARG002
        """Refuse with an alert, which also ends resumed handshakes: these need no certificate.

        pyOpenSSL's own wrapper has an alert only for exceptions, and prints those.
        """

        def wrapper(ssl: Any, alert: Any, _argument: Any) -> int:
            connection = self._connection(ssl)
            chosen = None if connection is None else choose(connection)
            if chosen is None:
                alert[0] = _HANDSHAKE_FAILURE
                return _ALERT_FATAL
            if chosen is connection._context:  # noqa: SLF001
                return 0
            # As `set_context` does.
            self._set_context(ssl, chosen._context)  # noqa: SLF001 - the SSL_CTX* itself
            connection._context = chosen  # noqa: SLF001
            chosen._used = True  # noqa: SLF001
            return 0

        handle = self._ffi.callback("int (*)(SSL *, int *, void *)", wrapper, error=_ALERT_FATAL)
        context._tlsext_servername_callback = handle  # noqa: SLF001 - pyOpenSSL's own place; keeps it alive
        self._set_callback(context._context, handle)  # noqa: SLF001 - the SSL_CTX* itself

    def on_status_request(self, context: SSL.Context, staple: Staple) -> None:
        """Hand out staples as pyOpenSSL does, with half of its detours."""

        def wrapper(ssl: Any, _argument: Any) -> int:
            response_der = staple(self._connection(ssl), None)
            if not response_der:
                return _NO_ANSWER
            length = len(response_der)
            # OpenSSL frees it.
            memory = self._malloc(length)
            self._ffi.memmove(memory, response_der, length)
            self._set_staple(ssl, memory, length)
            return 0

        handle = self._ffi.callback("int (*)(SSL *, void *)", wrapper, error=_NO_ANSWER)
        context._ocsp_callback = handle  # noqa: SLF001 - pyOpenSSL's own place; keeps it alive
        self._set_status_callback(context._context, handle)  # noqa: SLF001 - the SSL_CTX* itself

    def on_protocols(self, context: SSL.Context, select: Select) -> None:
        """Select as pyOpenSSL does; what `select` raises comes out of `handshake`."""

        def wrapper(ssl: Any, out: Any, out_length: Any, offered: Any, length: int, _argument: Any) -> int:
            # RFC 7301 §3.1: each name stands behind its length; OpenSSL has checked that they end where all of them do.
            data = self._ffi.buffer(offered, length)[:]
            places: dict[bytes, int] = {}
            place = 0
            while place < length:
                end = place + 1 + data[place]
                places.setdefault(data[place + 1 : end], place + 1)
                place = end
            try:
                name = select(self._connection(ssl), list(places))
            except Exception as error:  # noqa: BLE001 - OpenSSL is the caller; `_want` raises it
                if _underway[0] is not None:
                    _raised.append(error)
                return _ALERT_FATAL
            if name is SSL.NO_OVERLAPPING_PROTOCOLS:
                return _NO_ANSWER
            # It may point into what was offered: SSL_CTX_set_alpn_select_cb(3).
            out[0] = self._ffi.cast("unsigned char *", offered + places[name])
            out_length[0] = len(name)
            return 0

        kind = "int (*)(SSL *, unsigned char **, unsigned char *, const unsigned char *, unsigned int, void *)"
        handle = self._ffi.callback(kind, wrapper, error=_ALERT_FATAL)
        context._alpn_select_callback = handle  # noqa: SLF001 - pyOpenSSL's own place; keeps it alive
        self._set_protocols_callback(context._context, handle, self._ffi.NULL)  # noqa: SLF001 - the SSL_CTX* itself

    def _connection(self, ssl: Any) -> Any:
        """Return the connection that OpenSSL calls back about."""
        current = _underway[0]
        return current if current is not None and current._ssl == ssl else self._connections.get(ssl)  # noqa: SLF001

    # From here on the hot path: no exception where nothing is wrong, which halves what pyOpenSSL's methods cost. An
    # error that some earlier call left in the thread's queue would be taken for one of this call: SSL_get_error(3). To
    # look for one takes half the time of clearing the queue, and touches a fraction of the memory.

    def accept(self, context: SSL.Context, connected: socket.SocketType) -> ServerConnection:
        """Make a connection, and set what TLS straight on a socket wants."""
        # pyOpenSSL's verification asks its table of all connections.
        plain = context._verify_helper is None  # noqa: SLF001 - the SSL_CTX* itself, and what pyOpenSSL keeps beside it
        connection = self._make(context, connected) if plain else ServerConnection(context, cast("Any", connected))
        ssl = connection._ssl  # noqa: SLF001
        self._clear_mode(ssl, self._unwanted_modes)
        self._set_accept_state(ssl)
        return connection

    def _make(self, context: SSL.Context, connected: socket.SocketType) -> ServerConnection:
        """Do what pyOpenSSL's constructor does, but for its table: 2 us against 5."""
        connection = ServerConnection.__new__(ServerConnection)
        ssl = self._gc(self._new(context._context), self._free)  # noqa: SLF001
        context._used = True  # noqa: SLF001 - it refuses changes from now on
        attributes = vars(connection)
        attributes.update(self._blank)
        attributes["_ssl"] = ssl
        attributes["_context"] = context
        attributes["_socket"] = connected
        if not self._set_fd(ssl, connected.fileno()):
            raise MemoryError
        return connection

    def handshake(self, connection: SSL.Connection) -> Want | None:
        """Go on with the handshake."""
        if self._peek_error():
            self._clear_errors()
        _underway[0] = connection
        result = self._do_handshake(connection._ssl)  # noqa: SLF001 - the SSL* itself, here and below
        _underway[0] = None
        if result != 1:
            if self._get_error(connection._ssl, result) == self._want_read:  # noqa: SLF001
                return Want.READABLE
            return self._want(connection, result)
        # OpenSSL would keep its copy of the staple for as long as the connection lasts.
        self._set_staple(connection._ssl, self._ffi.NULL, 0)  # noqa: SLF001
        return None

    def read(self, connection: SSL.Connection) -> bytes | Want:
        """Read a record."""
        if self._peek_error():
            self._clear_errors()
        count = self._read(connection._ssl, self._plaintext, _RECORD)  # noqa: SLF001
        if count > 0:
            return self._unpack(self._plaintext, count)
        if self._get_error(connection._ssl, count) == self._zero_return:  # noqa: SLF001
            return b""
        return self._want(connection, count)

    def write(self, connection: SSL.Connection, data: bytes | memoryview) -> int | Want:
        """Write as many records as the socket takes; all of the data or nothing counts as written."""
        if self._peek_error():
            self._clear_errors()
        buffer = data if type(data) is bytes else self._from_buffer(data)  # type: ignore[arg-type]
        count = self._write(connection._ssl, buffer, len(data))  # noqa: SLF001
        return count if count > 0 else self._want(connection, count)

    def close(self, connection: SSL.Connection) -> Want | None:
        """Send a close_notify."""
        if self._peek_error():
            self._clear_errors()
        result = self._shutdown(connection._ssl)  # noqa: SLF001
        return None if result >= 0 else self._want(connection, result)

    def _want(self, connection: SSL.Connection, result: int) -> Want:
        want = self._wants.get(self._get_error(connection._ssl, result))  # noqa: SLF001
        if want is None:
            if _raised:
                self._clear_errors()
                raise _raised.pop()
            connection._raise_ssl_error(connection._ssl, result)  # noqa: SLF001 - also raises what a callback raised
            raise SSL.Error([])  # it raises for everything but the wants above and success
        return want


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
            return connection.recv(_RECORD)
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


def _blank() -> dict[str, None]:
    """Return what pyOpenSSL's constructor sets besides the three that `PrivateCalls.accept` does.

    Raises:
        ImportError: this pyOpenSSL has connections of another make.
    """
    # Nothing is read or written here: any descriptor will do.
    made = vars(SSL.Connection(SSL.Context(SSL.TLS_SERVER_METHOD), 0))  # type: ignore[arg-type]
    rest = {name: value for name, value in made.items() if name not in {"_ssl", "_context", "_socket"}}
    if len(made) != len(rest) + 3 or any(value is not None for value in rest.values()):
        raise ImportError("pyOpenSSL's connections are of another make")
    return rest


def _finished(call: Callable[[], object]) -> Want | None:
    try:
        call()
    except SSL.WantReadError:
        return Want.READABLE
    except SSL.WantWriteError:
        return Want.WRITABLE
    return None


def _choose_calls() -> Calls:
    try:
        return PrivateCalls()
    except (ImportError, AttributeError):
        return PublicCalls()


calls: Calls = _choose_calls()


def warning(version: int = SSL.OPENSSL_VERSION_NUMBER) -> str | None:
    """Return what an operator should know about this OpenSSL, or None.

    Args:
        version: OPENSSL_VERSION_NUMBER.
    """
    if version >> 4 == _OPENSSL_3_6_0 >> 4:
        # Its client hello answer carries an empty status_request that some clients take for a fault.
        return "OpenSSL 3.6.0 sends a malformed empty status_request; clients may hang up: use 3.6.1 or newer"
    return None
