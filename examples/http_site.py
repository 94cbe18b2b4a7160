"""A Twisted Web resource over HTTP/1.1 and HTTP/2, with staples: `HTTPSite` in place of Twisted's `Site`.

python examples/http_site.py fullchain.pem privkey.pem 8443
"""

import sys
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import react
from twisted.python.log import startLogging
from twisted.web.static import Data

from staplesrv import HTTPSite, SiteCertificate, Stapler, StapleServerEndpoint

page = Data(b"hello\n", "text/plain")
page.isLeaf = True  # for every path


async def main(reactor: Any, certificate: str, private_key: str, port: str) -> None:
    startLogging(sys.stdout)
    stapler = Stapler([SiteCertificate(certificate, private_key)], reactor=reactor)
    endpoint = StapleServerEndpoint(reactor, f"tcp:{port}", stapler, own_stapler=True)
    await endpoint.listen(HTTPSite(page, reactor))
    await Deferred()


if __name__ == "__main__":
    react(lambda reactor: Deferred.fromCoroutine(main(reactor, *sys.argv[1:])))
