"""The certificate that all servers show, and its staple."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from staplesrv.testing import CertificateAuthority


@dataclass(frozen=True, slots=True)
class Site:
    """Files in a folder.

    Args:
        folder: Where every server sees it under the same name.
    """

    folder: Path

    @property
    def certificate(self) -> Path:
        """The chain of two, leaf first."""
        return self.folder / "fullchain.pem"

    @property
    def key(self) -> Path:
        """Its key."""
        return self.folder / "privkey.pem"

    @property
    def staple(self) -> Path:
        """The OCSP response, DER."""
        return self.folder / "staple.der"

    @property
    def root(self) -> Path:
        """What clients trust."""
        return self.folder / "root.pem"

    def fill(self, *names: str) -> None:
        """Make a certificate of P-256 for some names, with a chain of two, and its staple."""
        root = CertificateAuthority("bench root")
        authority = root.intermediate("bench issuing CA")
        leaf = authority.issue(*names)
        leaf.write(self.folder)
        self.root.write_bytes(root.pem)
        self.staple.write_bytes(authority.respond(leaf))
