"""The clients: threads with blocking sockets, which check each handshake and each answer."""

from __future__ import annotations

import hashlib
import socket
import struct
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from OpenSSL import SSL

from staplesrv.tls.openssl import calls

THREADS = 12
CROWD = 500
GROUP = "X25519"
PATIENCE = struct.pack("ll", 30, 0)
"""A `struct timeval`: who says nothing for so long has failed."""

ONE = b"GET / HTTP/1.1\r\nHost: bench.example\r\nConnection: close\r\n\r\n"
NEXT = b"GET %s HTTP/1.1\r\nHost: bench.example\r\n\r\n"
BODY = b"\r\n\r\nhello\n"


class WrongAnswer(Exception):
    """A server did not do what is measured."""


def client_context(suite: str) -> SSL.Context:
    """Make a context that offers TLS 1.3 with one suite and one group; connections keep the staple as their data."""
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_min_proto_version(SSL.TLS1_3_VERSION)
    context.set_tls13_ciphersuites(suite.encode())
    context.set_ocsp_client_callback(_keep_staple)
    if not calls.set_groups(context, GROUP.encode()):
        raise WrongAnswer("this pyOpenSSL can't be told which group to use")
    return context


class Load:
    """Does work with one server.

    Args:
        port: Where it listens, on 127.0.0.1.
        suite: The TLS 1.3 suite, so that all servers use the same.
        staple_der: The staple that has to come.

    Attributes:
        many: How many times as much it does in one turn.
    """

    many = 1

    def __init__(self, port: int, suite: str, staple_der: bytes) -> None:
        self.port = port
        self.suite = suite
        self._staple_der = staple_der
        self._context = client_context(suite)

    def full(self, count: int) -> None:
        """Do full handshakes, each with one small answer, until the server closes."""
        self._spread(count, self._one)

    def resumed(self, count: int) -> None:
        """Do resumed handshakes, the same."""
        session = self._ticket()
        self._spread(count, lambda: self._one(session))

    def idle(self, count: int) -> list[SSL.Connection]:
        """Open connections and have one answer on each; they stay open."""
        connections: list[SSL.Connection] = []
        self._spread(count, lambda: connections.append(self._next(self.connect())))
        return connections

    def download(self, path: bytes, size: int, count: int) -> None:
        """Have a large body several times, over one connection."""
        connection = self.connect()
        for _ in range(count):
            self._body(connection, path, size)
        _close(connection)

    def digest(self, path: bytes, size: int) -> bytes:
        """Have a large body once, and return its SHA-256."""
        digest = hashlib.sha256()
        connection = self.connect()
        self._body(connection, path, size, digest.update)
        _close(connection)
        return digest.digest()

    def connect(self, session: SSL.Session | None = None) -> SSL.Connection:
        """Do a handshake, and look at what came of it."""
        stream = socket.create_connection(("127.0.0.1", self.port))
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, PATIENCE)
        connection = SSL.Connection(self._context, stream)
        connection.set_tlsext_host_name(b"bench.example")
        connection.set_connect_state()
        connection.request_ocsp()
        if session is not None:
            connection.set_session(session)
        connection.do_handshake()
        if session is None:
            if connection.get_app_data() != self._staple_der:
                raise WrongAnswer("no staple, or another one")
        elif not calls.resumed(connection):
            raise WrongAnswer("not resumed")
        return connection

    def _one(self, session: SSL.Session | None = None) -> SSL.Session | None:
        connection = self.connect(session)
        connection.send(ONE)
        received = b""
        try:
            while True:
                received += connection.recv(4096)
        except SSL.ZeroReturnError:
            pass
        if not received.endswith(BODY):
            raise WrongAnswer(received)
        # The tickets came before the answer.
        found = connection.get_session() if session is None else None
        _close(connection)
        return found

    def _ticket(self) -> SSL.Session:
        session = self._one()
        if session is None:
            raise WrongAnswer("no session")
        return session

    def _next(self, connection: SSL.Connection) -> SSL.Connection:
        connection.send(NEXT % b"/")
        received = b""
        while not received.endswith(BODY):
            received += connection.recv(4096)
        return connection

    def _body(
        self, connection: SSL.Connection, path: bytes, size: int, see: Callable[[memoryview], object] | None = None
    ) -> None:
        connection.send(NEXT % path)
        received = b""
        while b"\r\n\r\n" not in received:
            received += connection.recv(4096)
        first = received.split(b"\r\n\r\n", 1)[1]
        left = size - len(first)
        if see:
            see(memoryview(first))
        buffer = bytearray(1 << 14)
        view = memoryview(buffer)
        while left > 0:
            length = connection.recv_into(buffer)
            left -= length
            if see:
                see(view[:length])
        if left < 0:
            raise WrongAnswer("more than the body")

    def _spread(self, count: int, work: Callable[[], object]) -> None:
        def share(number: int) -> None:
            for _ in range(number, count, THREADS):
                work()

        with ThreadPoolExecutor(THREADS) as pool:
            for done in [pool.submit(share, number) for number in range(THREADS)]:
                done.result()


class H2Load(Load):
    """Has the handshakes done by h2load, which asks for no staple."""

    many = 4  # each of its clients begins with a full handshake, and of those there are to be few among resumed ones

    def full(self, count: int) -> None:
        """Do full handshakes: each of its clients does its first one, the rest it would resume."""
        for start in range(0, count, CROWD):
            crowd = min(CROWD, count - start)
            self._run(crowd, crowd)

    def resumed(self, count: int) -> None:
        """Do resumed handshakes, but for one per client."""
        self._run(THREADS, count)

    def _run(self, clients: int, count: int) -> None:
        command = ["h2load", "--h1", "-t1", f"-c{clients}", f"-n{count}", "-H", "Connection: close"]
        command += [f"--tls13-ciphers={self.suite}", f"--groups={GROUP}", f"https://127.0.0.1:{self.port}/"]
        said = subprocess.run(command, check=True, capture_output=True, text=True, timeout=600).stdout
        if f" {count} succeeded" not in said:
            raise WrongAnswer(said)


def _keep_staple(connection: SSL.Connection, staple_der: bytes, _data: object) -> bool:
    connection.set_app_data(staple_der)
    return True


def _close(connection: SSL.Connection) -> None:
    # The other side may be gone already.
    with suppress(SSL.Error):
        connection.shutdown()
    connection.close()
