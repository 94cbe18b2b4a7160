"""A protocol of ours on a socket that is connected already: one end of a pair."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.protocol import Factory, Protocol


def adopt(reactor: Any, one: socket.socket, protocol: Protocol) -> None:
    """Have a protocol speak on a UNIX socket.

    Args:
        reactor: The reactor. It has a descriptor of its own then.
        one: The socket; the caller closes it.
        protocol: Begins at once.
    """
    one.setblocking(False)
    reactor.adoptStreamConnection(one.fileno(), socket.AF_UNIX, Factory.forProtocol(lambda: protocol))
