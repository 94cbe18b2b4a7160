"""What a supervisor tells its workers.

As pickles: whoever sends them is root, or the same user, and has loaded the same code; and they carry any frozen value
of the configuration as it is. Nothing is ever unpickled that came from a worker; see `reports`.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, get_args

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)

from staplesrv.server.config import Configuration
from staplesrv.staples.cache import Held, Reason
from staplesrv.tls.limits import Limits
from staplesrv.tls.loaded import LoadedSite


@dataclass(frozen=True, slots=True)
class Staple:
    """What there is for one leaf.

    Args:
        fingerprint: SHA-256 of its DER.
        held: Its staple.
        reason: Why there is one, or none.
    """

    fingerprint: bytes
    held: Held | None
    reason: Reason


@dataclass(frozen=True, slots=True)
class Prepare:
    """Make what a configuration asks for, beside what there is, and tell whether it can be.

    Args:
        round: Comes back in the report.
        configuration: All of it.
        limits: What clients may take of one worker.
        sockets: Endpoints whose sockets come along, with how many those are.
    """

    round: int
    configuration: Configuration
    limits: Limits
    sockets: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Abandon:
    """Drop what was prepared last: another worker could not, or something else went wrong."""


@dataclass(frozen=True, slots=True)
class Adopt:
    """Have what was prepared last behind the sites, before the sites are there."""


@dataclass(frozen=True, slots=True)
class Show:
    """Show these sites in handshakes, and no others.

    Args:
        sites: Each with its number; without what its files say where the worker has that number.
        staples: All that are not as they were.
    """

    sites: tuple[tuple[int, LoadedSite | None], ...]
    staples: tuple[Staple, ...]


@dataclass(frozen=True, slots=True)
class Settle:
    """Let go of what is not needed any more, and listen where the configuration says so; then report."""


@dataclass(frozen=True, slots=True)
class Renew:
    """Have these staples from now on."""

    staples: tuple[Staple, ...]


@dataclass(frozen=True, slots=True)
class ReopenLogs:
    """The log files were renamed."""


@dataclass(frozen=True, slots=True)
class Drain:
    """Accept no more, and leave when everybody was served.

    Args:
        seconds: When to leave at the latest.
    """

    seconds: float


Order = Prepare | Abandon | Adopt | Show | Settle | Renew | ReopenLogs | Drain


def packed(order: Order) -> bytes:
    """Write an order down."""
    out = io.BytesIO()
    _Pickler(out, pickle.HIGHEST_PROTOCOL).dump(order)
    return out.getvalue()


def unpacked(data: bytes) -> Order:
    """Read an order, which only the supervisor can have sent."""
    order: Order = pickle.loads(data)  # noqa: S301 - see the head of the module
    return order


class _Pickler(pickle.Pickler):
    """Knows certificates and keys as their DER, and what else can't be pickled."""

    def reducer_override(self, value: Any) -> Any:
        """Say how to make a value again."""
        if isinstance(value, x509.Certificate):
            return _certificate, (value.public_bytes(Encoding.DER),)
        if isinstance(value, get_args(PrivateKeyTypes)):
            return _key, (value.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()),)
        if isinstance(value, MappingProxyType):
            return _mapping, (dict(value),)
        return NotImplemented


def _mapping(items: dict[Any, Any]) -> Mapping[Any, Any]:
    return MappingProxyType(items)


def _certificate(der: bytes) -> x509.Certificate:
    return x509.load_der_x509_certificate(der)


def _key(der: bytes) -> PrivateKeyTypes:
    return load_der_private_key(der, None)
