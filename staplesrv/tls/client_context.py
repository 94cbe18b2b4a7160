"""What a client of ours can be told about TLS itself, and the OpenSSL context that comes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal, TypeAlias

from cryptography import x509
from OpenSSL import SSL, crypto

from staplesrv.tls.openssl import calls
from staplesrv.tls.openssl_calls import Calls

Version: TypeAlias = Literal["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"]
Authentication: TypeAlias = Literal["rsa", "ecdsa"]

_VERSIONS: Final[Mapping[str | int, int]] = {
    "TLSv1": SSL.TLS1_VERSION,
    "TLSv1.1": SSL.TLS1_1_VERSION,
    "TLSv1.2": SSL.TLS1_2_VERSION,
    "TLSv1.3": SSL.TLS1_3_VERSION,
}
_CIPHERS: Final[Mapping[Authentication, bytes]] = {"rsa": b"ECDHE+aRSA", "ecdsa": b"ECDHE+aECDSA"}
_ALGORITHMS: Final[Mapping[Authentication, bytes]] = {
    "rsa": b"RSA-PSS+SHA256:RSA-PSS+SHA384:RSA-PSS+SHA512:RSA+SHA256:RSA+SHA384:RSA+SHA512",
    "ecdsa": b"ECDSA+SHA256:ECDSA+SHA384:ECDSA+SHA512",
}
_PROBLEMS: Final[Mapping[int, str]] = {
    code: name.removeprefix("ERR_").replace("_", " ").lower()
    for name, code in vars(SSL.X509VerificationCodes).items()
    if isinstance(code, int)
}


@dataclass(slots=True)
class Observed:
    """What the callbacks of one connection were told."""

    staple: bytes = b""
    problems: list[str] = field(default_factory=list)
    certificate_came: bool = False


@dataclass(frozen=True, slots=True)
class ClientOptions:
    """The options that belong to a context and so are shared by all connections that resume its sessions.

    Args:
        min_version: The oldest protocol version to offer; OpenSSL's default where None.
        max_version: The newest.
        authentication: Accept servers with this kind of key alone. In TLS 1.3 signature algorithms decide it; where
            pyOpenSSL has no way to choose these, TLS 1.3 is not offered.
        ciphers: TLS 1.2 ciphers in OpenSSL's notation; takes precedence over `authentication`.
        ca: The trusted certificates; None does not verify.
        at: The time as of which dates are judged, aware; now where None.
    """

    min_version: Version | int | None = None
    max_version: Version | int | None = None
    authentication: Authentication | None = None
    ciphers: str | None = None
    ca: Sequence[x509.Certificate] | None = None
    at: datetime | None = None

    def context(self, openssl: Calls = calls) -> SSL.Context:
        """Make a context; it never ends a handshake by itself over a certificate or a staple.

        Args:
            openssl: The calls beyond pyOpenSSL's public API.

        Raises:
            ValueError: If the options contradict one another or OpenSSL does not know a cipher.
        """
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        context.set_min_proto_version(_number(self.min_version))
        context.set_max_proto_version(self._max_version(context, openssl))
        context.set_ocsp_client_callback(_take_staple)
        context.set_verify(SSL.VERIFY_PEER, _take_verdict)
        self._add_ca(context)
        # Last: pyOpenSSL makes a connection to check the list, and refuses every change after it.
        self._set_ciphers(context)
        return context

    def _max_version(self, context: SSL.Context, openssl: Calls) -> int:
        newest = _number(self.max_version)
        if self.authentication is None or openssl.set_signature_algorithms(context, _ALGORITHMS[self.authentication]):
            return newest
        if SSL.TLS1_3_VERSION in {newest, _number(self.min_version)}:
            raise ValueError("this pyOpenSSL can choose the kind of key in TLS 1.2 and older alone")
        return newest or SSL.TLS1_2_VERSION

    def _add_ca(self, context: SSL.Context) -> None:
        store = context.get_cert_store()
        if store is None or self.ca is None:
            return
        # An intermediate that is trusted ends the chain, as with a browser's own list.
        store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN)
        if self.at is not None:
            store.set_time(self.at)
        for certificate in self.ca:
            store.add_cert(crypto.X509.from_cryptography(certificate))

    def _set_ciphers(self, context: SSL.Context) -> None:
        if self.ciphers is None and self.authentication is None:
            return
        chosen = self.ciphers.encode() if self.ciphers is not None else _CIPHERS[self.authentication or "rsa"]
        try:
            context.set_cipher_list(chosen)
        except SSL.Error as error:
            raise ValueError(f"OpenSSL knows no such cipher: {chosen.decode()}") from error


def _number(version: Version | int | None) -> int:
    if version is None:
        return 0  # no limit
    if isinstance(version, int) and version in _VERSIONS.values():
        return version
    if version in _VERSIONS:
        return _VERSIONS[version]
    raise ValueError(f"no such protocol version: {version!r}")


def _take_staple(connection: SSL.Connection, response_der: bytes, _data: object) -> bool:
    # Called in every full handshake, with b"" where no staple came; not where a session is resumed.
    connection.get_app_data().staple = response_der
    return True


def _take_verdict(connection: SSL.Connection, _certificate: Any, code: int, depth: int, ok: int) -> bool:
    # Called for every certificate of the chain at least once, well or not; not where a session is resumed.
    observed: Observed = connection.get_app_data()
    observed.certificate_came = True
    problem = f"{_PROBLEMS.get(code, f'error {code}')} at depth {depth}"
    if not ok and problem not in observed.problems:
        observed.problems.append(problem)
    return True
