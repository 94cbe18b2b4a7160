"""Any endpoint string of Twisted's can staple: the program only has to ask for one.

    python examples/endpoint_string.py staple:8443:certificate=fullchain.pem:privateKey=privkey.pem

`twistd -n web --path . --listen staple:8443:certificate=fullchain.pem:privateKey=privkey.pem` does the same.
"""

import sys
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.task import react
from twisted.python.log import startLogging
from twisted.web.server import Site
from twisted.web.static import Data

page = Data(b"hello\n", "text/plain")
page.isLeaf = True  # for every path


async def main(reactor: Any, description: str) -> None:
    startLogging(sys.stdout)
    endpoint = serverFromString(reactor, description)
    await endpoint.listen(Site(page))
    await Deferred()


if __name__ == "__main__":
    react(lambda reactor: Deferred.fromCoroutine(main(reactor, *sys.argv[1:])))
