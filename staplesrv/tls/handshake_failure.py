"""Why a handshake failed, in words."""

from __future__ import annotations

import re
from typing import Final

from OpenSSL import SSL

from staplesrv.errors import StaplesrvError

# RFC 8446 §6, and what RFC 5246 §7.2 had besides.
_ALERTS: Final = frozenset(
    {
        *("access_denied", "bad_certificate", "bad_certificate_hash_value", "bad_certificate_status_response"),
        *("bad_record_mac", "certificate_expired", "certificate_required", "certificate_revoked"),
        *("certificate_unknown", "certificate_unobtainable", "decode_error", "decompression_failure"),
        *("decrypt_error", "decryption_failed", "export_restriction", "handshake_failure"),
        *("illegal_parameter", "inappropriate_fallback", "insufficient_security", "internal_error"),
        *("missing_extension", "no_application_protocol", "no_certificate", "no_renegotiation"),
        *("protocol_version", "record_overflow", "unexpected_message", "unknown_ca", "unknown_psk_identity"),
        *("unrecognized_name", "unsupported_certificate", "unsupported_extension", "user_cancelled"),
    }
)
# As in "ssl/tls alert handshake failure" (OpenSSL 3), "tls alert handshake failure" (4), "tlsv1 unrecognized name".
_RECEIVED: Final = re.compile(r"(?:ssl/tls|sslv3|tls|tlsv1|tlsv13) (?:alert )?(.+)")


class HandshakeFailed(StaplesrvError):
    """A TLS connection to a server failed, during the handshake or after it; nothing more can be learnt from it.

    Args:
        reason: Why, in one line.
        alert: The name of the alert that the server sent, after RFC 8446 §6; empty where it sent none.
    """

    def __init__(self, reason: str, alert: str = "") -> None:
        super().__init__(reason, alert)
        self.reason = reason
        self.alert = alert

    def __str__(self) -> str:
        return self.reason


def failure(error: SSL.Error) -> HandshakeFailed:
    """Turn what OpenSSL says into an error of ours.

    Args:
        error: Anything pyOpenSSL raises about a connection, other than wanting to read or write.

    Returns:
        The error, to be raised from the other one.
    """
    if isinstance(error, SSL.SysCallError | SSL.ZeroReturnError):
        return HandshakeFailed("the server closed the connection")
    queue = error.args[0] if error.args and isinstance(error.args[0], list) else []
    text = next((str(entry[-1]) for entry in queue if entry[-1]), "TLS failed without a reason")
    received = _RECEIVED.fullmatch(text)
    alert = received[1].replace(" ", "_") if received else ""
    if alert in _ALERTS:
        return HandshakeFailed(f"the server refused with the alert {alert}", alert)
    return HandshakeFailed(text)
