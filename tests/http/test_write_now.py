"""Sending in another connection's turn."""

from __future__ import annotations

from twisted.protocols.policies import ProtocolWrapper, WrappingFactory

from staplesrv.http.write_now import write_now


class Eager:
    """A transport that can send at once."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes]] = []

    def write(self, data: bytes) -> None:
        """Send later."""
        self.sent.append(("write", data))

    def write_now(self, data: bytes) -> None:
        """Send at once."""
        self.sent.append(("write_now", data))


def test_a_transport_that_can() -> None:
    """What can send at once does."""
    transport = Eager()
    write_now(transport)(b"x")
    assert transport.sent == [("write_now", b"x")]


def test_what_is_between_is_not_passed_by() -> None:
    """A wrapper that hands down what it does not know, as Twisted's TLS is one, gets the bytes all the same."""
    transport = Eager()
    wrapper = ProtocolWrapper(WrappingFactory(None), None)
    wrapper.transport = transport
    assert wrapper.write_now == transport.write_now
    assert write_now(wrapper) == wrapper.write
