"""HTTP/1.1 and HTTP/1.0, the server's side: RFC 9112."""

from staplesrv.http.http1.connection import HTTP1Connection

__all__ = ["HTTP1Connection"]
