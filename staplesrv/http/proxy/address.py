"""Where a backend is: what the operator writes, read once."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from staplesrv.errors import OperatorError

_ADVICE = "write http://host:port, https://host:port or unix:/path"
_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[0-9a-z](?:[0-9a-z._-]*[0-9a-z.])?", re.ASCII)


@dataclass(frozen=True, slots=True)
class BackendAddress:
    """A backend's place. To be made by `parse`.

    Args:
        scheme: `http`, `https` or `unix`.
        host: A name or an IP address, in lower case and without brackets; empty for `unix`.
        port: 0 for `unix`.
        path: Of the socket; empty but for `unix`.
    """

    scheme: str
    host: str = ""
    port: int = 0
    path: str = ""

    @classmethod
    def parse(cls, url: str, *, where: str = "proxy") -> BackendAddress:
        """Read a backend's URL.

        Args:
            url: `http://host[:port]`, `https://host[:port]` or `unix:/path`; without a path of its own, since the
                request's is passed on as it came.
            where: What an error names as its place.

        Raises:
            OperatorError: it is none.
        """
        if url.startswith("unix:"):
            return cls("unix", path=_socket(url, where))
        if not url.isprintable():
            # urlsplit would leave some of it out.
            raise OperatorError(where, f"{url!r} has more than a host and a port", _ADVICE)
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise OperatorError(where, f"{url!r} is no URL ({error})", _ADVICE) from error
        if parts.scheme not in _PORTS:
            raise OperatorError(where, f"{url!r} has no scheme that a backend can have", _ADVICE)
        if "@" in parts.netloc or parts.path not in {"", "/"} or "?" in url or "#" in url:
            raise OperatorError(where, f"{url!r} has more than a host and a port", _ADVICE)
        return cls(parts.scheme, _host(parts, url, where), _PORTS[parts.scheme] if port is None else port)

    @property
    def authority(self) -> bytes:
        """What Host says of it: the host, and the port where it is not the scheme's own."""
        if self.scheme == "unix":
            return b"localhost"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return (host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}").encode("ascii")

    def __str__(self) -> str:
        if self.scheme == "unix":
            return f"unix:{self.path}"
        return f"{self.scheme}://{self.authority.decode()}"


def _host(parts: SplitResult, url: str, where: str) -> str:
    host = parts.hostname or ""
    # urlsplit has checked what stands in brackets, and lets anything pass outside of them.
    if not (parts.netloc.startswith("[") and "%" not in host) and _HOST.fullmatch(host) is None:
        raise OperatorError(where, f"{url!r} has no host that can be connected to", _ADVICE)
    if parts.port == 0 or parts.netloc.endswith(":"):
        raise OperatorError(where, f"{url!r} has no port that can be connected to", _ADVICE)
    return host


def _socket(url: str, where: str) -> str:
    path = url.removeprefix("unix:")
    if not path.startswith("/") or "\0" in path:
        raise OperatorError(where, f"{url!r} has no absolute path", _ADVICE)
    return path
