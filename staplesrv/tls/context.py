"""The two kinds of OpenSSL context: a listener's base context, and a site's with its certificates and staples.

Theory of operation: each connection starts on the base context, and the server-name callback, which OpenSSL runs also
where no name was sent and where a session is resumed, moves it to its site's context. From then on the site's
certificate, chain, OCSP callback, ALPN, TLS 1.2 ciphers and CAs to verify clients with hold; protocol versions, TLS 1.3
suites, groups, options, modes and session tickets stay the base context's. Whether a client is asked for a certificate
is the connection's own: the callback says it. pyOpenSSL refuses changes to a context that has made a connection, so
contexts are built whole and swapped whole.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from OpenSSL import SSL
from twisted.logger import Logger

from staplesrv.errors import OperatorError
from staplesrv.sources import WallClock
from staplesrv.staples.cache import Entry, Reason
from staplesrv.tls import chain as chains
from staplesrv.tls.certificate import CertificateBundle, fingerprint
from staplesrv.tls.client_policy import ClientPolicy
from staplesrv.tls.connection import FAULT, STAPLED, select_protocol
from staplesrv.tls.openssl import calls
from staplesrv.tls.openssl_calls import Calls
from staplesrv.tls.preset import PRESETS, PresetName

SESSION_SECONDS = 7200
"""How long a session ticket may be used; OpenSSL's own default, and less than the age of its key."""

# One value for all contexts: OpenSSL resumes a session only under the session id context that it was made under, and
# which site a client sees is decided by its server name in each handshake, not by the session.
_SESSION_ID_CONTEXT = b"staplesrv"
_OPTIONS = SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION
_NO_AUTO_CHAIN = 0x8  # SSL_MODE_NO_AUTO_CHAIN
_SITE_CIPHERS = ":".join(PRESETS["intermediate"].ciphers).encode()
_MISSING = {reason: f"missing:{reason}" for reason in Reason}

_log = Logger()

StatusCallback = Callable[[SSL.Connection, object], bytes]


def base_context(preset: PresetName, *, sessions: bool = True, openssl: Calls = calls) -> SSL.Context:
    """Build a listener's context. A new one has new ticket keys: sessions of the old one are not resumed on it.

    `equip` gives it certificates, `Calls.on_server_name` leads to other contexts.

    Sessions live in tickets alone, as with nginx: a cache in the server would grow with clients that have none.

    Args:
        preset: Mozilla's name for versions, suites and groups.
        sessions: Whether sessions may be resumed at all.
        openssl: The calls beyond pyOpenSSL's public API.
    """
    chosen = PRESETS[preset]
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(chosen.min_version)
    context.set_tls13_ciphersuites(":".join(chosen.suites).encode())
    context.set_options(_OPTIONS | (0 if sessions else SSL.OP_NO_TICKET))
    # An idle connection gives its buffers back. A chain is what the operator gave: nothing is added to it out of the
    # CAs that clients are verified with.
    context.set_mode(SSL.MODE_RELEASE_BUFFERS | _NO_AUTO_CHAIN)
    context.set_session_id(_SESSION_ID_CONTEXT)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_timeout(SESSION_SECONDS)
    _set_groups(context, chosen.groups, openssl)
    return context


def site_context(
    bundles: Sequence[CertificateBundle],
    entries: Sequence[Entry],
    *,
    wall_clock: WallClock,
    client: ClientPolicy | None = None,
    openssl: Calls = calls,
) -> SSL.Context:
    """Build a site's context; see `equip`. Its clients are verified with its own CAs, once they are asked to."""
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_session_id(_SESSION_ID_CONTEXT)
    if client is not None:
        client.apply(context)
    equip(context, bundles, entries, wall_clock=wall_clock, openssl=openssl)
    return context


def equip(
    context: SSL.Context,
    bundles: Sequence[CertificateBundle],
    entries: Sequence[Entry],
    *,
    wall_clock: WallClock,
    openssl: Calls = calls,
) -> None:
    """Give a context a site's certificates, each with its own chain and its own staple. The last change to a context.

    Args:
        context: A site's, or a base context.
        bundles: The certificates, at most one per kind of key.
        entries: Their staples, in the same order.
        wall_clock: Seconds since the epoch, read at each handshake.
        openssl: The calls beyond pyOpenSSL's public API.

    Raises:
        OperatorError: OpenSSL does not take a certificate or its key.
    """
    for bundle in bundles:
        _use(context, bundle)
    openssl.on_status_request(context, status_callback(entries, wall_clock, openssl))
    openssl.on_protocols(context, select_protocol)
    # Last: pyOpenSSL makes a connection to check the list, and refuses every change after it.
    context.set_cipher_list(_SITE_CIPHERS)


def refusing_context() -> SSL.Context:
    """Build a context without a certificate: every full handshake on it fails with handshake_failure."""
    return SSL.Context(SSL.TLS_SERVER_METHOD)


def status_callback(entries: Sequence[Entry], wall_clock: WallClock, openssl: Calls = calls) -> StatusCallback:
    """Make the OCSP callback of a context, which returns the staple of the certificate shown, or `b""`.

    It does no I/O, takes no lock and formats nothing, and no exception leaves it: either would cost the connection.
    bench/callback.py measures it with the cut-off's comparison, CPU over 100,000 calls: 0.1 us for one certificate, 0.4
    us for two, and 2.3 and 2.4 us as OpenSSL calls it, with the copy that it wants.
    """
    by_fingerprint = {entry.fingerprint: entry for entry in entries}
    # A context's certificates never change, so an address seen once stands for one certificate all its life.
    known: dict[Hashable, Entry] = {}

    def learn(connection: SSL.Connection) -> Entry:
        certificate = connection.get_certificate(as_cryptography=True)
        if certificate is None:
            raise LookupError("a status callback without a certificate")
        entry = known[openssl.shown(connection)] = by_fingerprint[fingerprint(certificate)]
        return entry

    only = entries[0]

    def one(connection: Any, _data: object) -> bytes:
        try:
            # What `_staple` does, without its two calls.
            held, now = only.held, wall_clock()
            if held is not None and now < held.cut_off:
                connection.outcome = STAPLED
                return held.response_der
            return _staple(connection, only, now)
        except Exception:  # noqa: BLE001 - it would end the handshake, and a missing staple must not
            return _fault(connection)

    def several(connection: Any, _data: object) -> bytes:
        try:
            entry = known.get(openssl.shown(connection)) or learn(connection)
            return _staple(connection, entry, wall_clock())
        except Exception:  # noqa: BLE001 - it would end the handshake, and a missing staple must not
            return _fault(connection)

    return one if len(entries) == 1 else several


def _staple(connection: Any, entry: Entry, now: float) -> bytes:
    staple = entry.current(now)
    connection.outcome = STAPLED if staple else _MISSING[entry.reason_at(now)]
    return staple


def _fault(connection: Any) -> bytes:
    _log.failure("Looking up a staple failed; the handshake goes on without")
    connection.outcome = FAULT
    return b""


def _use(context: SSL.Context, bundle: CertificateBundle) -> None:
    where = chains.name(bundle.leaf)
    try:
        # Loaded as a file each certificate keeps its own chain; from memory all would share one.
        with _file(bundle.pem) as path:
            context.use_certificate_chain_file(path)
        context.use_privatekey(bundle.private_key)
    except SSL.Error as error:
        reasons = ", ".join(str(entry[-1]) for entry in error.args[0]) or "no reason given"
        raise OperatorError(where, f"OpenSSL does not take it: {reasons}", "have it issued for another key") from error


@contextmanager
def _file(data: bytes) -> Iterator[str]:
    """Show bytes as a file, without a disk where the system can do so."""
    if hasattr(os, "memfd_create") and os.path.isdir("/proc/self/fd"):  # noqa: PTH112 - a constant
        descriptor = os.memfd_create("chain")
        try:
            os.write(descriptor, data)
            yield f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)
    else:
        with tempfile.NamedTemporaryFile() as file:
            file.write(data)
            file.flush()
            yield file.name


def _set_groups(context: SSL.Context, groups: Sequence[str], openssl: Calls) -> None:
    # An OpenSSL before 3.5 lacks the first one, the post-quantum hybrid, and refuses the whole list with it.
    if not openssl.set_groups(context, ":".join(groups).encode()):
        openssl.set_groups(context, ":".join(groups[1:]).encode())
