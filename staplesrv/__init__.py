"""A TLS server and library on Twisted that staples a fresh OCSP response to every handshake."""

from __future__ import annotations

__version__ = "0.1.0"
