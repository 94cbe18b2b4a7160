"""A server in this process, on loopback, with a CA and its responder."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.logger import LogEvent, formatEvent, globalLogPublisher
from twisted.trial.unittest import TestCase

from staplesrv.server.config import load
from staplesrv.server.service import StaplesrvService
from staplesrv.testing import CertificateAuthority, OCSPResponder, listen


class ServedTestCase(TestCase):
    """One CA with its responder, a folder with files, and a configuration."""

    timeout = 30

    def setUp(self) -> None:
        """Write everything."""
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)
        self.authority = CertificateAuthority()
        self.responder = OCSPResponder(self.authority)
        self.running = listen(self.responder, reactor)
        self.addCleanup(lambda: Deferred.fromCoroutine(self.running.stop()))
        self.issue("localhost")
        (self.folder / "www").mkdir()
        (self.folder / "www" / "index.html").write_text("from www")
        self.events: list[LogEvent] = []
        globalLogPublisher.addObserver(self.events.append)
        self.addCleanup(globalLogPublisher.removeObserver, self.events.append)

    def issue(self, name: str, prefix: str = "") -> None:
        """Write a certificate and its key, in place of an earlier one."""
        self.authority.issue(name, responder_urls=[self.running.url]).write(self.folder, prefix=prefix)

    def write(self, *more: str, top: str = "", site: str = 'static = "www"') -> Path:
        """Write a configuration: a site for localhost, and whatever follows."""
        file = self.folder / "a.toml"
        first = f'certificate = "fullchain.pem"\nprivate_key = "privkey.pem"\n{site}\n'
        listening = top or 'listen = "tcp:0:interface=127.0.0.1"'
        file.write_text("\n".join([listening, "[[sites]]", first, *more]))
        return file

    def service(self, file: Path | None = None, **options: Any) -> StaplesrvService:
        """A server that is stopped at the end."""
        made = StaplesrvService(load(file or self.write()), reactor=reactor, **options)

        def stop() -> Any:
            if made.running:
                return made.stopService()
            for door in made.doors:
                door.ports.close()
            return None

        self.addCleanup(stop)
        return made

    async def started(self, file: Path | None = None, **options: Any) -> StaplesrvService:
        """A server that listens."""
        service = self.service(file, **options)
        service.privilegedStartService()
        service.startService()
        await self.said("serving on")
        return service

    async def said(self, words: str, times: int = 1) -> str:
        """Wait until something was logged; the line."""

        def found() -> list[str]:
            lines = [formatEvent(event) for event in self.events]
            return [line for line in lines if words in line]

        await self.until(lambda: len(found()) >= times, words)
        return found()[-1]

    async def until(self, condition: Callable[[], Any], what: str) -> None:
        """Wait for a condition."""
        for _ in range(1500):
            if condition():
                return
            await deferLater(reactor, 0.01, lambda: None)
        self.fail(f"waited in vain for {what}: {[formatEvent(event) for event in self.events]}")

    def port(self, service: StaplesrvService) -> int:
        """Where it listens."""
        return int(service.doors[0].addresses[0][1])
