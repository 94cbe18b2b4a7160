"""The PROXY protocol in front of TLS handshakes, from those who are trusted to say who a client is."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress

from staplesrv.http.proxy_protocol import BadProxyHeader, parse
from staplesrv.tls.addresses import Address
from staplesrv.tls.preamble import BadPreamble, MakePreamble, Preamble

Networks = Sequence[IPv4Network | IPv6Network]


class ProxyPreamble:
    """A header of the PROXY protocol, version 1 or 2: a `tls.preamble.Preamble`.

    Attributes:
        peer: Who the client is, once complete; None where the sender speaks for itself, or of no IP address.
    """

    def __init__(self) -> None:
        self.peer: Address | None = None
        self._come = b""

    def feed(self, data: bytes) -> int | None:
        """Take the next bytes; see `Preamble`."""
        before = len(self._come)
        self._come += data
        try:
            found = parse(self._come)
        except BadProxyHeader as error:
            raise BadPreamble(*error.args) from error
        if found is None:
            return None
        header, length = found
        if header.client is not None:
            host, port = header.client
            self.peer = (IPv6Address if ":" in host else IPv4Address)("TCP", host, port)
        return length - before


def proxy_preambles(trusted: Networks) -> MakePreamble:
    """Return what tells whether a connection begins with a header: those from trusted addresses do, and must.

    Args:
        trusted: Networks of load balancers. Whoever can open a UNIX socket is trusted too: its permissions say who.
    """

    def make(address: Address) -> Preamble | None:
        return ProxyPreamble() if isinstance(address, UNIXAddress) or _within(address.host, trusted) else None

    return make


def _within(host: str, networks: Networks) -> bool:
    found = ip_address(host.partition("%")[0])
    # As a socket for both families shows those of IPv4.
    found = getattr(found, "ipv4_mapped", None) or found
    return any(found in network for network in networks)
