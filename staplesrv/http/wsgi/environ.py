"""What a WSGI callable is told of a request: PEP 3333, "environ Variables"."""

from __future__ import annotations

import io
import os
from typing import IO, Any
from urllib.parse import unquote_to_bytes
from wsgiref.types import WSGIEnvironment
from wsgiref.util import FileWrapper

from twisted.logger import Logger

from staplesrv.http.client_certificate import claims_one
from staplesrv.http.client_certificate import variables as certificate_variables
from staplesrv.http.exchange import Exchange

_WITHOUT_PREFIX = {b"content-type": "CONTENT_TYPE", b"content-length": "CONTENT_LENGTH"}

_log = Logger()


class ErrorLog(io.TextIOBase):
    """`wsgi.errors`: each line goes to the log."""

    def writable(self) -> bool:
        """Say yes."""
        return True

    def write(self, text: str, /) -> int:
        """Log it."""
        for line in text.splitlines():
            if line.strip():
                _log.error("WSGI application: {line}", line=line)
        return len(text)


_ERRORS = ErrorLog()


def environ(exchange: Exchange, content: IO[bytes]) -> WSGIEnvironment:
    """Return the variables of a request; texts are bytes decoded as ISO 8859-1, as the PEP has it.

    Args:
        exchange: The exchange.
        content: The whole body of the request, at its start.
    """
    request, connection = exchange.request, exchange.connection
    client, client_port = connection.client
    server, server_port = connection.server
    variables: dict[str, Any] = {
        "REQUEST_METHOD": request.method.decode("latin-1"),
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(request.path).decode("latin-1"),
        "QUERY_STRING": (request.query or b"").decode("latin-1"),
        "SERVER_NAME": _host(request.authority.decode("latin-1")) or server or "localhost",
        "SERVER_PORT": str(server_port),
        "SERVER_PROTOCOL": f"HTTP/{request.version}",
        "REMOTE_ADDR": client,
        "REMOTE_PORT": str(client_port),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "https" if connection.secure else "http",
        "wsgi.input": content,
        "wsgi.input_terminated": True,
        "wsgi.errors": _ERRORS,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.file_wrapper": FileWrapper,
    }
    if connection.secure:
        variables["HTTPS"] = "on"
    if connection.asked_for_certificate:
        variables |= certificate_variables(connection.client_certificate)
    _add_fields(variables, exchange)
    if request.length is None:
        # It came without a length, and is complete.
        variables["CONTENT_LENGTH"] = str(content.seek(0, os.SEEK_END))
        content.seek(0)
    return variables


def _add_fields(variables: dict[str, Any], exchange: Exchange) -> None:
    for name, value in exchange.request.fields:
        if b"_" in name or name in {b"proxy", b"transfer-encoding"} or claims_one(name):
            # With an underscore it could pass for another one, and HTTP_PROXY for a setting (CVE-2016-5385).
            continue
        key = _WITHOUT_PREFIX.get(name) or "HTTP_" + name.decode("latin-1").upper().replace("-", "_")
        before = variables.get(key)
        text = value.decode("latin-1")
        # RFC 6265 §5.4, and HTTP/2's way to send crumbs of it: RFC 9113 §8.2.3.
        variables[key] = text if before is None else before + ("; " if name == b"cookie" else ", ") + text


def _host(authority: str) -> str:
    """Return the host of an authority without its port; of an IPv6 address the brackets stay (RFC 3875 §4.1.14)."""
    host, colon, port = authority.rpartition(":")
    return host if colon and port.isdecimal() else authority.rstrip(":")
