"""HTTP/1.1 over a wire in memory, and sites without certificates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.web.resource import IResource

from staplesrv.server.web.hosts import Hosts
from staplesrv.server.web.web_site import WebSite
from staplesrv.tls.site import SiteCertificate
from staplesrv.tls.sni import SiteTable


@dataclass(frozen=True)
class FakeLoaded:
    """What a fake site's files say."""

    certificate: SiteCertificate


@dataclass(frozen=True, eq=False)
class FakeSite:
    """A site as hosts see it."""

    loaded: FakeLoaded
    names: tuple[str, ...]
    implied_names: tuple[str, ...] = ()
    where: str = "fake"


def fake_site(*names: str, file: str = "") -> FakeSite:
    """A site with these names, and the certificate file of its first name unless another is given."""
    return FakeSite(FakeLoaded(SiteCertificate(Path(file or names[0]), names=names)), names)


def hosts_of(sites: Iterable[FakeSite], resources: Mapping[str, IResource]) -> Hosts:
    """Hosts for some sites, with a resource per first name."""
    table: Any = SiteTable(tuple(sites))
    behind = {site.loaded.certificate: resources[site.names[0]] for site in table.sites if site.names[0] in resources}
    return Hosts(lambda: table, behind)


def web_site(resource: IResource) -> WebSite:
    """One site that answers for every host."""
    return WebSite(hosts_of([fake_site("only.example")], {"only.example": resource}), ["http/1.1"], reactor)


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes


class Wire(StringTransport):
    """A transport that tells when the server hangs up."""

    def __init__(self) -> None:
        super().__init__()
        self.gone: Deferred[None] = Deferred()

    def loseConnection(self) -> None:
        """The server is done."""
        super().loseConnection()
        if not self.gone.called:
            self.gone.callback(None)

    abortConnection = loseConnection


async def send(site: WebSite, data: bytes) -> bytes:
    """Send bytes to a site that close the connection at their end; everything that comes back."""
    wire = Wire()
    protocol = site.buildProtocol(None)
    assert protocol is not None
    protocol.makeConnection(wire)
    protocol.dataReceived(data)
    await wire.gone
    protocol.connectionLost(Failure(ConnectionDone()))
    return wire.value()


async def ask(site: WebSite, target: str | bytes, method: str = "GET", **headers: str) -> Answer:
    """Send one request; header names have underscores for dashes."""
    lines = [b"%s %s HTTP/1.1" % (method.encode(), target if isinstance(target, bytes) else target.encode())]
    given = {"host": "only.example", "connection": "close", **headers}
    lines += [f"{name.replace('_', '-')}: {value}".encode("latin-1") for name, value in given.items()]
    head, _, body = (await send(site, b"\r\n".join(lines) + b"\r\n\r\n")).partition(b"\r\n\r\n")
    status, *fields = head.decode("latin-1").split("\r\n")
    found = {name.lower(): value for name, _, value in (field.partition(": ") for field in fields)}
    return Answer(int(status.split()[1]), found, body)
