"""Private keys for throw-away certificates."""

from __future__ import annotations

from typing import Literal, TypeAlias

from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

KeyKind: TypeAlias = Literal["ec", "ec384", "rsa", "ed25519", "ed448"]
"""What to make: EC P-256 (40 us), EC P-384, RSA 2048 (some 50 ms), Ed25519 or Ed448."""

PrivateKey: TypeAlias = (
    ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey
)


def make_key(kind: KeyKind | PrivateKey = "ec") -> PrivateKey:
    """Make a new private key.

    Args:
        kind: The kind of key; a key that exists already is handed back as it is.

    Returns:
        The key.

    Raises:
        ValueError: If there is no such kind.
    """
    if not isinstance(kind, str):
        return kind
    match kind:
        case "ec":
            return ec.generate_private_key(ec.SECP256R1())
        case "ec384":
            return ec.generate_private_key(ec.SECP384R1())
        case "rsa":
            return rsa.generate_private_key(public_exponent=65537, key_size=2048)
        case "ed25519":
            return ed25519.Ed25519PrivateKey.generate()
        case "ed448":
            return ed448.Ed448PrivateKey.generate()
    raise ValueError(f"no such kind of key: {kind!r}")
