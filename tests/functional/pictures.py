"""A page of pictures, which says how many of them came and over which protocol."""

from __future__ import annotations

import struct
import zlib

_PAGE = """\
<!doctype html><title>pictures</title><p id="told">waiting</p>
<script>
  addEventListener("load", () => {
    const shown = [...document.images].filter((image) => image.naturalWidth === 8).length;
    const protocols = performance.getEntriesByType("resource").map((entry) => entry.nextHopProtocol);
    document.getElementById("told").textContent = shown + " pictures over " + [...new Set(protocols)].join(" and ");
  });
</script>
"""


def page(count: int) -> str:
    """Return the page."""
    return _PAGE + "".join(f'<img src="pictures/{number}.png">\n' for number in range(count))


def picture(number: int) -> bytes:
    """Return a PNG of eight pixels square, in a colour for each number below 65536."""
    row = b"\0" + bytes((number >> 8, number & 255, 128)) * 8
    header = struct.pack("!IIBBBBB", 8, 8, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(row * 8)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack("!I", len(data)) + kind + data + struct.pack("!I", zlib.crc32(kind + data))
