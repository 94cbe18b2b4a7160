"""A look at ourselves as a client would take it: does exactly the staple that is held come out of a handshake?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from OpenSSL import SSL

from staplesrv.tls.certificate import CertificateBundle
from staplesrv.tls.client import Authentication, HandshakeFailed, Seen, StapleClient
from staplesrv.tls.connection import ServerConnection
from staplesrv.tls.live_site import LiveSite
from staplesrv.tls.loaded import kind
from staplesrv.tls.sni import normal_name

MAX_CHECKED = 100
"""Sites looked at; of more, as many evenly spread ones. A look takes 2 ms."""

_TURNS = 10
_CHUNK = 1 << 16


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A handshake that did not show what it should.

    Args:
        where: The site.
        problem: What came instead.
    """

    where: str
    problem: str


def sample(sites: Sequence[LiveSite]) -> Sequence[LiveSite]:
    """Pick what to look at."""
    step = max(1, -(-len(sites) // MAX_CHECKED))
    return sites[::step]


def check_site(site: LiveSite, connect: Callable[[], ServerConnection], now: float) -> Iterator[Mismatch]:
    """Do one handshake per certificate of a site that has a staple, uncounted.

    Args:
        site: One that is served now.
        connect: Makes a server connection that speaks TLS 1.2 and 1.3.
        now: Seconds since the epoch.
    """
    for bundle, entry in zip(site.loaded.bundles, site.entries, strict=True):
        if entry.fresh(now) and (problem := _problem(site, bundle, connect, now)):
            yield Mismatch(site.where, problem)


def _problem(site: LiveSite, bundle: CertificateBundle, connect: Callable[[], ServerConnection], now: float) -> str:
    try:
        seen = _handshake(_client(site, bundle), connect())
    except HandshakeFailed as error:
        return f"a handshake in memory failed: {error}"
    return _compare(site, seen, now)


def _compare(site: LiveSite, seen: Seen, now: float) -> str:
    shown = {bundle.leaf: entry for bundle, entry in zip(site.loaded.bundles, site.entries, strict=True)}
    entry = shown.get(seen.leaf)
    if entry is None:
        return "another site's certificate came out of a handshake in memory"
    expected = entry.held.response_der if entry.held is not None and entry.fresh(now) else b""
    if seen.staple == expected:
        return ""
    came = f"{len(seen.staple)} bytes" if seen.staple else "nothing"
    return f"of a staple of {len(expected)} bytes, {came} came out of a handshake in memory"


def _client(site: LiveSite, bundle: CertificateBundle) -> StapleClient:
    names = (*site.names, *site.implied_names)
    server_name = next((name for name in map(_server_name, names) if name), None)
    key = kind(bundle.private_key)
    # Which of two certificates is shown can be chosen by RSA or ECDSA, in TLS 1.2 alone.
    several = len(site.loaded.bundles) > 1 and key in ("RSA", "ECDSA")
    authentication: Authentication | None = ("rsa" if key == "RSA" else "ecdsa") if several else None
    return StapleClient(server_name=server_name, authentication=authentication)


def _server_name(name: str) -> str | None:
    try:
        normal = normal_name(name)
    except ValueError:
        return None
    return None if normal is None else normal.decode().replace("*", "staplesrv-self-check", 1)


def _handshake(client: StapleClient, server: ServerConnection) -> Seen:
    server.set_accept_state()
    server.probe = True
    for _ in range(_TURNS):
        if outgoing := client.outgoing():
            server.bio_write(outgoing)
        try:
            server.do_handshake()
        except SSL.WantReadError:
            pass
        except SSL.Error as error:
            raise HandshakeFailed(f"the server's side: {error}") from error
        _deliver(server, client)
        if client.done:
            return client.seen
    raise HandshakeFailed("it did not come to an end")


def _deliver(server: ServerConnection, client: StapleClient) -> None:
    try:
        client.incoming(server.bio_read(_CHUNK))
    except SSL.WantReadError:
        return
