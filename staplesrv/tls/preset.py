"""Protocol versions, ciphers and groups, after Mozilla's Server Side TLS guidelines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from OpenSSL import SSL

PresetName = Literal["modern", "intermediate"]

# Server Side TLS guidelines 6.0, which say the same here as 5.8: no finite-field Diffie-Hellman any more, and no order
# of the server's own, so that phones without AES in hardware get ChaCha20.
_SUITES = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
_CIPHERS = (
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-CHACHA20-POLY1305",
)
_GROUPS = ("X25519MLKEM768", "X25519", "prime256v1", "secp384r1")


@dataclass(frozen=True, slots=True)
class Preset:
    """One of Mozilla's configurations.

    Args:
        min_version: The oldest protocol version, as pyOpenSSL numbers them.
        suites: TLS 1.3 cipher suites.
        ciphers: TLS 1.2 ciphers; none where TLS 1.2 is off.
        groups: Key exchange groups, in order.
    """

    min_version: int
    suites: tuple[str, ...]
    ciphers: tuple[str, ...]
    groups: tuple[str, ...]


PRESETS: Mapping[PresetName, Preset] = {
    "modern": Preset(SSL.TLS1_3_VERSION, _SUITES, (), _GROUPS),
    "intermediate": Preset(SSL.TLS1_2_VERSION, _SUITES, _CIPHERS, _GROUPS),
}
