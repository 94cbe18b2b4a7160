"""Where responses outlive a process, and who of several processes may fetch: the contract of every store.

A store keeps one OCSP response per key (SHA-256 of the leaf's DER), as the very bytes that came from the responder. It
is a place, not a judge: what it returns is verified again by the caller as if a stranger had sent it, because a
stranger may have written it. Any method may raise `StoreFailed`; the caller then goes on without the store, as losing
it must never stop fetching or serving.

- `load` after `save` returns the same bytes, in this process and in every other one that shares the store. A reader
  never sees half a response: it gets the old one or the new one.
- Of two saves for one key the later one stays.
- `load` of what is not there, or can't be a response (too large, not a plain file), is None and no error.
- `load_many` finds what as many calls of `load` would, at a small part of their cost. What can't be read it leaves out.
- `sweep` removes what expired more than `KEPT_AFTER` ago, whoever saved it.
- `lease` is given to one holder per key at a time, among all processes that share the store. It ends with `release`, or
  with the death of its holder. Nobody is made to wait: who does not get it comes back later.
- After `close` no method may be called; `close` itself waits for what is under way.

`tests/staples/test_stores.py` holds every implementation to this.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from staplesrv.errors import OperatorError

KEPT_AFTER = timedelta(days=7)
"""How long after its end a response is kept: it shows what was served, to whoever looks into a failure."""

MAX_STORED = 1 << 20
"""Bytes. A response over this is not read back; `ocsp.response.MAX_RESPONSE` is far below, and is a setting."""


class StoreFailed(OperatorError):
    """The store can't be read or written: a full or read-only disk, missing rights, a server that is away.

    The operator can mend it; meanwhile fetching and serving go on without the store.
    """


class Lease(Protocol):
    """The right to fetch for one key."""

    async def release(self) -> None:
        """Let others have it. May be called once; never raises."""


class Store(Protocol):
    """See the module's docstring for what holds of every store."""

    async def load(self, key: bytes) -> bytes | None:
        """Return the response that was saved last, as DER that nobody has verified; None where there is none.

        Raises:
            StoreFailed: the store can't be read.
        """

    async def load_many(self, keys: Sequence[bytes]) -> Mapping[bytes, bytes]:
        """Return the responses of many keys; those that there is none for, or that can't be read, are left out.

        Raises:
            StoreFailed: the store can't be read at all.
        """

    async def save(self, key: bytes, response_der: bytes, *, expires: datetime) -> None:
        """Keep a response in place of the one before.

        Args:
            key: SHA-256 of the leaf's DER.
            response_der: The response as it came.
            expires: The end of its use (aware UTC); `sweep` removes it `KEPT_AFTER` later.

        Raises:
            StoreFailed: it could not be written. What was there before stays.
        """

    async def remove(self, key: bytes) -> None:
        """Forget a response; none there is no error.

        Raises:
            StoreFailed: it is still there.
        """

    async def lease(self, key: bytes) -> Lease | None:
        """Ask for the right to fetch for a key.

        Returns:
            The lease; None where somebody else has it now.

        Raises:
            StoreFailed: nobody can tell.
        """

    async def sweep(self, now: datetime) -> int:
        """Remove what expired more than `KEPT_AFTER` before `now`.

        Returns:
            How many responses were removed.

        Raises:
            StoreFailed: the store can't be looked through.
        """

    async def close(self) -> None:
        """Wait for what is under way, then let go of everything."""
