"""A backend behind the proxy: `python http_backend.py PORT`. HTTP/1.1 in the clear, a thread for each connection."""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from functional.pictures import page, picture

BLOCK = bytes(range(256)) * 256


class Backend(BaseHTTPRequestHandler):
    """Does what the path says; unknown paths are 404."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """Answer."""
        _, what, *rest = self.path.partition("?")[0].split("/")
        actions: dict[str, Callable[[str], None]] = {
            "": lambda _rest: self._send(page(100).encode(), "text/html; charset=utf-8"),
            "pictures": lambda name: self._send(picture(int(name.removesuffix(".png"))), "image/png"),
            "bytes": self._bytes,
            "fields": lambda _rest: self._send(json.dumps(self.headers.items()).encode()),
            "hints": self._hints,
            "late": self._late,
            "trailers": self._trailers,
            "cut": self._cut,
        }
        actions.get(what, lambda _rest: self.send_error(404))("/".join(rest))

    do_HEAD = do_GET

    def do_POST(self) -> None:
        """Answer with the length and SHA-256 of the body."""
        digest, size = hashlib.sha256(), 0
        for piece in self._body():
            digest.update(piece)
            size += len(piece)
        self._send(f"{size} {digest.hexdigest()}".encode())

    do_PUT = do_POST

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""

    def _body(self) -> Iterator[bytes]:
        if self.headers.get("Transfer-Encoding") != "chunked":
            left = int(self.headers.get("Content-Length", 0))
            while left and (piece := self.rfile.read(min(left, len(BLOCK)))):
                left -= len(piece)
                yield piece
            return
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass

    def _send(self, body: bytes, kind: str = "text/plain") -> None:
        self._head(("Content-Type", kind), ("Content-Length", str(len(body))))
        if self.command != "HEAD":
            self.wfile.write(body)

    def _head(self, *fields: tuple[str, str]) -> None:
        self.send_response(200)
        for field in fields:
            self.send_header(*field)
        self.end_headers()

    def _bytes(self, count: str) -> None:
        """Send so many bytes, a pattern."""
        left = int(count)
        self._head(("Content-Length", count))
        while left:
            piece = BLOCK[:left]
            self.wfile.write(piece)
            left -= len(piece)

    def _hints(self, _rest: str) -> None:
        """RFC 8297: an early word about what the page needs."""
        self.send_response_only(103)
        self.send_header("Link", "</style.css>; rel=preload")
        self.end_headers()
        self._send(b"hinted")

    def _late(self, seconds: str) -> None:
        """Take its time."""
        time.sleep(float(seconds))
        self._send(b"late")

    def _trailers(self, _rest: str) -> None:
        """RFC 9112 §7.1.2: a field that is known when the body is."""
        self._head(("Transfer-Encoding", "chunked"), ("Trailer", "X-Checksum"))
        self.wfile.write(b"6\r\nhello\n\r\n0\r\nX-Checksum: abc\r\n\r\n")

    def _cut(self, _rest: str) -> None:
        """Promise more than comes."""
        self._head(("Content-Length", "1000"))
        self.wfile.write(b"not so many")
        self.close_connection = True


def main() -> None:
    """Serve until ended."""
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Backend)
    server.daemon_threads = True
    server.serve_forever()


if __name__ == "__main__":
    main()
