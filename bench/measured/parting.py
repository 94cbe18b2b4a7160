"""How connections are parted between the workers of one server, and what one that stands still costs."""

from __future__ import annotations

import asyncio
import os
import signal
import ssl
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from bench.measured.processes import tree

STUCK = 1.0
"""Seconds for which one worker stands still."""

_EVERY = 0.005
_REQUEST = b"GET /small.bin HTTP/1.1\r\nHost: bench.example\r\nConnection: close\r\n\r\n"

_CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
_CONTEXT.check_hostname, _CONTEXT.verify_mode = False, ssl.CERT_NONE

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def workers(pid: int) -> Sequence[int]:
    """Return the workers of a supervisor: what its only child, the fork server, has forked."""
    return [one for one in tree(pid) if _parent(one) != pid and one != pid]


async def all_at_once(port: int, count: int) -> list[Streams]:
    """Open connections without waiting for any."""
    return list(await asyncio.gather(*(_opened(port) for _ in range(count))))


async def one_by_one(port: int, count: int) -> list[Streams]:
    """Open each when the one before has done its handshake."""
    return [await _opened(port) for _ in range(count)]


def parted(pid: int, port: int, count: int, way: Callable[[int, int], Awaitable[list[Streams]]]) -> Sequence[int]:
    """Return how many of some connections each worker has got."""

    async def count_them() -> Sequence[int]:
        before = [_descriptors(worker) for worker in workers(pid)]
        streams = await way(port, count)
        got = [_descriptors(worker) - had for worker, had in zip(workers(pid), before, strict=True)]
        for _, writer in streams:
            writer.transport.abort()
        return got

    return asyncio.run(count_them())


def waits(pid: int, port: int, count: int) -> Sequence[float]:
    """Return the seconds of connections with one request each, begun at a pace while a worker stands still."""

    async def begin() -> Sequence[float]:
        still = workers(pid)[0]
        os.kill(still, signal.SIGSTOP)
        asking = asyncio.gather(*(_asked(port, number * _EVERY) for number in range(count)))
        await asyncio.sleep(STUCK)
        os.kill(still, signal.SIGCONT)
        return await asking

    return asyncio.run(begin())


async def _asked(port: int, later: float) -> float:
    await asyncio.sleep(later)
    began = time.monotonic()
    reader, writer = await _opened(port)
    writer.write(_REQUEST)
    answer = await reader.read()
    if not answer.startswith(b"HTTP/1.1 200"):
        raise SystemExit(f"the server answers {answer[:100]!r}")
    took = time.monotonic() - began
    writer.close()
    return took


async def _opened(port: int) -> Streams:
    return await asyncio.open_connection("127.0.0.1", port, ssl=_CONTEXT)


def _descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
