"""The calls on pyOpenSSL's private bindings, the only use of them.

Raises, when it is imported:
    ImportError, AttributeError: this pyOpenSSL has other bindings.

Theory of operation: what is called for each connection are globals of this module, which Python looks up faster than
anything that hangs on an object. Most connections that `accept` makes are not in pyOpenSSL's table of all connections:
OpenSSL calls back in the middle of `handshake` alone, and whose that is `_underway` says.

Where to look: the functions of OpenSSL and cffi that are used are the names at the top. `on_server_name`,
`on_status_request` and `on_protocols` each have the function that OpenSSL calls back. `accept`, `handshake`, `read`,
`write` and `close` are what a transport calls, in this order; `_want` says why one of them did not succeed.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Hashable
from typing import Any, cast

from OpenSSL import SSL
from OpenSSL._util import ffi as _ffi
from OpenSSL._util import lib as _lib

from staplesrv.tls.connection import RESUMED, STAPLED, ServerConnection
from staplesrv.tls.openssl_calls import RECORD, Choose, Select, Staple, Want

ffi: Any = _ffi
lib: Any = _lib

_ALERT_FATAL = 2  # SSL_TLSEXT_ERR_ALERT_FATAL
_NO_ANSWER = 3  # SSL_TLSEXT_ERR_NOACK
_HANDSHAKE_FAILURE = 40  # RFC 8446 §6.2: also what a server without a certificate says

_connections: Any = SSL.Connection._reverse_mapping  # noqa: SLF001 - pyOpenSSL's own way from SSL* to Python
_get_certificate: Callable[[Any], Hashable] = lib.SSL_get_certificate
_session_reused: Callable[[Any], int] = lib.SSL_session_reused
_set_groups: Callable[[Any, bytes], int] = lib.SSL_CTX_set1_curves_list
_set_algorithms: Callable[[Any, bytes], int] = lib.SSL_CTX_set1_sigalgs_list
_set_callback: Callable[[Any, Any], object] = lib.SSL_CTX_set_tlsext_servername_callback
_set_status_callback: Callable[[Any, Any], object] = lib.SSL_CTX_set_tlsext_status_cb
_set_protocols_callback: Callable[[Any, Any, Any], object] = lib.SSL_CTX_set_alpn_select_cb
_set_context: Callable[[Any, Any], Any] = lib.SSL_set_SSL_CTX
_set_staple: Callable[[Any, Any, int], int] = lib.SSL_set_tlsext_status_ocsp_resp
_malloc: Callable[[int], Any] = lib.OPENSSL_malloc
_memmove: Callable[[Any, bytes, int], None] = ffi.memmove
_new: Callable[[Any], Any] = lib.SSL_new
_free: Callable[[Any], None] = lib.SSL_free
_gc: Callable[[Any, Any], Any] = ffi.gc
_set_fd: Callable[[Any, int], int] = lib.SSL_set_fd
_clear_mode: Callable[[Any, int], int] = lib.SSL_clear_mode
_set_accept_state: Callable[[Any], None] = lib.SSL_set_accept_state
_clear_errors: Callable[[], None] = lib.ERR_clear_error
_peek_error: Callable[[], int] = lib.ERR_peek_error
_get_error: Callable[[Any, int], int] = lib.SSL_get_error
_do_handshake: Callable[[Any], int] = lib.SSL_do_handshake
_read: Callable[[Any, Any, int], int] = lib.SSL_read
_write: Callable[[Any, Any, int], int] = lib.SSL_write
_shutdown: Callable[[Any], int] = lib.SSL_shutdown
_unpack: Callable[[Any, int], bytes] = ffi.unpack
_from_buffer: Callable[[memoryview], Any] = ffi.from_buffer

_blank_connection = ServerConnection.__new__
_NULL: Any = ffi.NULL
_WANT_READ: int = lib.SSL_ERROR_WANT_READ
_READABLE = Want.READABLE
_WANTS: dict[int, Want] = {_WANT_READ: _READABLE, lib.SSL_ERROR_WANT_WRITE: Want.WRITABLE}
_ZERO_RETURN: int = lib.SSL_ERROR_ZERO_RETURN
_UNWANTED_MODES: int = lib.SSL_MODE_ENABLE_PARTIAL_WRITE | lib.SSL_MODE_AUTO_RETRY
"""pyOpenSSL's defaults of one record per SSL_write, where a call could fill the socket, and of reading on after a
record without plaintext, where a client that sends nothing else would hold the reactor."""

_plaintext: Any = ffi.new("char[]", RECORD)
"""One for all connections: what SSL_read puts there is copied out before anything else runs."""

_underway: list[SSL.Connection | None] = [None]
"""Whose handshake is going on, and OpenSSL calls back about. The table of all connections that pyOpenSSL has, and asks
at each callback, is for those that are used without these calls."""

_raised: list[Exception] = []
"""What a callback of that handshake raised."""


def _blank() -> set[str]:
    """Return the attributes that pyOpenSSL's constructor sets to None, all but the three that `accept` sets.

    Raises:
        ImportError: this pyOpenSSL has connections of another make.
    """
    # Nothing is read or written here: any descriptor will do.
    made = vars(SSL.Connection(SSL.Context(SSL.TLS_SERVER_METHOD), 0))  # type: ignore[arg-type]
    rest = {name: value for name, value in made.items() if name not in {"_ssl", "_context", "_socket"}}
    if len(made) != len(rest) + 3 or any(value is not None for value in rest.values()):
        raise ImportError("pyOpenSSL's connections are of another make")
    return set(rest)


# On the class, so that `accept` need not set each of them for each connection.
for _name in _blank():
    setattr(ServerConnection, _name, None)


class PrivateCalls:
    """The calls on pyOpenSSL's private bindings."""

    leads_late = True

    def shown(self, connection: SSL.Connection) -> Hashable:
        """Return the address of the certificate: 0.2 us, where asking for the certificate itself takes 9."""
        return _get_certificate(connection._ssl)  # noqa: SLF001 - the SSL* itself

    def resumed(self, connection: SSL.Connection) -> bool | None:
        """Tell whether the session is resumed. Known from the server-name callback on."""
        return bool(_session_reused(connection._ssl))  # noqa: SLF001 - the SSL* itself

    def set_groups(self, context: SSL.Context, groups: bytes) -> bool:
        """Set the groups; an OpenSSL that lacks one of them refuses them all."""
        done = _set_groups(context._context, groups) == 1  # noqa: SLF001 - the SSL_CTX* itself
        _clear_errors()
        return done

    def set_signature_algorithms(self, context: SSL.Context, algorithms: bytes) -> bool:
        """Set the algorithms; an OpenSSL that lacks one of them refuses them all."""
        done = _set_algorithms(context._context, algorithms) == 1  # noqa: SLF001 - the SSL_CTX* itself
        _clear_errors()
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
            _set_context(ssl, chosen._context)  # noqa: SLF001 - the SSL_CTX* itself
            connection._context = chosen  # noqa: SLF001
            chosen._used = True  # noqa: SLF001
            return 0

        handle = ffi.callback("int (*)(SSL *, int *, void *)", wrapper, error=_ALERT_FATAL)
        context._tlsext_servername_callback = handle  # noqa: SLF001 - pyOpenSSL's own place; keeps it alive
        _set_callback(context._context, handle)  # noqa: SLF001 - the SSL_CTX* itself

    def on_status_request(self, context: SSL.Context, staple: Staple) -> None:
        """Hand out staples as pyOpenSSL does, with half of its detours."""

        def wrapper(ssl: Any, _argument: Any) -> int:
            # As `_connection` does, without the call.
            current = _underway[0]
            connection = current if current is not None and current._ssl == ssl else _connections.get(ssl)  # noqa: SLF001
            response_der = staple(connection, None)
            if not response_der:
                return _NO_ANSWER
            length = len(response_der)
            # OpenSSL frees it.
            memory = _malloc(length)
            _memmove(memory, response_der, length)
            _set_staple(ssl, memory, length)
            return 0

        handle = ffi.callback("int (*)(SSL *, void *)", wrapper, error=_NO_ANSWER)
        context._ocsp_callback = handle  # noqa: SLF001 - pyOpenSSL's own place; keeps it alive
        _set_status_callback(context._context, handle)  # noqa: SLF001 - the SSL_CTX* itself

    def on_protocols(self, context: SSL.Context, select: Select) -> None:
        """Select as pyOpenSSL does; what `select` raises comes out of `handshake`."""

        def wrapper(ssl: Any, out: Any, out_length: Any, offered: Any, length: int, _argument: Any) -> int:
            # RFC 7301 §3.1: each name stands behind its length; OpenSSL has checked that they end where all of them do.
            data = ffi.buffer(offered, length)[:]
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
            out[0] = ffi.cast("unsigned char *", offered + places[name])
            out_length[0] = len(name)
            return 0

        kind = "int (*)(SSL *, unsigned char **, unsigned char *, const unsigned char *, unsigned int, void *)"
        handle = ffi.callback(kind, wrapper, error=_ALERT_FATAL)
        context._alpn_select_callback = handle  # noqa: SLF001 - pyOpenSSL's own place; keeps it alive
        _set_protocols_callback(context._context, handle, ffi.NULL)  # noqa: SLF001 - the SSL_CTX* itself

    def _connection(self, ssl: Any) -> Any:
        """Return the connection that OpenSSL calls back about."""
        current = _underway[0]
        return current if current is not None and current._ssl == ssl else _connections.get(ssl)  # noqa: SLF001

    # From here on the hot path: no exception where nothing is wrong, which halves what pyOpenSSL's methods cost. An
    # error that some earlier call left in the thread's queue would be taken for one of this call: SSL_get_error(3). To
    # look for one takes half the time of clearing the queue, and touches a fraction of the memory.

    def accept(self, context: SSL.Context, connected: socket.SocketType) -> ServerConnection:
        """Make a connection, and set what TLS straight on a socket wants."""
        if context._verify_helper is not None:  # noqa: SLF001 - the SSL_CTX* itself, and what pyOpenSSL keeps beside it
            # pyOpenSSL's verification asks its table of all connections.
            connection = ServerConnection(context, cast("Any", connected))
            ssl: Any = connection._ssl  # noqa: SLF001
        else:
            # What its constructor does, but for the table: 2 us against 5.
            connection = _blank_connection(ServerConnection)
            ssl = connection._ssl = _gc(_new(context._context), _free)  # noqa: SLF001
            connection._context = context  # noqa: SLF001
            connection._socket = connected  # type: ignore[assignment]  # noqa: SLF001
            context._used = True  # noqa: SLF001 - it refuses changes from now on
            if not _set_fd(ssl, connected.fileno()):
                raise MemoryError
        _clear_mode(ssl, _UNWANTED_MODES)
        _set_accept_state(ssl)
        return connection

    def handshake(self, connection: ServerConnection) -> Want | None:
        """Go on with the handshake; OpenSSL clears the queue itself."""
        ssl = connection._ssl  # noqa: SLF001 - the SSL* itself, here and below
        _underway[0] = connection
        result = _do_handshake(ssl)
        _underway[0] = None
        if result != 1:
            # What `_want` says of nearly all once, without the call.
            if _get_error(ssl, result) == _WANT_READ:
                return _READABLE
            return self._want(connection, result)
        outcome = connection.outcome
        if outcome is STAPLED:
            # OpenSSL would keep its copy of the staple for as long as the connection lasts.
            _set_staple(ssl, _NULL, 0)
        elif outcome is None and _session_reused(ssl):
            connection.outcome = RESUMED
        return None

    def read(self, connection: SSL.Connection) -> bytes | Want:
        """Read a record."""
        if _peek_error():
            _clear_errors()
        count = _read(connection._ssl, _plaintext, RECORD)  # noqa: SLF001
        if count > 0:
            return _unpack(_plaintext, count)
        if _get_error(connection._ssl, count) == _ZERO_RETURN:  # noqa: SLF001
            return b""
        return self._want(connection, count)

    def write(self, connection: SSL.Connection, data: bytes | memoryview) -> int | Want:
        """Write as many records as the socket takes; all of the data or nothing counts as written."""
        if _peek_error():
            _clear_errors()
        buffer = data if type(data) is bytes else _from_buffer(data)  # type: ignore[arg-type]
        count = _write(connection._ssl, buffer, len(data))  # noqa: SLF001
        return count if count > 0 else self._want(connection, count)

    def close(self, connection: SSL.Connection) -> Want | None:
        """Send a close_notify."""
        if _peek_error():
            _clear_errors()
        result = _shutdown(connection._ssl)  # noqa: SLF001
        return None if result >= 0 else self._want(connection, result)

    def _want(self, connection: SSL.Connection, result: int) -> Want:
        """Say what a call that did not succeed waits for.

        Raises:
            SSL.Error: nothing, it failed. What a callback raised, of whatever kind, comes first.
        """
        want = _WANTS.get(_get_error(connection._ssl, result))  # noqa: SLF001
        if want is None:
            if _raised:
                _clear_errors()
                raise _raised.pop()
            connection._raise_ssl_error(connection._ssl, result)  # noqa: SLF001 - also raises what a callback raised
            raise SSL.Error([])  # it raises for everything but the wants above and success
        return want
