"""Header blocks: HPACK (RFC 7541), written without a dynamic table and read with one.

What is sent depends on no connection, so that a response's block is made once for all of them, and tells an attacker
nothing about other fields by its length. It costs some bytes per response, and saves 20 us of 30. What is read goes
through the `hpack` library, but for blocks that are as they were before.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from hpack import Decoder, HPACKError, OversizedHeaderListError
from hpack.table import HeaderTable

from staplesrv.http.fields import Field, Fields
from staplesrv.http.http2.frames import Code, ConnectionFault

EMPTY_TABLE = b"\x20"
"""Says that the dynamic table has no room from now on: RFC 7541 §4.2 asks for it where the client made it smaller."""

_STATIC: dict[bytes, int] = {}
for _index, (_name, _) in enumerate(HeaderTable.STATIC_TABLE, 1):
    _STATIC.setdefault(_name, _index)

_STATUS_NAME = 8
_STATUSES = {200: 8, 204: 9, 206: 10, 304: 11, 400: 12, 404: 13, 500: 14}
"""Those that are in the static table."""


# Prefixes of RFC 7541 §5 and §6: as large as they are, a number goes on in further bytes.
_LONG_INDEX = 0xFF  # of an indexed field
_LONG_NAME = 0x0F  # of a literal's name
_LONG_STRING = 0x7F
_INDEXED = 0x80
_MORE = 0x80  # another byte of the number follows
_CHANGES_TABLE = range(0x20, 0x80)  # literals with indexing, and sizes of the table


@cache
def status_block(status: int) -> bytes:
    """Return `:status` as it begins a block; there are 600 of them at most."""
    index = _STATUSES.get(status)
    return bytes([0x80 | index]) if index else b"%c\x03%d" % (_STATUS_NAME, status)


def encoded(fields: Iterable[Field]) -> bytes:
    """Return fields as literals without indexing (RFC 7541 §6.2.2), strings as they are.

    Args:
        fields: Names in lower case.
    """
    return b"".join([_name_block(name) + _length(len(value)) + value for name, value in fields])


def _name_block(name: bytes) -> bytes:
    index = _STATIC.get(name)
    return _integer(index, _LONG_NAME) if index else b"\0" + _length(len(name)) + name


def _length(length: int) -> bytes:
    return bytes((length,)) if length < _LONG_STRING else _integer(length, _LONG_STRING)


def _integer(number: int, prefix: int) -> bytes:
    """Write a number after RFC 7541 §5.1, where the bits before the prefix are zero."""
    if number < prefix:
        return bytes((number,))
    made = bytearray((prefix,))
    number -= prefix
    while number >= _MORE:
        made.append(number & 0x7F | _MORE)
        number >>= 7
    made.append(number)
    return bytes(made)


class BlockReader:
    """Decodes a connection's header blocks.

    Args:
        most: Bytes of fields, as RFC 9113 §6.5.2 counts them, beyond which the connection ends: the decoder's table
            has lost its place by then.
    """

    __slots__ = ("_decoder",)

    def __init__(self, most: int) -> None:
        self._decoder = Decoder(most)

    def read(self, block: bytes) -> Fields:
        """Decode a block.

        Raises:
            ConnectionFault: it is none, or a bomb.
        """
        try:
            return tuple(self._decoder.decode(block, raw=True))
        except OversizedHeaderListError:
            raise ConnectionFault(Code.ENHANCE_YOUR_CALM) from None
        except HPACKError:
            raise ConnectionFault(Code.COMPRESSION_ERROR) from None


def keeps_table(block: bytes) -> bool:
    """Tell whether a block, which can be decoded, surely leaves the dynamic table as it is.

    Then the same bytes mean the same fields until some other block changes the table. Such is the whole of what most
    clients send once they are warm: indexed fields, and literals without indexing. Lengths and indices that take more
    bytes than are usual count as a change.
    """
    at = 0
    while at < len(block):
        first = block[at]
        at += 1
        if first in _CHANGES_TABLE or first == _LONG_INDEX:
            return False
        if first < _INDEXED:
            at = _after_string(block, _after_name(block, at, first & 0x0F))
    return at == len(block)


def _after_name(block: bytes, at: int, index: int) -> int:
    """Return where a literal's name ends; beyond the end of the block for an unusual one."""
    if not index:
        return _after_string(block, at)
    if index < _LONG_NAME:
        return at
    return at + 1 if block[at : at + 1] < b"\x80" else len(block) + 1


def _after_string(block: bytes, at: int) -> int:
    """Return where a string ends; beyond the end of the block for an unusual one."""
    if at >= len(block):
        return len(block) + 1
    length = block[at] & 0x7F
    return len(block) + 1 if length == _LONG_STRING else at + 1 + length
