"""What responses and certificates say, made fit for one line of a log: printable, and not too long."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

MAX_TEXT: Final = 200
"""Characters that are kept of a name or a message: a hostile one could fill the log."""

UNREADABLE: Final = (
    ValueError,
    TypeError,
    KeyError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
    Warning,
)
"""What cryptography raises while an attribute of somebody's certificate is read; KeyError for an unknown TLS feature.

A `Warning` is about names that break the standard; it is raised only where Python is told to turn warnings into errors.
"""


def one_line(text: str) -> str:
    """Replace what is not printable, and cut what is too long."""
    line = text
    if not text.isprintable():
        line = "".join(character if character.isprintable() else "?" for character in text)
    return line if len(line) <= MAX_TEXT else f"{line[:MAX_TEXT]}..."


def name_text(certificate: x509.Certificate) -> str:
    """The subject of a certificate (RFC 4514), whatever is in it."""
    try:
        return name_line(certificate.subject)
    except UNREADABLE:
        return "a name that can't be read"


def name_line(name: x509.Name) -> str:
    """A name (RFC 4514), whatever is in it."""
    return one_line(name.rfc4514_string()) or "an empty name"


def moment(time: datetime) -> str:
    """A time in UTC, to the second."""
    return f"{time:%Y-%m-%d %H:%M:%SZ}"
