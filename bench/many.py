"""Certificates and good responses in numbers, for the measurements beside this file; made before those begin."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from staplesrv.testing import CertificateAuthority, Leaf
from staplesrv.testing.keys import KeyKind, make_key

KEYS = 4
"""So many keys are made, and reused: that makes certificates fast to make, and no easier to serve."""

RESPONDER = "http://127.0.0.1:9/"
"""Nobody is there: the store has all that is needed."""


def make(count: int, key: KeyKind = "ec") -> Iterator[tuple[Leaf, bytes]]:
    """Issue certificates, each with a response that lives a week and is a tenth of a day old."""
    root = CertificateAuthority("bench root", key=key)
    authority = root.intermediate("bench issuing CA", key=key)
    keys = [make_key(key) for _ in range(KEYS)]
    this_update = authority.now() - timedelta(hours=2)
    for number in range(count):
        name = f"site{number}.example"
        leaf = authority.issue(name, key=keys[number % KEYS], responder_urls=[RESPONDER])
        yield leaf, authority.respond(leaf, this_update=this_update)


def write(directory: Path, count: int, key: KeyKind = "ec") -> None:
    """Write what a server with a warm cache finds: `N-fullchain.pem`, `N-privkey.pem` and `state/HEX.der`."""
    state = directory / "state"
    state.mkdir(mode=0o700)
    end = None
    for number, (leaf, response_der) in enumerate(make(count, key)):
        leaf.write(directory, prefix=f"{number}-")
        stored = state / f"{leaf.fingerprint.hex()}.der"
        stored.write_bytes(response_der)
        # As the disk store does: the modification time is the end of the response.
        end = end or stored.stat().st_mtime + 6 * 86400
        os.utime(stored, (end, end))
