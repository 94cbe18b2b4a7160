"""A TLS client on a real socket, in turns with the server's reactor."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import Any, Self

from tls.hand_reactor import HandReactor

from staplesrv.tls.client import StapleClient


class Caller:
    """One client.

    Args:
        reactor: The server's.
        address: Where it listens.
        family: AF_INET, AF_INET6 or AF_UNIX.
        source: The client's own address.
        options: For `StapleClient`.

    Attributes:
        socket: Not blocking.
        ended: How the connection ended: `closed`, `reset`; empty while it has not.
        got: The application bytes that came.
        raw: Everything that came.
    """

    def __init__(
        self,
        reactor: HandReactor,
        address: Any,
        *,
        family: int = socket.AF_INET,
        source: str | None = None,
        **options: Any,
    ) -> None:
        self._reactor = reactor
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        if source is not None:
            self.socket.bind((source, 0))
        # The kernel answers for the server up to the backlog.
        self.socket.connect(address)
        self.socket.setblocking(False)
        self.tls = StapleClient(**{"server_name": "a.example", **options})
        self.ended = ""
        self.got = b""
        self.raw = b""
        self._out = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def pump(self) -> None:
        """Send what there is to send, and take what has come."""
        try:
            self._out += self.tls.outgoing()
            if self._out:
                with suppress(BlockingIOError, BrokenPipeError):
                    self._out = self._out[self.socket.send(self._out) :]
            data = self.socket.recv(1 << 18)
        except BlockingIOError:
            return
        except ConnectionResetError:
            self.ended = self.ended or "reset"
            return
        if data:
            self.raw += data
            self.tls.incoming(data)
            self.got += self.tls.received()
        else:
            self.ended = self.ended or "closed"

    def shake_hands(self) -> Self:
        """Do the handshake, up to the moment at which the server is done with it too."""
        self.until(lambda: self.tls.done and not self._out)
        self.pump()
        self._reactor.settle()
        self.pump()
        return self

    def send(self, data: bytes) -> None:
        """Send application bytes, as far as the socket takes them."""
        self.tls.send(data)
        self.pump()

    def send_raw(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.socket.sendall(data)

    def until(self, condition: Any) -> None:
        """Go on until a condition holds."""
        self._reactor.until(condition, meanwhile=[self.pump])

    def wait_for(self, data: bytes) -> None:
        """Go on until these application bytes have come, and no others."""
        self.until(lambda: len(self.got) >= len(data) or self.ended)
        assert self.got == data
        self.got = b""

    def end(self) -> str:
        """Go on until the server ends the connection; say how."""
        self.until(lambda: self.ended)
        return self.ended
