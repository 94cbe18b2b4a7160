"""What an ACME server asks for over plain HTTP before it issues a certificate: RFC 8555 §8.3."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from staplesrv.http.pages import page, page_with
from staplesrv.http.request import Request
from staplesrv.http.response import Response

_PREFIX = b"/.well-known/acme-challenge/"
_TOKEN = re.compile(rb"[A-Za-z0-9_-]{1,255}")
"""RFC 8555 §8.3: base64url. So there is no way out of the folder."""

_LONGEST = 4096
"""Bytes. A key authorization is a token and a hash."""

_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class AcmeChallenges:
    """Answers from a folder that an ACME client writes to.

    Args:
        folder: Has a file for each token, and nothing else that anybody gets.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def answer(self, request: Request) -> Response | None:
        """Return the answer to a request; None where it asks for something else."""
        path = request.path
        if not path.startswith(_PREFIX):
            return None
        if request.method not in {b"GET", b"HEAD"}:
            return page_with(405, ((b"Allow", b"GET, HEAD"),))
        token = path.removeprefix(_PREFIX)
        content = self._read(token.decode()) if _TOKEN.fullmatch(token) else None
        if content is None:
            return page(404)
        return Response(200, ((b"Content-Type", b"application/octet-stream"), (b"Cache-Control", b"no-store")), content)

    def _read(self, token: str) -> bytes | None:
        """Return what a token's file has; None where it can't be read, or is no plain file."""
        try:
            descriptor = os.open(self._folder / token, _FLAGS)
        except OSError:
            return None
        try:
            found = os.fstat(descriptor)
            plain = stat.S_ISREG(found.st_mode) and found.st_size <= _LONGEST
            return os.read(descriptor, _LONGEST) if plain else None
        except OSError:
            return None
        finally:
            os.close(descriptor)
