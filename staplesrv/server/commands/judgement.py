"""What is said of one OCSP response: the keys of a JSON object, the same as lines. `verify` and `check` share them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypeAlias

from staplesrv.ocsp.response import Revoked, VerifiedResponse
from staplesrv.ops import text

Judgement: TypeAlias = dict[str, Any]
"""Always has every key of `_KEYS`; what a response does not say, or what nobody believes it, is None."""

_KEYS = (
    "verdict",
    "reason",
    "detail",
    "serial_number",
    "cert_id_hash",
    "signer",
    "produced_at",
    "this_update",
    "next_update",
    "expires",
    "cut_off",
    "revoked_at",
    "revocation_reason",
)


def verified(response: VerifiedResponse) -> Judgement:
    """Describe a response that passed every check; its verdict is its status."""
    said: Judgement = dict.fromkeys(_KEYS)
    said |= {
        "verdict": response.status,
        "serial_number": f"{response.cert_id.serial_number:x}",
        "cert_id_hash": response.cert_id.hash_name,
        "signer": response.signer,
        "produced_at": response.produced_at,
        "this_update": response.this_update,
        "next_update": response.next_update,
        "expires": response.expires,
        "cut_off": response.cut_off,
    }
    if isinstance(response, Revoked):
        said |= {"revoked_at": response.revoked_at, "revocation_reason": response.revocation_reason}
    return said


def rejected(reason: str, detail: str) -> Judgement:
    """Describe a response that failed a check, so that nothing in it is believed."""
    return {**dict.fromkeys(_KEYS), "verdict": "rejected", "reason": str(reason), "detail": detail}


def headline(said: Judgement) -> str:
    """The verdict in the words that scripts look for."""
    return f"rejected: {said['reason']}" if said["verdict"] == "rejected" else str(said["verdict"])


def rows(said: Judgement, now: datetime) -> list[tuple[str, str]]:
    """The rest as labels and texts, for `text.columns`; times with their distance from now."""
    if said["verdict"] == "rejected":
        return [("because", said["detail"])]
    times = {key: text.when(value, now) for key, value in said.items() if isinstance(value, datetime)}
    return [
        ("revoked", times.get("revoked_at", "")),
        ("reason", said["revocation_reason"] or ""),
        ("serial", f"{said['serial_number']} (CertID under {said['cert_id_hash']})"),
        ("signer", said["signer"]),
        ("produced", times["produced_at"]),
        ("thisUpdate", times["this_update"]),
        ("nextUpdate", times.get("next_update", "none")),
        ("expires", times["expires"]),
        ("cut-off", times["cut_off"]),
    ]
