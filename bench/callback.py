"""What the staple adds to a handshake: the status callback with its comparison of the cut-off.

    python bench/callback.py

CPU time per call, over 100,000 calls each: our callback alone, and as OpenSSL calls it around it, which finds the
connection and copies the bytes for OpenSSL. The limit of the project is 5 us for all of it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from OpenSSL import SSL
from OpenSSL._util import ffi

from staplesrv.ocsp.response import Staple, verify_response
from staplesrv.sources import utc, wall_clock
from staplesrv.staples.assignment import Assignment
from staplesrv.staples.cache import Held, Reason, StapleCache
from staplesrv.staples.settings import Settings
from staplesrv.testing import CertificateAuthority, Leaf
from staplesrv.tls.certificate import CertificateBundle, parse_bundle
from staplesrv.tls.connection import ServerConnection
from staplesrv.tls.context import site_context, status_callback
from staplesrv.tls.openssl_calls import Calls
from staplesrv.tls.private_calls import PrivateCalls
from staplesrv.tls.public_calls import PublicCalls

CALLS = 100_000
LIMIT = 5.0


def main() -> None:
    """Print one line per case, and end with 1 if one is over the limit."""
    ca = CertificateAuthority()
    leaves = {"rsa": ca.issue("bench.example", key="rsa"), "ec": ca.issue("bench.example")}
    worst = 0.0
    for title, keys, openssl in (
        ("one certificate", ("ec",), PrivateCalls()),
        ("two certificates", ("rsa", "ec"), PrivateCalls()),
        ("two, public API", ("rsa", "ec"), PublicCalls()),
    ):
        alone, whole = measure(ca, [leaves[key] for key in keys], openssl)
        print(f"{title:20} callback {alone:5.2f} us   as OpenSSL calls it {whole:5.2f} us")
        if isinstance(openssl, PrivateCalls):
            worst = max(worst, whole)
    print(f"{'empty callback':20} as OpenSSL calls it {wrapper_alone(leaves['ec']):5.2f} us")
    sys.exit(worst > LIMIT)


def measure(ca: CertificateAuthority, leaves: list[Leaf], openssl: Calls) -> tuple[float, float]:
    """Return the microseconds of our callback, and of all of it."""
    cache = StapleCache()
    entries = [cache.entry(leaf.fingerprint) for leaf in leaves]
    for leaf, entry in zip(leaves, entries, strict=True):
        entry.held, entry.reason = held(ca, leaf), Reason.OK
    context = site_context([bundle(leaf) for leaf in leaves], entries, wall_clock=wall_clock, openssl=openssl)
    connection = ServerConnection(context)
    callback = status_callback(entries, wall_clock, openssl)
    assert callback(connection, None)
    return per_call(lambda: callback(connection, None)), per_call(wrapped(context, connection))


def wrapper_alone(leaf: Leaf) -> float:
    """Return the microseconds of pyOpenSSL's wrapper around a callback that has nothing to say."""
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.use_certificate(leaf.certificate)
    context.set_ocsp_server_callback(lambda _connection, _data: b"")
    connection = SSL.Connection(context)
    return per_call(wrapped(context, connection))


def wrapped(context: SSL.Context, connection: SSL.Connection) -> Callable[[], Any]:
    """Return a call of the callback as OpenSSL makes it; whoever calls it keeps the connection."""
    call, ssl = vars(context)["_ocsp_callback"], vars(connection)["_ssl"]
    return lambda: call(ssl, ffi.NULL)


def per_call(call: Callable[[], Any]) -> float:
    """Return the CPU microseconds per call, the best of five rounds; the loop's own are taken off."""
    return max(0.0, timed(call) - timed(lambda: None)) * 1e6


def timed(call: Callable[[], Any]) -> float:
    """Return the CPU seconds per call in the fastest of five rounds."""
    rounds = []
    for _ in range(5):
        start = time.process_time()
        for _ in range(CALLS):
            call()
        rounds.append((time.process_time() - start) / CALLS)
    return min(rounds)


def held(ca: CertificateAuthority, leaf: Leaf) -> Held:
    """Make a staple for a leaf."""
    target = Assignment.for_leaf(leaf.certificate, leaf.chain, settings=Settings()).target
    assert target is not None
    staple = verify_response(ca.respond(leaf), target, now=utc(wall_clock()))
    assert isinstance(staple, Staple)
    return Held.of(staple)


def bundle(leaf: Leaf) -> CertificateBundle:
    """Make a bundle of a leaf."""
    return parse_bundle(("certificate", leaf.fullchain_pem), ("key", leaf.key_pem()))


if __name__ == "__main__":
    main()
