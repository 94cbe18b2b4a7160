"""An HTTPS client on a real socket, in a thread: it looks at the staple and asks for a path."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import NamedTuple

from twisted.internet.threads import deferToThread

from staplesrv.testing import Seen, StapleClient


class Visit(NamedTuple):
    """What one visit saw."""

    seen: Seen
    answer: bytes


async def visit(
    port: int,
    path: str = "/",
    name: str = "localhost",
    host: str = "",
    alpn: Sequence[bytes] = (),
    *,
    until: bytes = b"",
    before: bytes = b"",
) -> Visit:
    """Connect to a port of this machine.

    Args:
        port: Where.
        path: What to ask for.
        name: The server name.
        host: For the Host header; the same where it is empty.
        alpn: Protocols to offer. Where HTTP/2 is chosen, nothing is asked for.
        before: What is sent before the handshake.
        until: The client leaves when it has seen this, and when the server does.
    """
    visited: Visit = await deferToThread(_visit, port, path, name, host or name, alpn, until=until, before=before)
    return visited


async def is_open(port: int) -> bool:
    """Whether somebody listens."""
    opened: bool = await deferToThread(_knock, port)
    return opened


def _knock(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
    except OSError:
        return False
    return True


def _visit(port: int, path: str, name: str, host: str, alpn: Sequence[bytes], *, until: bytes, before: bytes) -> Visit:
    client = StapleClient(server_name=name, alpn=alpn)
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.sendall(before)
        while not client.done:
            connection.sendall(client.outgoing())
            if not client.done:
                client.incoming(connection.recv(65536))
        if client.seen.alpn == b"h2":
            return Visit(client.seen, b"")
        client.send(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        connection.sendall(client.outgoing())
        answer = b""
        # Twisted closes the TLS, and leaves it to the client to close the connection below.
        while not client.closed and (data := connection.recv(65536)):
            client.incoming(data)
            answer += client.received()
            if until and until in answer:
                break
    return Visit(client.seen, answer)
