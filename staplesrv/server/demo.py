"""`twistd staplesrv --demo`: a throw-away CA, its OCSP responder and a page, all inside one process.

The responder's answers live two minutes, so that somebody who watches sees a staple being replaced.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, TextIO

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from staplesrv.errors import OperatorError
from staplesrv.http.twisted_web.application import TwistedWeb
from staplesrv.http.twisted_web.quiet_site import QuietSite
from staplesrv.ops import text
from staplesrv.server.config import Configuration
from staplesrv.server.configuration.content import Resource
from staplesrv.server.configuration.listener import short_listeners
from staplesrv.server.configuration.place import CommandLine
from staplesrv.server.configuration.site import Site
from staplesrv.server.demo_page import DemoPage
from staplesrv.server.hosts import Behind
from staplesrv.server.privileges import Identity
from staplesrv.server.service import StaplesrvService
from staplesrv.staples.cache import Held
from staplesrv.staples.settings import Settings
from staplesrv.testing import CertificateAuthority, OCSPResponder
from staplesrv.tls.bound_ports import BoundPorts
from staplesrv.tls.site import SiteCertificate

LIFETIME = timedelta(minutes=2)
DEFAULT_LISTEN = "tcp:8443:interface=127.0.0.1"
NAMES = ("localhost", "127.0.0.1", "::1")
"""What the certificate is for; the first one stands in URLs."""

_RESPONDER_LISTEN = "tcp:0:interface=127.0.0.1"
_LOOK_EVERY = 1.0
_PLACE = CommandLine()

_log = Logger()


class Demo(MultiService):
    """The demonstration: a service that brings along all that it needs, and leaves nothing behind.

    Args:
        reactor: The reactor.
        endpoints: Where to listen; `DEFAULT_LISTEN` where there are none.
        identity: Who the process will be, and so who has to clear away; None if it stays who it is.
        give_up: See `StaplesrvService`.
        out: Where the commands to try are printed; the standard output as it is now, before twistd turns whatever goes
            there into log lines.

    Attributes:
        folder: Where the certificates are.
        ca_file: The CA's certificate, for clients.
        responder: The responder.
        server: The server.

    Raises:
        OperatorError: an endpoint can't be used.
    """

    def __init__(
        self,
        reactor: Any,
        endpoints: Sequence[str] = (),
        *,
        identity: Identity | None = None,
        give_up: Callable[[OperatorError], object] | None = None,
        out: TextIO | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Twisted's has no annotations
        listeners = tuple(short_listeners(list(endpoints or [DEFAULT_LISTEN]), _PLACE))
        self._out = out or sys.stdout
        self.folder = Path(tempfile.mkdtemp(prefix="staplesrv-demo-"))
        self.ca_file = self.folder / "ca.pem"
        authority = CertificateAuthority("staplesrv demo CA")
        self.responder = OCSPResponder(authority)
        self.responder.lifetime = LIFETIME
        # There is no use for conditional requests: each answer is a new one.
        self.responder.conditional = False
        self._reactor = reactor
        self._responder_port = BoundPorts.bind(reactor, _RESPONDER_LISTEN)
        certificate = self._write(authority, identity)
        site = Site(certificate, Resource("demo"), _PLACE)
        self.server = StaplesrvService(
            Configuration(listeners, (site,), Settings(), None, None, _PLACE),
            reactor=reactor,
            give_up=give_up,
            started=self._started,
        )
        self._page = DemoPage(self.server.stapler, self.responder)
        self._held: Held | None = None
        self._looking = LoopingCall(self._look)
        self._looking.clock = reactor
        self.server.premises.behind = {certificate: Behind(TwistedWeb(self._page, reactor))}
        self.server.setServiceParent(self)  # type: ignore[no-untyped-call]  # as above
        try:
            self.server.prepare()
        except OperatorError:
            self._responder_port.close()
            self._remove()
            raise

    @property
    def responder_url(self) -> str:
        """Where the responder is."""
        host, port = self._responder_port.addresses[0]
        return f"http://{host}:{port}/"

    def startService(self) -> None:
        """Start the responder, and the server that asks it."""
        site = QuietSite(self.responder, self._reactor)
        self._responder_port.listen(site)
        super().startService()  # type: ignore[no-untyped-call]  # as above

    def stopService(self) -> Deferred[Any]:
        """Stop everything and clear it away."""
        return Deferred.fromCoroutine(self._stop())

    def _write(self, authority: CertificateAuthority, identity: Identity | None) -> SiteCertificate:
        self.ca_file.write_bytes(authority.pem)
        files = authority.issue(*NAMES, responder_urls=[self.responder_url]).write(self.folder)
        if identity is not None:
            for path in (self.folder, *self.folder.iterdir()):
                os.chown(path, identity.uid, identity.gid)
        return SiteCertificate(*files)

    def _look(self) -> None:
        (site,) = self.server.stapler.stage.live
        held = site.entries[0].held
        if held is not None and held is not self._held:
            if self._held is not None:
                until = text.moment(held.staple.cut_off)
                _log.info("the staple was replaced by a new one, which is shown until {until}", until=until)
            self._held = held

    def _started(self, addresses: Sequence[Any]) -> None:
        self._looking.start(_LOOK_EVERY).addErrback(_unexpected)
        port = next((address[1] for address in addresses if isinstance(address, tuple)), None)
        if port is None:
            return
        self._page.commands = commands(port, self.ca_file)
        # A terminal that has gone is no reason to stop.
        with suppress(OSError, ValueError):
            self._out.write(greeting(port, self._page.commands))
            self._out.flush()

    async def _stop(self) -> None:
        if self._looking.running:
            self._looking.stop()
        await super().stopService()  # type: ignore[no-untyped-call]  # as above
        await self._responder_port.stopListening()
        self._remove()

    def _remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def _unexpected(failure: Failure) -> None:
    _log.failure("Looking at the staple failed", failure=failure)


def commands(port: int, ca_file: Path) -> tuple[str, str, str]:
    """Return the three commands to try, each a line for a shell."""
    host = f"{NAMES[0]}:{port}"
    return (
        f"openssl s_client -connect {host} -servername {NAMES[0]} -CAfile {ca_file} -status </dev/null",
        f"curl --cacert {ca_file} --cert-status https://{host}/staple.json",
        f"{_staplesrv()} check {host} --ca-file {ca_file}",
    )


def greeting(port: int, lines: Sequence[str]) -> str:
    """Return what is printed once the server listens."""
    shown = "\n".join(f"    {line}" for line in lines)
    return (
        f"\nstaplesrv demo on https://{NAMES[0]}:{port}/ - its CA and its OCSP responder are inside of this process.\n"
        f"Each OCSP response lives {LIFETIME.total_seconds():.0f} seconds, and is replaced at about half of that.\n"
        f"Try in a second terminal:\n\n{shown}\n\nCtrl-C ends it and removes its files.\n\n"
    )


def _staplesrv() -> str:
    """The command as a second terminal finds it: by name if that is this one, else by its path."""
    beside = Path(sys.executable).with_name("staplesrv")
    found = shutil.which("staplesrv")
    return "staplesrv" if not beside.exists() or (found is not None and Path(found) == beside) else str(beside)
