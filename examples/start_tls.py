"""A protocol that begins in the clear and upgrades with STARTTLS, as mail servers do; the upgrade is stapled.

    python examples/start_tls.py fullchain.pem privkey.pem 2525

Try it with `openssl s_client -starttls smtp -status -connect localhost:2525`.
"""

import sys
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.task import react
from twisted.protocols.basic import LineReceiver
from twisted.python.log import startLogging

from staplesrv import SiteCertificate, Stapler


class Mail(LineReceiver):
    """Just enough of SMTP to say hello, upgrade, and leave."""

    def connectionMade(self) -> None:
        """Greet the client."""
        self.sendLine(b"220 localhost ESMTP")

    def lineReceived(self, line: bytes) -> None:
        """Obey."""
        command = line.split(b" ")[0].upper()
        if command == b"EHLO":
            self.sendLine(b"250-localhost")
            self.sendLine(b"250 STARTTLS")
        elif command == b"STARTTLS":
            self.sendLine(b"220 go ahead")
            self.transport.startTLS(self.factory.context_factory)
        elif command == b"QUIT":
            self.sendLine(b"221 bye")
            self.transport.loseConnection()
        else:
            self.sendLine(b"502 not here")


async def main(reactor: Any, certificate: str, private_key: str, port: str) -> None:
    startLogging(sys.stdout)
    stapler = Stapler([SiteCertificate(certificate, private_key)], reactor=reactor)
    stapler.startService()
    reactor.addSystemEventTrigger("before", "shutdown", stapler.stopService)
    await stapler.ready()
    factory = Factory.forProtocol(Mail)
    factory.context_factory = stapler.context_factory()
    await TCP4ServerEndpoint(reactor, int(port)).listen(factory)
    await Deferred()


if __name__ == "__main__":
    react(lambda reactor: Deferred.fromCoroutine(main(reactor, *sys.argv[1:])))
