"""Messages between supervisor and worker, and descriptors beside them."""

from __future__ import annotations

import os
import struct

from hypothesis import given
from hypothesis import strategies as st
from server.processes.fake_reactor import FakeTransport
from twisted.internet.protocol import connectionDone

from staplesrv.server.processes.channel import Channel


class End:
    """One end, with a fake transport."""

    def __init__(self, longest: int | None = None) -> None:
        self.received: list[bytes] = []
        self.lost = 0
        self.channel = Channel(self.received.append, self._lost, longest=longest)
        self.transport = FakeTransport()
        self.channel.makeConnection(self.transport)

    def _lost(self) -> None:
        self.lost += 1


@given(st.lists(st.binary(max_size=40)), st.lists(st.integers(1, 30)))
def test_messages_arrive_whole_however_they_are_split(messages: list[bytes], sizes: list[int]) -> None:
    """In order, empty ones too."""
    sender, receiver = End(), End()
    for message in messages:
        sender.channel.send(message)
    data = sender.transport.value()
    for size in sizes:
        receiver.channel.dataReceived(data[:size])
        data = data[size:]
    receiver.channel.dataReceived(data)
    assert receiver.received == messages


def test_what_is_too_long_ends_the_connection() -> None:
    """By its length alone, before any of it is kept."""
    end = End(longest=4)
    end.channel.dataReceived(struct.pack("!I", 4) + b"abcd" + struct.pack("!I", 5))
    assert end.received == [b"abcd"]
    assert end.transport.disconnected


def test_descriptors_go_before_their_message() -> None:
    """As many as there are."""
    end = End()
    end.channel.send(b"a message", [0, 1])
    assert end.transport.descriptors == 2


def test_descriptors_that_nobody_took_are_closed_in_the_end() -> None:
    """They are not inherited by other programs meanwhile."""
    end = End()
    one, other = os.pipe()
    os.close(other)
    os.set_inheritable(one, True)
    end.channel.fileDescriptorReceived(one)
    assert not os.get_inheritable(one)
    end.channel.connectionLost(connectionDone)
    assert end.lost == 1
    try:
        os.fstat(one)
    except OSError:
        return
    raise AssertionError("it is still open")


def test_a_reader_that_is_slow_shows() -> None:
    """So that lines for the log can be left out."""
    end = End()
    end.transport.producer.pauseProducing()
    assert end.channel.full
    end.transport.producer.resumeProducing()
    assert not end.channel.full


def test_nothing_is_sent_to_somebody_who_has_gone() -> None:
    """And nothing is raised."""
    end = End()
    end.transport.connected = False
    end.channel.send(b"a")
    assert end.transport.value() == b""
