"""What an operator says about one site's certificates."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from staplesrv.errors import OperatorError

Paths = str | Path | Iterable[str | Path]

ClientAuth = Literal["off", "request", "require"]
"""Whether clients are asked for a certificate, and whether they may come without."""


@dataclass(frozen=True, slots=True)
class SiteCertificate:
    """One site: its names, and the files with its certificates.

    Paths may be given as text, as `Path`, or as several of these for RSA beside ECDSA; they are kept as tuples.

    Args:
        certificate: PEM files, leaf first, each with its chain.
        private_key: The keys' files, in the order of the certificates. Left out, they are in the same files.
        names: DNS names, wildcards and IP addresses to answer for; left out, the certificates' own.
        issuer: PEM file with the issuer, for chains that lack it.
        responder: URL to ask instead of the certificate's own; "" means never ask.
        staple_file: File to take the response from instead of a responder; one per certificate where there are several.
        must_staple: "serve" without a staple, or "refuse" handshakes for these names.
        protocols: ALPN names for the site, the preferred one first, where they are not the listener's; empty takes
            clients whatever they offer, and picks nothing, for what is behind a tunnel.
        client_ca: PEM files with the CAs whose certificates clients are asked for.
        client_auth: "off", "request" a certificate, or "require" one; left out, "require" where there is a `client_ca`.

    Raises:
        OperatorError: the numbers of files don't agree, or a choice is none.
    """

    certificate: tuple[Path, ...]
    private_key: tuple[Path, ...]
    names: tuple[str, ...]
    issuer: Path | None
    responder: str | None
    staple_file: tuple[Path, ...]
    must_staple: Literal["serve", "refuse"]
    protocols: tuple[bytes, ...] | None
    client_ca: tuple[Path, ...]
    client_auth: ClientAuth

    def __init__(
        self,
        certificate: Paths,
        private_key: Paths = (),
        *,
        names: Iterable[str] = (),
        issuer: str | Path | None = None,
        responder: str | None = None,
        staple_file: Paths | None = None,
        must_staple: Literal["serve", "refuse"] = "serve",
        protocols: Iterable[str] | None = None,
        client_ca: Paths = (),
        client_auth: ClientAuth | None = None,
    ) -> None:
        certificates = _paths(certificate)
        authorities = _paths(client_ca)
        values = {
            "certificate": certificates,
            "private_key": _paths(private_key) or certificates,
            "names": tuple(names),
            "issuer": None if issuer is None else Path(issuer),
            "responder": responder,
            "staple_file": () if staple_file is None else _paths(staple_file),
            "must_staple": must_staple,
            "protocols": None if protocols is None else tuple(name.encode() for name in protocols),
            "client_ca": authorities,
            # Whoever names a CA means it: what is left out never opens a site.
            "client_auth": client_auth or ("require" if authorities else "off"),
        }
        for field, value in values.items():
            object.__setattr__(self, field, value)
        self._check()

    @property
    def where(self) -> str:
        """What an error about the site as a whole names as its place."""
        return str(self.certificate[0]) if self.certificate else "site"

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file that a change of certificate would touch."""
        issuer = () if self.issuer is None else (self.issuer,)
        authorities = () if self.client_auth == "off" else self.client_ca
        return tuple(dict.fromkeys((*self.certificate, *self.private_key, *issuer, *authorities)))

    def _check(self) -> None:
        count = len(self.certificate)
        if not count:
            raise OperatorError(self.where, "has no certificate", "name its PEM file", key="certificate")
        if len(self.private_key) != count:
            problem = f"{count} certificates, but {len(self.private_key)} private keys"
            raise OperatorError(self.where, problem, "name one key per certificate, in their order", key="private_key")
        if self.staple_file and len(self.staple_file) != count:
            problem = f"{count} certificates, but {len(self.staple_file)} staple files"
            raise OperatorError(self.where, problem, "name one per certificate, in their order", key="staple_file")
        if self.must_staple not in ("serve", "refuse"):
            problem = f"{self.must_staple!r} is no choice"
            raise OperatorError(self.where, problem, 'use "serve" or "refuse"', key="must_staple")
        if self.client_auth not in ("off", "request", "require"):
            problem = f"{self.client_auth!r} is no choice"
            raise OperatorError(self.where, problem, 'use "off", "request" or "require"', key="client_auth")
        if self.client_auth != "off" and not self.client_ca:
            problem = f'is "{self.client_auth}", but no CA is named'
            raise OperatorError(
                self.where, problem, "name the PEM file of the clients' CA as client_ca", key="client_auth"
            )


def _paths(value: Paths) -> tuple[Path, ...]:
    return (Path(value),) if isinstance(value, str | Path) else tuple(Path(one) for one in value)
