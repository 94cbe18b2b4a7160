"""How much clients may take of the server: the limits that a TLS port holds its clients to."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """What a client, and all clients together, may take. Whatever is over a limit is closed and counted.

    Args:
        connections: Open at once, in all.
        connections_per_address: Open at once from one IPv4 address, or from one /64 of IPv6, which is what a provider
            gives one customer. A quarter of `connections`, so that no single address can shut all others out.
        handshakes: In progress at once; each holds some 50 KiB of OpenSSL's memory.
        handshake_seconds: How long a handshake may take; a preamble before it has as much again.
        read_buffer: Bytes of plaintext that are read from one connection before it is another's turn.
    """

    connections: int = 65_536
    connections_per_address: int = 16_384
    handshakes: int = 32_768
    handshake_seconds: float = 10.0
    read_buffer: int = 65_536
