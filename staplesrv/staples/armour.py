"""What a file holds: DER, PEM or bare base64. Told apart by content, never by the file's name.

Pure: bytes in, DER out.
"""

from __future__ import annotations

import binascii
import codecs
import re
from dataclasses import dataclass

from cryptography import x509

from staplesrv.ocsp.text import UNREADABLE

_BEGIN = re.compile(rb"-----BEGIN ([^-\x00-\x1f\x7f]{1,60})-----")
_SEQUENCE = 0x30
_TEXT = range(0x09, 0x80)
_BASE64 = re.compile(rb"[A-Za-z0-9+/]+={0,2}")

CERTIFICATE = "CERTIFICATE"
RESPONSE = "OCSP RESPONSE"


class BrokenArmour(ValueError):
    """A file that begins like PEM and is none, or holds none of what was looked for. Its text says what is wrong."""


@dataclass(frozen=True, slots=True)
class Block:
    """One PEM block.

    Args:
        label: What stands after BEGIN.
        body: The lines up to END, not decoded.
    """

    label: str
    body: bytes

    @property
    def der(self) -> bytes:
        """What the block holds.

        Raises:
            BrokenArmour: the body is no base64.
        """
        try:
            return binascii.a2b_base64(self.body, strict_mode=True)
        except binascii.Error as error:
            raise BrokenArmour(f"a {self.label} block is no base64") from error


def blocks(data: bytes) -> list[Block]:
    """Take a PEM file apart; text between the blocks is passed over (RFC 7468 §5.2).

    Raises:
        BrokenArmour: a block has no end, or another one begins inside of it.
    """
    found: list[Block] = []
    label: bytes | None = None
    body: list[bytes] = []
    for line in map(bytes.strip, data.removeprefix(codecs.BOM_UTF8).splitlines()):
        begin = _BEGIN.fullmatch(line)
        if begin and label is None:
            label, body = begin[1], []
        elif begin:
            raise BrokenArmour("a PEM block begins before the last one has ended")
        elif label is not None and line == b"-----END " + label + b"-----":
            found.append(Block(label.decode("latin-1"), b"".join(body)))
            label = None
        elif label is not None:
            body.append(line)
    if label is not None:
        raise BrokenArmour("the last PEM block has no end")
    return found


def find_response(data: bytes) -> bytes | None:
    """Find the OCSP response in a file: DER, PEM under any label, or base64 alone.

    Returns:
        DER as far as its wrapping tells; None where the file is none of these.

    Raises:
        BrokenArmour: PEM that can't be decoded.
    """
    if _is_der(data):
        return data
    found = blocks(data)
    if found:
        return next((block for block in found if block.label == RESPONSE), found[0]).der
    return _bare_base64(data)


def response_der(data: bytes) -> bytes:
    """Find the response as `find_response` does; what has none comes back as it is, for the verification to judge.

    Raises:
        BrokenArmour: PEM that can't be decoded.
    """
    found = find_response(data)
    return data if found is None else found


def certificates(data: bytes) -> list[x509.Certificate]:
    """Read the certificates of a file, in its order: DER, PEM among other blocks, or base64 alone.

    Of several, those that can't be read are left out, unless it is the first.

    Raises:
        BrokenArmour: there is none, or the first can't be read.
    """
    ders = [data] if _is_der(data) else _certificate_ders(data)
    if not ders:
        raise BrokenArmour("it holds no certificate")
    loaded = [_load(der) for der in ders]
    if loaded[0] is None:
        raise BrokenArmour(
            "its first certificate can't be read" if len(loaded) > 1 else "its certificate can't be read"
        )
    return [certificate for certificate in loaded if certificate is not None]


def _certificate_ders(data: bytes) -> list[bytes]:
    found = blocks(data)
    if not found:
        bare = _bare_base64(data)
        return [bare] if bare else []
    # `X509 CERTIFICATE` is an old name of the same; `TRUSTED CERTIFICATE` has OpenSSL's own notes behind the DER.
    return [block.der for block in found if block.label in (CERTIFICATE, "X509 CERTIFICATE")]


def _load(der: bytes) -> x509.Certificate | None:
    try:
        return x509.load_der_x509_certificate(der)
    except UNREADABLE:
        return None


def _is_der(data: bytes) -> bool:
    """Whether a file is DER: a SEQUENCE, with a length octet that no text has behind a "0"."""
    return len(data) > 1 and data[0] == _SEQUENCE and data[1] not in _TEXT


def _bare_base64(data: bytes) -> bytes | None:
    """Decode a file that is base64 and nothing else, if what comes out is a SEQUENCE."""
    text = b"".join(data.removeprefix(codecs.BOM_UTF8).split())
    if not _BASE64.fullmatch(text):
        return None
    try:
        der = binascii.a2b_base64(text, strict_mode=True)
    except binascii.Error:
        return None
    return der if der[:1] == bytes([_SEQUENCE]) else None
