"""The real `openssl ocsp` asks the responder, and judges its answers by its own rules."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from tempfile import mkdtemp
from unittest import SkipTest

from cryptography.hazmat.primitives.serialization import Encoding
from twisted.internet import defer, reactor
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from staplesrv.testing import CertificateAuthority, OCSPResponder, listen

ACCEPTED = ["good", "delegated", "by-key-hash", "pss", "two-singles"]
REFUSED = {
    "bad-signature": "verify failure",
    "foreign-signer": "verify failure",
    "impostor": "verify failure",
    "expired-signer": "verify failure",
    "signer-without-eku": "verify failure",
    "signer-not-sent": "signer certificate not found",
    "wrong-responder-id": "signer certificate not found",
    "wrong-nonce": "Nonce Verify error",
    "expired": "status expired",
    "future": "status not yet valid",
    "backwards": "nextupdate before thisupdate",
    "wrong-cert-id": "No Status found",
    "no-singles": "No Status found",
    "unauthorized": "unauthorized",
    "try-later": "trylater",
    "malformed-request": "malformedrequest",
    "internal-error": "internalerror",
    "sig-required": "sigrequired",
    "http-404": "Error querying OCSP responder",
    "garbage": "Error querying OCSP responder",
}


def openssl() -> str:
    """The program; a skip where it is missing, a failure where everything is required."""
    found = shutil.which("openssl")
    if found is None and os.environ.get("STAPLESRV_REQUIRE_ALL") != "1":
        raise SkipTest("openssl is not installed")
    assert found is not None, "openssl is not installed"
    return found


class OpenSSLClientTests(TestCase):
    """What `openssl ocsp` says of each behaviour that it has an opinion about."""

    timeout = 60

    def setUp(self) -> None:
        """Start a responder for a leaf below an intermediate."""
        self.program = openssl()
        root = CertificateAuthority()
        self.ca = root.intermediate()
        self.responder = OCSPResponder(self.ca)
        self.running = listen(self.responder, reactor)
        self.addCleanup(lambda: defer.ensureDeferred(self.running.stop()))
        self.leaf = self.ca.issue("example.org", responder_urls=[self.running.url])
        self.folder = Path(mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        (self.folder / "root.pem").write_bytes(root.pem)
        (self.folder / "issuer.pem").write_bytes(self.ca.pem)
        (self.folder / "leaf.pem").write_bytes(self.leaf.certificate.public_bytes(Encoding.PEM))

    async def ask(self, *options: str) -> str:
        """Ask about the leaf; all that openssl has to say."""
        command = [self.program, "ocsp", "-CAfile", "root.pem", "-issuer", "issuer.pem", *options]
        command += ["-cert", "leaf.pem", "-url", self.running.url, "-timeout", "10"]
        ran = await deferToThread(
            subprocess.run, command, cwd=self.folder, check=False, capture_output=True, text=True, timeout=30
        )
        return str(ran.stdout + ran.stderr)

    async def test_good_answers_are_accepted(self) -> None:
        """Openssl verifies every good answer and says good, and that of a nonce of its own nothing is amiss."""
        for behaviour in ACCEPTED:
            self.responder.behaviour = behaviour
            said = await self.ask()
            assert "Response verify OK" in said, (behaviour, said)
            assert "leaf.pem: good" in said, (behaviour, said)
            assert "nonce" not in said.lower(), (behaviour, said)

    async def test_every_hash_is_understood(self) -> None:
        """Asked under each hash the responder answers about the same certificate."""
        for name in ("sha1", "sha256", "sha384", "sha512"):
            assert "leaf.pem: good" in await self.ask(f"-{name}")
            cert_id = self.responder.requests[-1].cert_id
            assert cert_id is not None
            assert (cert_id.hash_name, cert_id.serial_number) == (name, self.leaf.certificate.serial_number)

    async def test_revoked_and_unknown_are_told(self) -> None:
        """A verified answer that is not good is told as what it is."""
        self.responder.behaviour = ["revoked", "unknown"]
        said = await self.ask()
        assert "Response verify OK" in said
        assert "leaf.pem: revoked" in said
        assert "Reason: keyCompromise" in said
        assert "leaf.pem: unknown" in await self.ask()

    async def test_bad_answers_are_refused(self) -> None:
        """Openssl refuses each bad answer that it looks at closely enough, for the reason meant."""
        for behaviour, reason in REFUSED.items():
            self.responder.behaviour = behaviour
            said = await self.ask()
            assert reason.lower() in said.lower(), (behaviour, said)
