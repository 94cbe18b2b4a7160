"""How much clients may take of the server: the limits that a TLS port holds its clients to."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from staplesrv.errors import OperatorError
from staplesrv.rates import Rate

WHERE = "[limits]"
"""What an `OperatorError` about a limit names as its place; whoever knows the file may name that instead."""

LONGEST_HANDSHAKE = 86_400.0
"""Seconds. What is beyond is a slip."""

READ_BUFFERS = range(4096, 16 * 1024 * 1024 + 1)
"""Bytes. Less makes many turns of one record (RFC 8446 §5.1: 16 KiB); more lets one client hold up the others."""

COUNTS = ("connections", "connections_per_address", "handshakes")
"""The limits that are numbers of connections."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a client, and all clients together, may take. Whatever is over a limit is closed and counted.

    A value that exists is valid.

    Args:
        connections: Open at once, in all.
        connections_per_address: Open at once from one IPv4 address, or from one /64 of IPv6, which is what a provider
            gives one customer. A quarter of `connections`, so that no single address can shut all others out.
        handshakes: In progress at once; each holds some 50 KiB of OpenSSL's memory.
        handshake_seconds: How long a handshake may take; a preamble before it has as much again.
        read_buffer: Bytes of plaintext that are read from one connection before it is another's turn.
        handshake_rate: Handshakes a second from one address, or one /64; 0 for no limit.
        handshake_burst: How many at once, after a while without any; 0 for what a second allows.

    Raises:
        OperatorError: a limit can't be used.
    """

    connections: int = 65_536
    connections_per_address: int = 16_384
    handshakes: int = 32_768
    handshake_seconds: float = 10.0
    read_buffer: int = 65_536
    handshake_rate: float = 0.0
    handshake_burst: int = 0

    def __post_init__(self) -> None:
        for key in COUNTS:
            # Without any nobody could connect, and the configuration is not the place to switch a server off.
            if not getattr(self, key) >= 1:
                raise _bad(key, "is not above zero", "use a number of connections")
        if not 0 < self.handshake_seconds <= LONGEST_HANDSHAKE:
            raise _bad(
                "handshake_seconds", "is out of range", f"use above 0 and at most {LONGEST_HANDSHAKE:.0f} seconds"
            )
        if not READ_BUFFERS.start <= self.read_buffer < READ_BUFFERS.stop:
            advice = f"use from {READ_BUFFERS.start} to {READ_BUFFERS.stop - 1} bytes"
            raise _bad("read_buffer", "is out of range", advice)
        self.rate()

    def rate(self) -> Rate | None:
        """Return how often one address may begin a handshake; None for no limit."""
        return Rate.of(self.handshake_rate, self.handshake_burst, where=WHERE, kind="handshake")

    def part(self, workers: int) -> Limits:
        """Return one worker's part of the limits that are for all together; rounded up, so that none has nothing.

        Rates stay: processes that were forked from one share the buckets.
        """
        counts: dict[str, Any] = {key: -(-getattr(self, key) // workers) for key in COUNTS}
        return replace(self, **counts)


def _bad(key: str, problem: str, advice: str) -> OperatorError:
    return OperatorError(WHERE, problem, advice, key=key)
