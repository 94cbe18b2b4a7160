"""Which of a file's precompressed neighbours a client gets: RFC 9110 §12.5.3."""

from __future__ import annotations

import re
from functools import lru_cache

from staplesrv.http.fields import TOKEN

SUFFIXES = {b"": b"", b"br": b".br", b"zstd": b".zst", b"gzip": b".gz"}
"""What a content coding adds to the file's name; the file itself has no coding."""

_PREFERRED = (b"br", b"zstd", b"gzip")
"""The smallest first."""

_MEMBER = re.compile(
    rb"(?P<coding>\*|" + TOKEN + rb")"
    rb"(?:[ \t]*;[ \t]*q=(?P<weight>0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?))?",
    re.IGNORECASE,
)

_ALIASES = {b"x-gzip": b"gzip"}  # RFC 9110 §8.4.1.3

_LONGEST = 256
"""Bytes of Accept-Encoding. No client has more to say, and what was said is remembered."""


def choose(accepted: bytes, codings: frozenset[bytes]) -> tuple[bytes, ...]:
    """Return the codings that a client takes, the best first.

    Args:
        accepted: Accept-Encoding.
        codings: Those that there are.

    Returns:
        The last one is always the file itself, `b""`: where a client takes nothing that we have, not even that,
        RFC 9110 §12.5.3 has it sent all the same.
    """
    return _choose(accepted, codings) if codings and len(accepted) <= _LONGEST else (b"",)


@lru_cache(256)
def _choose(accepted: bytes, codings: frozenset[bytes]) -> tuple[bytes, ...]:
    weights = _weights(accepted)
    others = weights.get(b"*", 0.0)
    weighed = [(weights.get(coding, others), coding) for coding in _PREFERRED if coding in codings]
    # Compressed where the client does not say that it likes the file as it is better.
    plain = weights.get(b"identity", 0.0)
    weighed = [(weight, coding) for weight, coding in weighed if weight > 0 and weight >= plain]
    weighed.sort(key=lambda member: -member[0])
    return (*(coding for _, coding in weighed), b"")


def _weights(accepted: bytes) -> dict[bytes, float]:
    """Read Accept-Encoding; a member that can't be read does not count."""
    found: dict[bytes, float] = {}
    for member in accepted.split(b","):
        match = _MEMBER.fullmatch(member.strip(b" \t"))
        if match is not None:
            coding = match["coding"].lower()
            found[_ALIASES.get(coding, coding)] = float(match["weight"] or 1)
    return found
