"""Twisted Web as it comes: the same sites behind Twisted's own `ssl:` endpoint."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ten_lines import Small
from twisted.internet import reactor as global_reactor
from twisted.internet.endpoints import quoteStringArgument, serverFromString
from twisted.web.proxy import ReverseProxyResource
from twisted.web.server import Site
from twisted.web.static import File
from twisted.web.vhost import NameVirtualHost

reactor: Any = global_reactor


def main() -> None:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--backend", type=int, required=True)
    for name in ("certificate", "key", "www"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    chosen = parser.parse_args()
    hosts = NameVirtualHost()
    hosts.addHost(b"files.example", File(str(chosen.www)))
    hosts.addHost(b"proxy.example", ReverseProxyResource("127.0.0.1", chosen.backend, b""))
    hosts.addHost(b"resource.example", Small())
    certificate, key = (quoteStringArgument(str(path)) for path in (chosen.certificate, chosen.key))
    where = f"ssl:{chosen.port}:interface=127.0.0.1:privateKey={key}:certKey={certificate}:extraCertChain={certificate}"
    serverFromString(reactor, where).listen(Site(hosts))
    reactor.run()


if __name__ == "__main__":
    main()
