"""Text for people: aligned lines, times and spans of time, and nothing that a certificate smuggled in. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

_UNITS = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))


def plain(text: str) -> str:
    """Escape what can't be printed: names in certificates and in alerts are somebody else's input."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def columns(rows: Iterable[tuple[str, str]], indent: int = 2) -> list[str]:
    """Put labels and texts below each other; rows without a text are left out."""
    kept = [(label, text) for label, text in rows if text]
    width = max((len(label) for label, _ in kept), default=0)
    return [f"{'':{indent}}{label:{width}}   {text}" for label, text in kept]


def iso(time: datetime) -> str:
    """A time as machines read it: ISO 8601 in UTC, to the second, with a Z."""
    return time.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


def moment(time: datetime) -> str:
    """A time as people read it: in UTC, to the second."""
    return time.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "seconds") + " UTC"


def span(length: timedelta) -> str:
    """A length of time in its two largest units, without a sign: `3 d 4 h`, `59 s`."""
    left = round(abs(length.total_seconds()))
    parts: list[str] = []
    for unit, seconds in _UNITS:
        count, left = divmod(left, seconds)
        if count or parts or unit == "s":
            parts.append(f"{count} {unit}")
    return " ".join(part for part in parts[:2] if part == parts[0] or not part.startswith("0 "))


def when(time: datetime, now: datetime) -> str:
    """A time, and how far from now it is."""
    return f"{moment(time)}, {f'in {span(time - now)}' if time > now else f'{span(now - time)} ago'}"
