"""What a worker tells its supervisor: small messages of known types, which are checked, counted, and never trusted.

A worker whose memory an attacker has may send anything here. What does not fit ends the worker.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

import msgspec
from msgspec import Meta

LONGEST = 64 * 1024
"""Bytes of a report."""

MOST_HANDSHAKES = 1024
"""Sites and outcomes with new counts in one report, 42 bytes each at most; the others come in the next one."""

MOST_REFUSED = 32
"""Sites with new counts of refused requests in one report; 270 bytes each at most."""

LONGEST_LINE = 16 * 1024
"""Characters of a line for the log."""

Text = Annotated[str, Meta(max_length=4096)]
Word = Annotated[str, Meta(max_length=64)]
Label = Annotated[str, Meta(max_length=512)]
Number = Annotated[int, Meta(ge=0, lt=1 << 53)]


class Prepared(msgspec.Struct, tag="prepared", frozen=True):
    """What was asked for in a round can be."""

    round: Number


class Failed(msgspec.Struct, tag="failed", frozen=True):
    """It can't be: the parts of an `OperatorError`."""

    round: Number
    where: Text
    problem: Text
    advice: Text
    key: Text


class Serving(msgspec.Struct, tag="serving", frozen=True):
    """The worker listens, and serves what it was told last."""

    round: Number


class Leaving(msgspec.Struct, tag="leaving", frozen=True):
    """The worker accepts no more, and leaves when everybody was served."""


class Beat(msgspec.Struct, tag="beat", frozen=True):
    """The worker is alive.

    Args:
        open: Connections that are open now.
        accepted: How many there were.
        requests: How many there were.
        closed: Why how many connections ended.
        handshakes: Since the last beat: number of a site, outcome, how many.
        refused: Since the last beat: key of a site, how many requests were too much for it.
    """

    open: Number
    accepted: Number
    requests: Number
    closed: Annotated[dict[Word, Number], Meta(max_length=64)]
    handshakes: Annotated[list[tuple[Number, Word, Number]], Meta(max_length=MOST_HANDSHAKES)]
    refused: Annotated[list[tuple[Label, Number]], Meta(max_length=MOST_REFUSED)] = []


class Line(msgspec.Struct, tag="line", frozen=True):
    """A line for the log.

    Args:
        level: As `twisted.logger.LogLevel` names it.
        text: Perhaps with a traceback behind it.
    """

    level: Annotated[str, Meta(pattern="^(debug|info|warn|error|critical)$")]
    text: Annotated[str, Meta(max_length=LONGEST_LINE)]


Report: TypeAlias = Prepared | Failed | Serving | Leaving | Beat | Line

_DECODER = msgspec.msgpack.Decoder(Report)
_ENCODER = msgspec.msgpack.Encoder()


def packed(report: Report) -> bytes:
    """Write a report down."""
    return _ENCODER.encode(report)


def unpacked(data: bytes) -> Report | None:
    """Read a report; None where it is none."""
    try:
        report: Report = _DECODER.decode(data)
    except (msgspec.DecodeError, RecursionError):
        return None
    return report
