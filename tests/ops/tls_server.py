"""Servers on loopback for a check to connect to: TLS with a staple, or whatever a handler does with the socket."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator, Mapping

from OpenSSL import SSL

from staplesrv.testing import Leaf

Handler = Callable[[socket.socket], None]


@contextlib.contextmanager
def serve(handler: Handler, family: socket.AddressFamily = socket.AF_INET) -> Iterator[int]:
    """Accept connections one after the other and hand them to `handler`; yields the port."""
    host = "::1" if family == socket.AF_INET6 else "127.0.0.1"
    listening = socket.create_server((host, 0), family=family)
    accepted: list[socket.socket] = []

    def run() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listening.accept()
                accepted.append(connection)
                with connection, contextlib.suppress(OSError):
                    handler(connection)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        # Wakes the thread wherever it waits.
        for each in (listening, *accepted):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        thread.join(10)
        listening.close()


def tls(
    leaf: Leaf,
    staple: bytes | Mapping[str, bytes] = b"",
    *,
    versions: tuple[int, int] = (SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION),
    chain: bool = True,
) -> Handler:
    """A handler that shakes hands and waits for the client to leave.

    Args:
        leaf: The certificate to show.
        staple: What to staple, unchecked; per version where it is a mapping.
        versions: The oldest and the newest version to speak.
        chain: Whether to send the issuer along.
    """
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(versions[0])
    context.set_max_proto_version(versions[1])
    context.use_certificate(leaf.certificate)
    context.use_privatekey(leaf.key)
    for certificate in leaf.chain if chain else ():
        context.add_extra_chain_cert(certificate)

    def answer(connection: SSL.Connection, _data: object) -> bytes:
        by_version = staple if isinstance(staple, Mapping) else {}
        return by_version.get(connection.get_protocol_version_name(), b"") if by_version else bytes(staple)

    context.set_ocsp_server_callback(answer)

    def handle(connection: socket.socket) -> None:
        server = SSL.Connection(context, connection)
        server.set_accept_state()
        with contextlib.suppress(SSL.Error):
            server.do_handshake()
            server.recv(1)

    return handle


def hang(connection: socket.socket) -> None:
    """Take what comes and never answer."""
    while connection.recv(65536):
        pass


def close_early(connection: socket.socket) -> None:
    """Hang up after the first bytes."""
    connection.recv(1)


def say(*chunks: bytes) -> Handler:
    """Send bytes without caring what the client said, then wait for it to leave."""

    def handle(connection: socket.socket) -> None:
        for chunk in chunks:
            connection.sendall(chunk)
        hang(connection)

    return handle
