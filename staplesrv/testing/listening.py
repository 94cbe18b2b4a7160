"""A responder on a real port."""

from __future__ import annotations

from typing import Any, Final

from twisted.internet import defer
from twisted.internet.interfaces import IReactorTime
from twisted.protocols import policies
from twisted.web.server import Site

from staplesrv.testing.responder import OCSPResponder


class RunningResponder:
    """A responder that listens.

    Args:
        responder: The responder.
        reactor: Where to listen.
        port: The port; 0 takes a free one.
        interface: The address.

    Attributes:
        responder: The responder, to set how it behaves.
        port: The port it listens on.
        url: Its URL, for certificates.
        issuer_url: Where its first CA's certificate is, DER.
    """

    def __init__(self, responder: OCSPResponder, reactor: Any, port: int, interface: str) -> None:
        self.responder: Final = responder
        self._factory = _Tracking(_site(responder, reactor))
        self._listening = reactor.listenTCP(port, self._factory, interface=interface)
        self.port: Final[int] = self._listening.getHost().port
        host = f"[{interface}]" if ":" in interface else interface
        self.url: Final = f"http://{host}:{self.port}/"
        self.issuer_url: Final = f"{self.url}issuer.der"

    async def stop(self) -> None:
        """Close the port and every connection; ends when they are closed. Once more is no harm."""
        await defer.maybeDeferred(self._listening.stopListening)
        await self._factory.drop_all()


class _Tracking(policies.WrappingFactory):
    """Knows the connections that are open."""

    noisy = False

    def __init__(self, wrapped: Any) -> None:
        super().__init__(wrapped)  # type: ignore[no-untyped-call]
        self._waiting: list[defer.Deferred[None]] = []

    def unregisterProtocol(self, protocol: Any) -> None:
        super().unregisterProtocol(protocol)  # type: ignore[no-untyped-call]
        if not self.protocols:
            waiting, self._waiting = self._waiting, []
            for waiter in waiting:
                waiter.callback(None)

    async def drop_all(self) -> None:
        """Abort every connection and wait until the last one is gone."""
        if not self.protocols:
            return
        gone: defer.Deferred[None] = defer.Deferred()
        self._waiting.append(gone)
        for protocol in list(self.protocols):
            protocol.transport.abortConnection()
        await gone


def _site(responder: OCSPResponder, reactor: IReactorTime) -> Site:
    site = Site(responder, reactor=reactor)  # type: ignore[no-untyped-call]
    site.noisy = False
    return site


def listen(responder: OCSPResponder, reactor: Any, port: int = 0, *, interface: str = "127.0.0.1") -> RunningResponder:
    """Put a responder on a port.

    Args:
        responder: The responder; its clock is set to the reactor where it has none.
        reactor: Where to listen: it provides IReactorTCP and IReactorTime.
        port: The port; 0 takes a free one.
        interface: The address.

    Returns:
        The running responder: its URL, and how to stop it.
    """
    if responder.clock is None:
        responder.clock = reactor
    return RunningResponder(responder, reactor, port, interface)
