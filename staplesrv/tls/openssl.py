"""Which calls to OpenSSL are in use: on pyOpenSSL's private `lib`, or on its public API where it has another one."""

from __future__ import annotations

from OpenSSL import SSL

from staplesrv.tls.openssl_calls import Calls
from staplesrv.tls.public_calls import PublicCalls

_OPENSSL_3_6_0 = 0x30600000


def _choose_calls() -> Calls:
    try:
        from staplesrv.tls.private_calls import PrivateCalls  # noqa: PLC0415 - what may be missing is looked for there
    except (ImportError, AttributeError):
        return PublicCalls()
    return PrivateCalls()


calls: Calls = _choose_calls()
"""The ones in use; the contract test runs both kinds."""


def warning(version: int = SSL.OPENSSL_VERSION_NUMBER) -> str | None:
    """Return what an operator should know about this OpenSSL, or None.

    Args:
        version: OPENSSL_VERSION_NUMBER.
    """
    if version >> 4 == _OPENSSL_3_6_0 >> 4:
        # Its client hello answer carries an empty status_request that some clients take for a fault.
        return "OpenSSL 3.6.0 sends a malformed empty status_request; clients may hang up: use 3.6.1 or newer"
    return None
