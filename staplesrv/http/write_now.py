"""What a transport can do by itself; above all, send at once what is written in another connection's turn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def has_own(transport: Any, method: str) -> bool:
    """Tell whether a transport has a method, and not only the one below it.

    Asked of the class: Twisted's TLS over another transport hands down what it does not know. There plaintext would be
    sent, or the records cut that are still to be sent.

    Args:
        transport: Any transport of Twisted's or ours.
        method: Its name.
    """
    return hasattr(type(transport), method)


def write_now(transport: Any) -> Callable[[bytes], None]:
    """Return a transport's own `write_now`, or its `write` where it has none.

    Args:
        transport: Any transport of Twisted's or ours.
    """
    found: Callable[[bytes], None] = transport.write_now if has_own(transport, "write_now") else transport.write
    return found
