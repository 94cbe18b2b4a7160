"""A client that costs little, for tests with very many of them: one context for all, and blocking sockets.

A test with several in flight sends with all of them before it waits for the first: the server works on the others
meanwhile.
"""

from __future__ import annotations

import os
import resource
import socket
import struct
from collections.abc import Iterator
from itertools import cycle
from typing import Any

import pytest
from OpenSSL import SSL

# Connections that the client ends leave their port waiting for a minute: with one address there would be too few.
_SOURCES = cycle(f"127.0.0.{number}" for number in range(2, 34))
_CHUNK = 1 << 16


def client_context(staples: list[int]) -> SSL.Context:
    """Make a context that asks for staples, and adds the length of each to a list."""
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)

    def came(_connection: SSL.Connection, staple: bytes, _data: object) -> bool:
        staples.append(len(staple))
        return True

    context.set_ocsp_client_callback(came)
    return context


def need_descriptors(count: int) -> None:
    """Raise the limit of descriptors for this process and those that it starts; a skip where it can't be so high."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count:
        message = f"{count} descriptors are not allowed here, {hard} are"
        if os.environ.get("STAPLESRV_REQUIRE_ALL") == "1":
            pytest.fail(message)
        pytest.skip(message)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count), hard))


class Visitor:
    """One connection.

    Args:
        port: On loopback.
        context: From `client_context`.

    Attributes:
        bytes: How many have gone through `shake_hands` and later, in both directions.
    """

    def __init__(self, port: int, context: SSL.Context) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 30, (next(_SOURCES), 0))
        self.tls: Any = SSL.Connection(context, None)
        self.tls.set_connect_state()
        self.tls.request_ocsp()
        self.bytes = 0

    def shake_hands(self) -> Iterator[None]:
        """Do the handshake; yields whenever it is the server's turn."""
        while not self._is_done():
            self._flush()
            yield
            self._take()
        self._flush()

    def break_off(self, byte: int, *, reset: bool) -> Iterator[None]:
        """Do the handshake up to a byte of either side's, and go; yields whenever it is the server's turn."""
        while not self._is_done():
            out = self.tls.bio_read(_CHUNK)
            self.socket.sendall(out[:byte])
            byte -= len(out)
            if byte <= 0:
                break
            yield
            data = self.socket.recv(min(byte, _CHUNK))
            byte -= len(data)
            if byte <= 0:
                break
            self.tls.bio_write(data)
        self.leave(reset=reset)

    def send(self, data: bytes) -> None:
        """Send data."""
        self.tls.sendall(data)
        self._flush()

    def receive(self, size: int) -> bytes:
        """Wait for so much data."""
        data = b""
        while len(data) < size:
            try:
                data += self.tls.recv(size - len(data))
            except SSL.WantReadError:
                self._take()
        return data

    def take_all(self) -> None:
        """Take in whatever is there."""
        self._take()

    @property
    def ended(self) -> bool:
        """Whether the server has said goodbye, as far as was taken in."""
        try:
            self.tls.recv(1, socket.MSG_PEEK)
        except SSL.WantReadError:
            return False
        except SSL.ZeroReturnError:
            return True
        return False

    def leave(self, *, goodbye: bool = False, reset: bool = False) -> None:
        """Close, with close_notify or without, with a reset or without."""
        if goodbye:
            self.tls.shutdown()
            self._flush()
        if reset:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def _is_done(self) -> bool:
        try:
            self.tls.do_handshake()
        except SSL.WantReadError:
            return False
        return True

    def _flush(self) -> None:
        try:
            while True:
                data = self.tls.bio_read(_CHUNK)
                self.socket.sendall(data)
                self.bytes += len(data)
        except SSL.WantReadError:
            pass

    def _take(self) -> None:
        data = self.socket.recv(_CHUNK)
        if not data:
            raise EOFError("the server closed the connection")
        self.bytes += len(data)
        self.tls.bio_write(data)
