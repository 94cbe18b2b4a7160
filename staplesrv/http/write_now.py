"""How to send at once what is written in another connection's turn, where a transport can do so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def write_now(transport: Any) -> Callable[[bytes], None]:
    """Return a transport's `write_now`, or its `write` where it has none.

    Asked of the class: Twisted's TLS over another transport hands down what it does not know to the one below, which
    would send plaintext.

    Args:
        transport: Any transport of Twisted's or ours.
    """
    found: Callable[[bytes], None] = transport.write_now if hasattr(type(transport), "write_now") else transport.write
    return found
