"""What Twisted's own tests listen and connect with here: this project's server, and Twisted's TLS client."""

from __future__ import annotations

import atexit
import shutil
import socket
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from twisted.internet.endpoints import SSL4ClientEndpoint, TCP4ClientEndpoint
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from twisted.internet.ssl import ClientContextFactory
from twisted.internet.task import Clock
from twisted.internet.test.connectionmixins import EndpointCreator
from twisted.internet.test.test_tls import StartTLSClientEndpoint

from staplesrv.testing import CertificateAuthority
from staplesrv.tls.connections import Connections
from staplesrv.tls.context_factory import ContextFactory
from staplesrv.tls.endpoint import StapleServerEndpoint
from staplesrv.tls.limits import Limits
from staplesrv.tls.port import TLSPort
from staplesrv.tls.site import SiteCertificate
from staplesrv.tls.stapler import Stapler


@cache
def site() -> SiteCertificate:
    """Make a certificate that names no responder: a stapler is ready with it at once."""
    directory = Path(mkdtemp(prefix="staplesrv-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    leaf = CertificateAuthority("a CA for a test").issue("example.com")
    leaf.write(directory)
    return SiteCertificate(directory / "fullchain.pem", directory / "privkey.pem")


@cache
def context_factory() -> ContextFactory:
    """Make what ports share where there is no endpoint, whose stapler would have made it."""
    stapler = Stapler([site()], reactor=Clock())
    stapler.load()
    return stapler.context_factory()


def listen(
    reactor: Any, factory: Any, port: int = 0, interface: str = "", connections: Connections | None = None
) -> IListeningPort:
    """Listen at once, as `reactor.listenSSL` does; an endpoint takes a turn of the reactor for it."""
    ((family, _, _, _, address), *_) = socket.getaddrinfo(
        interface or "0.0.0.0", port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST
    )
    with socket.socket(family) as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind(address)
        except OSError as error:
            raise CannotListenError(interface, port, error) from error
        bound.listen(50)
        listening = TLSPort(reactor, bound, factory, context_factory(), connections or Connections(Limits(), reactor))
    listening.startListening()
    return listening


class StapleCreator(EndpointCreator):
    """Our endpoint, and the client that Twisted's own tests of TLS use."""

    def server(self, reactor: Any) -> Any:
        """Return our endpoint, with a stapler that lives on the same reactor."""
        stapler = Stapler([site()], reactor=reactor)
        return StapleServerEndpoint(reactor, "tcp:0:interface=127.0.0.1", stapler, own_stapler=True)

    def client(self, reactor: Any, serverAddress: Any) -> Any:
        """Return Twisted's own client, which looks at no certificate."""
        return SSL4ClientEndpoint(reactor, "127.0.0.1", serverAddress.port, ClientContextFactory())


class StartTLSCreator(StapleCreator):
    """Our endpoint, and a client that connects in clear text and starts TLS at once."""

    def client(self, reactor: Any, serverAddress: Any) -> Any:
        """Return Twisted's own client of the kind."""
        plain = TCP4ClientEndpoint(reactor, "127.0.0.1", serverAddress.port)
        return StartTLSClientEndpoint(plain, ClientContextFactory())
