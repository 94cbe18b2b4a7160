"""The client's side of a TLS handshake, in memory: bytes in, bytes out, and what was seen.

    client = StapleClient(server_name="example.org")
    while not client.done:
        socket.sendall(client.outgoing())
        client.incoming(socket.recv(65536))
    socket.sendall(client.outgoing())  # the last word of the handshake is the client's
    client.seen.staple

It takes whatever the server shows: a chain that does not verify and a staple that is none are things seen, not errors.
Without sockets it serves a look at ourselves, a test, and a check of a foreign server alike.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import idna
from cryptography import x509
from OpenSSL import SSL

from staplesrv.tls.client_context import Authentication, ClientOptions, Observed, Version
from staplesrv.tls.handshake_failure import HandshakeFailed, failure
from staplesrv.tls.sni import is_address

__all__ = ["Authentication", "ClientSession", "HandshakeFailed", "Seen", "StapleClient", "Version"]

_CHUNK: Final = 64 * 1024
_NAME: Final = re.compile(rb"[!-~]{1,255}")


@dataclass(frozen=True, slots=True)
class Seen:
    """What a client saw of a server in one handshake.

    Args:
        version: The protocol version, as `TLSv1.3`.
        cipher: The cipher suite, as OpenSSL names it.
        staple: The OCSP response that came, DER, unverified; empty where none came.
        peer_chain: The certificates as the server sent them, leaf first; of a resumed session those of the first time.
        alpn: The application protocol agreed on; empty where none was.
        resumed: Whether a session was resumed; then there is no staple and nothing was verified.
        verified: Whether the chain leads to a trusted certificate (names are not looked at); None where that was not
            asked for, or the session was resumed.
        problems: What was found wrong with the chain, where that was asked for.
    """

    version: str
    cipher: str
    staple: bytes
    peer_chain: tuple[x509.Certificate, ...]
    alpn: bytes
    resumed: bool
    verified: bool | None = None
    problems: tuple[str, ...] = ()

    @property
    def leaf(self) -> x509.Certificate:
        """The server's own certificate."""
        return self.peer_chain[0]


@dataclass(frozen=True, slots=True)
class ClientSession:
    """A session to resume, with the options it was made under. Nothing in it is for reading."""

    options: ClientOptions
    context: SSL.Context
    session: SSL.Session


class StapleClient:
    """One TLS connection, seen from the client.

    Args:
        server_name: The name for SNI: a DNS name, with or without A-labels; an IP address or None sends none
            (RFC 6066 §3).
        alpn: The application protocols to offer, the best first.
        request_staple: Whether to ask for a staple.
        session: A session to resume, from `session` of an earlier client; its options are taken too.
        min_version: The oldest protocol version to offer, by name or as pyOpenSSL numbers them.
        max_version: The newest.
        authentication: Accept servers with this kind of key alone. In TLS 1.3 signature algorithms decide it; where
            pyOpenSSL has no way to choose these, TLS 1.3 is not offered.
        ciphers: TLS 1.2 ciphers in OpenSSL's notation; takes precedence over `authentication`.
        ca: The trusted certificates, to verify the chain with; None does not verify.
        at: The time as of which the chain's dates are judged, aware; now where None.

    Raises:
        ValueError: If a name, a protocol or an option can't be used.
        HandshakeFailed: If the options leave nothing to offer to a server.
    """

    def __init__(
        self,
        *,
        server_name: str | None = None,
        alpn: Sequence[bytes] = (),
        request_staple: bool = True,
        session: ClientSession | None = None,
        min_version: Version | int | None = None,
        max_version: Version | int | None = None,
        authentication: Authentication | None = None,
        ciphers: str | None = None,
        ca: Sequence[x509.Certificate] | None = None,
        at: datetime | None = None,
    ) -> None:
        options = ClientOptions(
            min_version, max_version, authentication, ciphers, None if ca is None else tuple(ca), at
        )
        if session is not None and options not in {ClientOptions(), session.options}:
            raise ValueError("a session is resumed with the options it was made under")
        self._options = session.options if session else options
        self._context = session.context if session else options.context()
        self._observed = Observed()
        self._connection = self._connect(server_name, alpn, session, request_staple=request_staple)
        self._received: list[bytes] = []
        self._seen: Seen | None = None
        self._failed: HandshakeFailed | None = None
        self._closed = False
        self._go_on()

    @property
    def done(self) -> bool:
        """Whether the handshake is over and well."""
        return self._seen is not None

    @property
    def closed(self) -> bool:
        """Whether the server has closed the connection in good order."""
        return self._closed

    @property
    def seen(self) -> Seen:
        """What was seen.

        Raises:
            HandshakeFailed: If the handshake failed or is not over.
        """
        if self._seen is None:
            raise self._failed or HandshakeFailed("the handshake is not over")
        return self._seen

    @property
    def session(self) -> ClientSession | None:
        """The session, to be resumed by another client; None before the handshake is over.

        In TLS 1.3 tickets come after the handshake: take it after the first application bytes.
        """
        session = self._connection.get_session() if self.done else None
        return None if session is None else ClientSession(self._options, self._context, session)

    def outgoing(self) -> bytes:
        """Take the bytes that are to be sent to the server; also after a failure, for the alert in them."""
        return b"".join(_chunks(self._connection.bio_read))

    def incoming(self, data: bytes) -> None:
        """Take in bytes that came from the server.

        Args:
            data: What came; empty for the end of the connection.

        Raises:
            HandshakeFailed: If the connection failed, now or earlier.
        """
        if self._failed is not None:
            raise self._failed
        if data:
            self._connection.bio_write(data)
        else:
            self._connection.bio_shutdown()
        self._go_on()

    def send(self, data: bytes) -> None:
        """Encrypt application bytes, for `outgoing`.

        Raises:
            HandshakeFailed: If the connection failed, or the handshake is not over.
        """
        if not self.done:
            raise self._failed or HandshakeFailed("the handshake is not over")
        with self._failing():
            self._connection.sendall(data)

    def received(self) -> bytes:
        """Take the application bytes that have come."""
        received, self._received = self._received, []
        return b"".join(received)

    def close(self) -> None:
        """Say goodbye, for `outgoing`."""
        # OpenSSL refuses to in the middle of a handshake, and then there is nothing to say.
        with contextlib.suppress(SSL.Error):
            self._connection.shutdown()

    def _connect(
        self,
        server_name: str | None,
        alpn: Sequence[bytes],
        session: ClientSession | None,
        *,
        request_staple: bool,
    ) -> SSL.Connection:
        connection = SSL.Connection(self._context, None)
        connection.set_app_data(self._observed)
        connection.set_connect_state()
        if name := _sni(server_name):
            connection.set_tlsext_host_name(name)
        if alpn:
            if not all(alpn):
                raise ValueError("an application protocol without a name")
            connection.set_alpn_protos(list(alpn))
        if request_staple:
            connection.request_ocsp()
        if session is not None:
            connection.set_session(session.session)
        return connection

    def _go_on(self) -> None:
        with self._failing():
            if self._seen is None:
                self._connection.do_handshake()
                self._seen = self._look()
            self._received.extend(_chunks(self._connection.recv))

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except SSL.WantReadError:
            return
        except SSL.ZeroReturnError:
            self._closed = True
        except SSL.Error as error:
            self._failed = failure(error)
            raise self._failed from error

    def _look(self) -> Seen:
        observed = self._observed
        resumed = not observed.certificate_came
        judged = self._options.ca is not None and not resumed
        return Seen(
            version=self._connection.get_protocol_version_name(),
            cipher=self._connection.get_cipher_name() or "",
            staple=observed.staple,
            peer_chain=self._peer_chain(),
            alpn=self._connection.get_alpn_proto_negotiated(),
            resumed=resumed,
            verified=not observed.problems if judged else None,
            problems=tuple(observed.problems) if judged else (),
        )

    def _peer_chain(self) -> tuple[x509.Certificate, ...]:
        try:
            return tuple(self._connection.get_peer_cert_chain(as_cryptography=True) or ())
        except (ValueError, x509.InvalidVersion) as error:
            # OpenSSL reads more than cryptography does.
            self._failed = HandshakeFailed(f"a certificate of the server can't be read: {error}")
            raise self._failed from error


def _chunks(read: Callable[[int], bytes]) -> Iterator[bytes]:
    """Read until there is no more; what is wrong comes as an exception after what was read before."""
    while True:
        try:
            yield read(_CHUNK)
        except SSL.WantReadError:
            return


def _sni(server_name: str | None) -> bytes | None:
    """The name as SNI has it: A-labels in lower case without the last dot; None for an address."""
    if not server_name or is_address(server_name):
        return None
    try:
        name = server_name.encode("ascii") if server_name.isascii() else idna.encode(server_name, uts46=True)
    except idna.IDNAError as error:
        raise ValueError(f"no server name: {server_name!r}: {error}") from error
    name = name.lower().removesuffix(b".")
    # pyOpenSSL does not say so when OpenSSL takes a name for too long, and sends none.
    if _NAME.fullmatch(name) is None:
        raise ValueError(f"no server name: {server_name!r}")
    return name
