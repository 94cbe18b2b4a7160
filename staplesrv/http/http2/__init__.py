"""HTTP/2, the server's side: RFC 9113, with RFC 8441's extended CONNECT."""

from staplesrv.http.http2.connection import HTTP2Connection

__all__ = ["HTTP2Connection"]
