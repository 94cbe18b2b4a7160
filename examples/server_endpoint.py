"""`SSL4ServerEndpoint` with staples: a `Stapler` makes its context factory.

python examples/server_endpoint.py fullchain.pem privkey.pem 8443
"""

import sys
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import SSL4ServerEndpoint
from twisted.internet.task import react
from twisted.python.log import startLogging
from twisted.web.server import Site
from twisted.web.static import Data

from staplesrv import SiteCertificate, Stapler

page = Data(b"hello\n", "text/plain")
page.isLeaf = True  # for every path


async def main(reactor: Any, certificate: str, private_key: str, port: str) -> None:
    startLogging(sys.stdout)
    stapler = Stapler([SiteCertificate(certificate, private_key)], reactor=reactor)
    stapler.startService()
    reactor.addSystemEventTrigger("before", "shutdown", stapler.stopService)
    await stapler.ready()  # the first client gets a staple too
    endpoint = SSL4ServerEndpoint(reactor, int(port), stapler.context_factory())
    await endpoint.listen(Site(page))
    await Deferred()


if __name__ == "__main__":
    react(lambda reactor: Deferred.fromCoroutine(main(reactor, *sys.argv[1:])))
