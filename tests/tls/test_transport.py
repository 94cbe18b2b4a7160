"""TLS straight on the socket. Where OpenSSL has to say odd things a script plays it; in the end it is the real one."""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

import pytest
from OpenSSL import SSL
from tls.caller import Caller
from tls.hand_reactor import HandReactor
from tls.world import World
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IConsumer,
    IHalfCloseableProtocol,
    IHandshakeListener,
    INegotiated,
    IPullProducer,
    IPushProducer,
    IReadWriteDescriptor,
    ISSLTransport,
    ITCPTransport,
    ITLSTransport,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer
from zope.interface.verify import verifyObject

from staplesrv.tls.connections import Closed, Connections
from staplesrv.tls.limits import Limits
from staplesrv.tls.lingering import LINGER_SECONDS
from staplesrv.tls.openssl_calls import Calls, Want
from staplesrv.tls.output import PIECE
from staplesrv.tls.port import TLSPort
from staplesrv.tls.transport import TLSTransport

PEER = IPv4Address("TCP", "192.0.2.7", 4711)
RESET = SSL.SysCallError(104, "ECONNRESET")
FAULT = SSL.Error([("SSL routines", "", "bad record mac")])
HTTP = SSL.Error([("SSL routines", "", "http request")])


class ScriptedCalls:
    """OpenSSL by script: what each call returns or raises next; without a script all goes well and nothing comes."""

    def __init__(self) -> None:
        self.handshakes: deque[Any] = deque()
        self.reads: deque[Any] = deque()
        self.writes: deque[Any] = deque()
        self.closes: deque[Any] = deque()
        self.offered: list[bytes] = []
        self.written = b""
        self.calls: list[str] = []

    def _next(self, call: str, script: deque[Any], otherwise: Any) -> Any:
        self.calls.append(call)
        outcome = script.popleft() if script else otherwise
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    def accept(self, _context: object, _connected: object) -> None:
        """Nothing to do."""

    def handshake(self, _connection: object) -> Any:
        """Done, unless said otherwise."""
        return self._next("handshake", self.handshakes, None)

    def read(self, _connection: object) -> Any:
        """Nothing there, unless said otherwise."""
        assert _connection is not None
        return self._next("read", self.reads, Want.READABLE)

    def write(self, _connection: object, data: bytes | memoryview) -> Any:
        """All of it, unless said otherwise."""
        assert _connection is not None
        self.offered.append(bytes(data))
        count = self._next("write", self.writes, len(data))
        if type(count) is int:
            self.written += data[:count]
        return count

    def close(self, _connection: object) -> Any:
        """Said, unless said otherwise."""
        assert _connection is not None
        return self._next("close", self.closes, None)


class FakeConnection:
    """What a transport asks pyOpenSSL's connection."""

    acceptable: Sequence[bytes] = (b"http/1.1",)
    version = 0x0304
    counted = 0

    def count(self) -> None:
        """Count."""
        self.counted += 1

    def get_protocol_version(self) -> int:
        """Return it."""
        return self.version

    def get_alpn_proto_negotiated(self) -> bytes:
        """Return it."""
        return b"http/1.1"

    def get_peer_certificate(self) -> str:
        """Return it."""
        return "a certificate"


@implementer(IHandshakeListener)
class Recorder(Protocol):
    """Records its calls, and does at each what a test says."""

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.reason: Any = None
        self.does: dict[str, Any] = {}

    def _called(self, name: str, *what: Any) -> None:
        self.calls.append((name, *what) if what else name)
        if name in self.does:
            self.does[name]()

    def connectionMade(self) -> None:
        """Record."""
        self._called("made")

    def handshakeCompleted(self) -> None:
        """Record."""
        self._called("handshake")

    def dataReceived(self, data: bytes) -> None:
        """Record."""
        self._called("data", data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Record."""
        self.reason = reason.value
        self._called("lost", type(reason.value))


@implementer(IHalfCloseableProtocol)
class HalfCloseable(Recorder):
    """And can do with one direction."""

    def readConnectionLost(self) -> None:
        """Record."""
        self._called("read lost")

    def writeConnectionLost(self) -> None:
        """Record."""
        self._called("write lost")


class Stage:
    """A transport on one end of a pair of sockets, with a reactor that records what it is to watch."""

    def __init__(self, protocol: Recorder, **limits: Any) -> None:
        self.reactor = HandReactor()
        self.connections = Connections(Limits(**limits), self.reactor)
        assert self.connections.admit("a")
        self.openssl = ScriptedCalls()
        self.tls = FakeConnection()
        self.near, self.far = socket.socketpair()
        self.far.setblocking(False)
        self.protocol = protocol
        self.transport = TLSTransport(
            self.near,
            protocol,
            PEER,
            0,
            self.reactor,
            self.tls,  # type: ignore[arg-type]
            self.openssl,  # type: ignore[arg-type]
            self.connections,
            "a",
        )
        protocol.makeConnection(self.transport)

    def begin(self) -> None:
        """Take the first turn, in which the handshake is done."""
        self.transport.doRead()
        self.openssl.calls.clear()
        self.protocol.calls.clear()

    def readable(self, *reads: Any) -> None:
        """Have OpenSSL say these things when it is asked to read, and tell the transport that it may.

        The transport asks the kernel before it reads more than one record, so something is there then.
        """
        self.openssl.reads.extend(reads)
        if len(reads) > 1:
            self.far.send(b"more than one record")
        self.transport.doRead()
        with suppress(OSError):
            self.near.recv(100)

    @property
    def watched(self) -> str:
        """What the reactor watches the socket for."""
        return "r" * (self.transport in self.reactor.readers) + "w" * (self.transport in self.reactor.writers)

    @property
    def closed(self) -> bool:
        """Whether nothing is left: socket, watch and count."""
        closed = self.near.fileno() == -1
        assert closed == (self.connections.open == 0)
        assert not (closed and self.watched)
        return closed

    def close(self) -> None:
        """Close the sockets."""
        self.near.close()
        self.far.close()


@pytest.fixture
def fresh() -> Iterator[Stage]:
    """A connection whose handshake is not done."""
    stage = Stage(Recorder())
    yield stage
    stage.close()


@pytest.fixture
def stage(fresh: Stage) -> Stage:
    """A connection whose handshake is done."""
    fresh.begin()
    return fresh


@pytest.fixture
def half() -> Iterator[Stage]:
    """A connection whose protocol can do with one direction."""
    stage = Stage(HalfCloseable())
    stage.begin()
    yield stage
    stage.close()


class TestInterfaces:
    def test_it_is_a_tls_transport(self, stage: Stage) -> None:
        """As Twisted's protocols ask for, and a descriptor as its reactors do."""
        for interface in (ISSLTransport, ITCPTransport, INegotiated, IConsumer, IPushProducer, IReadWriteDescriptor):
            verifyObject(interface, stage.transport)

    def test_start_tls_is_refused(self, stage: Stage) -> None:
        """It is not announced either: a protocol that looks for it finds out before."""
        assert not ITLSTransport.providedBy(stage.transport)
        with pytest.raises(RuntimeError, match="speaks TLS already"):
            stage.transport.startTLS(object())

    def test_who_is_who(self, stage: Stage) -> None:
        """The peer is whom the port names; the log has the protocol's name."""
        assert stage.transport.getPeer() == PEER
        assert stage.transport.getHandle() is stage.tls
        assert stage.transport.logPrefix() == f"Recorder,0,{PEER.host}"
        assert repr(stage.transport) == f"<TLS Recorder,0,{PEER.host}>"

    def test_what_the_handshake_found(self, stage: Stage) -> None:
        """It can be asked for while the connection lasts, and there is none of it after that."""
        transport = stage.transport
        assert (transport.negotiatedProtocol, transport.getPeerCertificate()) == (b"http/1.1", "a certificate")
        seen: list[object] = []
        stage.protocol.does["lost"] = lambda: seen.extend(
            [transport.negotiatedProtocol, transport.getPeerCertificate()]
        )
        stage.readable(FAULT)
        assert seen == [b"http/1.1", "a certificate"]
        assert (transport.negotiatedProtocol, transport.getPeerCertificate()) == (None, None)


class TestHandshake:
    def test_its_place(self, fresh: Stage) -> None:
        """After the connection is made and before the first data; it is counted once."""
        fresh.openssl.reads.append(b"hello")
        fresh.transport.doRead()
        assert fresh.protocol.calls == ["made", "handshake", ("data", b"hello")]
        assert fresh.tls.counted == 1
        assert fresh.connections.handshakes == 0

    @pytest.mark.parametrize(("want", "watched"), [(Want.READABLE, "r"), (Want.WRITABLE, "w")])
    def test_what_it_waits_for(self, fresh: Stage, want: Want, watched: str) -> None:
        """That and nothing else, whatever the protocol wants meanwhile."""
        fresh.openssl.handshakes.append(want)
        fresh.transport.write(b"early")
        fresh.transport.pauseProducing()
        fresh.transport.doRead()
        assert fresh.watched == watched
        assert fresh.openssl.calls == ["handshake"]
        (fresh.transport.doRead if want is Want.READABLE else fresh.transport.doWrite)()
        assert fresh.openssl.written == b"early"
        assert fresh.watched == ""

    @pytest.mark.parametrize(
        ("error", "reason", "counted"),
        [
            (FAULT, SSL.Error, Closed.HANDSHAKE),
            (HTTP, SSL.Error, Closed.PLAIN_HTTP),
            (RESET, ConnectionLost, Closed.LOST),
        ],
    )
    def test_its_failure(self, fresh: Stage, error: SSL.Error, reason: type[Exception], counted: Closed) -> None:
        """The protocol is told why, and it is counted."""
        fresh.openssl.handshakes.append(error)
        fresh.transport.doRead()
        assert fresh.protocol.calls == ["made", ("lost", reason)]
        assert fresh.connections.closed == {counted: 1}
        assert fresh.closed

    @pytest.mark.parametrize(
        ("acceptable", "told"), [([b"h2"], True), ([b"http/1.1"], True), ([b"imap"], False), ([], False)]
    )
    def test_plain_http(self, fresh: Stage, acceptable: list[bytes], *, told: bool) -> None:
        """Where HTTP is spoken its client is told in words that it can read."""
        fresh.tls.acceptable = acceptable
        fresh.openssl.handshakes.append(HTTP)
        fresh.transport.doRead()
        said = fresh.far.recv(1000)
        assert said.startswith(b"HTTP/1.1 400 ") is told

    def test_the_length_of_what_plain_http_gets(self, fresh: Stage) -> None:
        """It is the length of the body, as clients hold us to."""
        fresh.openssl.handshakes.append(HTTP)
        fresh.transport.doRead()
        head, _, body = fresh.far.recv(1000).partition(b"\r\n\r\n")
        assert f"Content-Length: {len(body)}\r\n".encode() in head

    @pytest.mark.parametrize("how", ["loseConnection", "abortConnection"])
    def test_an_end_before_it(self, fresh: Stage, how: str) -> None:
        """There is nothing to say goodbye to: the connection is aborted."""
        getattr(fresh.transport, how)()
        assert fresh.watched == ""
        fresh.reactor.advance(0)
        assert isinstance(fresh.protocol.reason, ConnectionAborted)
        assert (fresh.openssl.calls, fresh.connections.closed, fresh.connections.handshakes) == ([], {}, 0)
        assert fresh.closed

    def test_an_end_before_it_with_something_to_say(self, fresh: Stage) -> None:
        """That is said first, once the handshake is done; what comes with it is not delivered."""
        fresh.transport.write(b"go away")
        fresh.transport.loseConnection()
        assert not fresh.closed
        fresh.readable(b"hello")
        assert fresh.openssl.calls == ["handshake", "write", "close"]
        assert fresh.protocol.calls == ["made", "handshake", ("lost", ConnectionDone)]


class TestReading:
    def test_records_of_one_turn_are_delivered_together(self, stage: Stage) -> None:
        """One call of the protocol for as much as there is."""
        stage.readable(b"a" * 16384, b"b" * 16384, Want.READABLE)
        assert stage.protocol.calls == [("data", b"a" * 16384 + b"b" * 16384)]
        assert stage.watched == "r"

    def test_after_a_short_record_no_more_is_asked_for(self, stage: Stage) -> None:
        """It is the last one, as a rule; else the socket stays readable."""
        stage.readable(b"GET /", b"more")
        assert stage.openssl.calls == ["read"]
        stage.transport.doRead()
        assert stage.protocol.calls == [("data", b"GET /"), ("data", b"more")]

    def test_after_a_long_and_a_short_record_no_more_is_asked_for(self, stage: Stage) -> None:
        """Else a client that sends one byte a record would have a read for each byte of the limit, in one turn."""
        stage.readable(b"a" * 2000, b"b", b"c", b"d")
        assert stage.openssl.calls == ["read", "read"]
        assert stage.protocol.calls == [("data", b"a" * 2000 + b"b")]
        assert stage.watched == "r"

    def test_a_client_that_sends_without_end(self) -> None:
        """After so many bytes it is another connection's turn."""
        stage = Stage(Recorder(), read_buffer=32768)
        stage.begin()
        stage.readable(*[bytes(16384)] * 9)
        assert stage.openssl.calls == ["read", "read"]
        assert len(stage.protocol.calls[0][1]) == 32768
        assert stage.watched == "r"
        stage.close()

    def test_a_record_without_data(self, stage: Stage) -> None:
        """A ticket, a key update: nothing to deliver, and not the end."""
        stage.readable(Want.READABLE)
        assert stage.protocol.calls == []
        assert stage.watched == "r"

    def test_pausing(self, stage: Stage) -> None:
        """Nothing is read while the protocol wants nothing, and the socket is not watched for it."""
        stage.transport.pauseProducing()
        assert stage.watched == ""
        stage.readable(b"later")
        assert stage.openssl.calls == []
        stage.transport.resumeProducing()
        assert stage.watched == "r"
        stage.transport.doRead()
        assert stage.protocol.calls == [("data", b"later")]

    def test_pausing_while_it_gets_data(self, stage: Stage) -> None:
        """It takes hold at the end of that turn."""
        stage.protocol.does["data"] = stage.transport.pauseProducing
        stage.readable(b"one")
        assert stage.watched == ""

    def test_an_abort_while_it_gets_data(self, stage: Stage) -> None:
        """Nothing that was written goes out, and nothing more is delivered."""

        def abort() -> None:
            stage.transport.write(b"never mind")
            stage.transport.abortConnection()

        stage.protocol.does["data"] = abort
        stage.readable(b"a" * 2000, FAULT)
        stage.transport.doRead()
        stage.transport.doWrite()
        assert (stage.openssl.written, stage.watched) == (b"", "")
        stage.reactor.advance(0)
        assert stage.protocol.calls[1:] == [("lost", ConnectionAborted)]
        assert stage.connections.closed == {}
        assert stage.closed

    @pytest.mark.parametrize(
        ("error", "reason", "counted"), [(RESET, ConnectionLost, "lost"), (FAULT, SSL.Error, "tls-error")]
    )
    def test_an_error(self, stage: Stage, error: SSL.Error, reason: type[Exception], counted: str) -> None:
        """What came before it is delivered."""
        stage.readable(b"a" * 2000, error)
        assert stage.protocol.calls == [("data", b"a" * 2000), ("lost", reason)]
        assert stage.connections.closed == {counted: 1}
        assert stage.closed

    @pytest.mark.parametrize("error", [RESET, FAULT])
    def test_an_error_behind_what_is_answered(self, stage: Stage, error: SSL.Error) -> None:
        """The answer has nowhere to go, which is no mistake of anybody's."""
        stage.protocol.does["data"] = lambda: stage.transport.write(b"answer")
        stage.readable(b"a" * 2000, error)
        assert stage.openssl.written == b""
        assert stage.closed

    def test_the_reactor_notices_the_end(self, stage: Stage) -> None:
        """Without a close_notify it is not an orderly one."""
        stage.transport.readConnectionLost(Failure(ConnectionDone()))  # type: ignore[no-untyped-call]
        assert isinstance(stage.protocol.reason, ConnectionLost)

    def test_the_end_is_told_once(self, stage: Stage) -> None:
        """Whoever else notices it; events that are told late do nothing."""
        stage.readable(RESET)
        stage.transport.connectionLost(Failure(ConnectionLost()))  # type: ignore[no-untyped-call]
        stage.transport.doRead()
        stage.transport.doWrite()
        for call in ("abortConnection", "loseConnection", "pauseProducing", "resumeProducing"):
            getattr(stage.transport, call)()
        stage.transport.write(b"x")
        stage.reactor.advance(1)
        assert stage.protocol.calls == [("lost", ConnectionLost)]
        assert stage.closed


class TestWriting:
    def test_an_answer_goes_out_in_the_turn_of_its_question(self, stage: Stage) -> None:
        """In one piece, and the socket is never watched for writing."""

        def answer() -> None:
            for part in (b"one, ", b"two, ", b"three"):
                stage.transport.write(part)
            assert stage.openssl.written == b""
            assert stage.watched == "r"

        stage.protocol.does["data"] = answer
        stage.readable(b"?")
        assert stage.openssl.offered == [b"one, two, three"]
        assert stage.watched == "r"

    def test_at_other_times_it_waits_for_the_socket(self, stage: Stage) -> None:
        """As with TCP."""
        stage.transport.write(b"news")
        assert (stage.openssl.written, stage.watched) == (b"", "rw")
        stage.transport.doWrite()
        assert (stage.openssl.written, stage.watched) == (b"news", "r")

    def test_what_is_not_to_wait(self, stage: Stage) -> None:
        """It goes out at once, after what waited, and the socket is not watched for writing."""
        stage.transport.write_now(b"news")
        assert (stage.openssl.written, stage.watched) == (b"news", "r")
        stage.transport.write(b", more")
        stage.transport.write_now(b" news")
        assert (stage.openssl.written, stage.watched) == (b"news, more news", "r")

    def test_what_is_not_to_wait_and_has_to(self, stage: Stage) -> None:
        """A full socket is waited for, and an error ends the connection, as at other times."""
        stage.openssl.writes.append(Want.WRITABLE)
        stage.transport.write_now(b"news")
        assert (stage.openssl.written, stage.watched) == (b"", "rw")
        stage.transport.doWrite()
        stage.openssl.writes.append(RESET)
        stage.transport.write_now(b"x")
        assert (stage.openssl.written, stage.closed) == (b"news", True)
        stage.transport.write_now(b"for nobody")

    def test_what_is_not_to_wait_within_a_turn(self, stage: Stage) -> None:
        """It waits for the end of the turn all the same."""
        stage.protocol.does["data"] = lambda: stage.transport.write_now(b"a") or stage.transport.write_now(b"b")
        stage.readable(b"?")
        assert stage.openssl.offered == [b"ab"]

    def test_what_is_not_to_wait_before_the_handshake(self, fresh: Stage) -> None:
        """It waits for that."""
        fresh.transport.write_now(b"early")
        assert fresh.openssl.written == b""
        fresh.transport.doRead()
        assert fresh.openssl.written == b"early"

    @pytest.mark.parametrize("data", [bytearray(b"abc"), memoryview(b"abc")])
    def test_other_kinds_of_bytes(self, stage: Stage, data: Any) -> None:
        """They are taken as they are now, whatever becomes of them later."""
        stage.transport.write(data)
        if isinstance(data, bytearray):
            data[:] = b"xyz"
        stage.transport.doWrite()
        assert stage.openssl.written == b"abc"

    @pytest.mark.parametrize("data", ["text", None, 5])
    def test_what_is_no_bytes(self, stage: Stage, data: Any) -> None:
        """It is refused at once."""
        with pytest.raises(TypeError):
            stage.transport.write(data)
        with pytest.raises(TypeError):
            stage.transport.writeSequence([b"a", data])
        assert stage.watched == "r"

    def test_nothing_to_write(self, stage: Stage) -> None:
        """It is nothing."""
        stage.transport.write(b"")
        stage.transport.writeSequence([])
        assert stage.watched == "r"

    def test_a_sequence(self, stage: Stage) -> None:
        """It goes out as a whole."""
        stage.transport.writeSequence([b"a", b"b"])
        stage.transport.doWrite()
        assert stage.openssl.offered == [b"ab"]

    def test_a_full_socket(self, stage: Stage) -> None:
        """The very same bytes are offered again when it takes more; those that follow come after."""
        stage.openssl.writes.append(Want.WRITABLE)
        stage.transport.write(b"first")
        stage.transport.doWrite()
        assert stage.watched == "rw"
        stage.transport.write(b"second")
        stage.transport.doWrite()
        assert stage.openssl.offered == [b"first", b"first", b"second"]
        assert stage.watched == "r"

    def test_a_write_that_takes_a_part(self, stage: Stage) -> None:
        """The rest of it follows."""
        stage.openssl.writes.append(3)
        stage.transport.write(b"abcdef")
        stage.transport.doWrite()
        assert stage.openssl.offered == [b"abcdef", b"def"]

    def test_a_large_body(self, stage: Stage) -> None:
        """After so many pieces it is another connection's turn."""
        stage.transport.write(bytes(20 * PIECE))
        stage.transport.doWrite()
        assert 1 < len(stage.openssl.offered) < 20
        assert {len(piece) for piece in stage.openssl.offered} == {PIECE}
        assert stage.watched == "rw"
        stage.transport.doWrite()
        stage.transport.doWrite()
        assert len(stage.openssl.written) == 20 * PIECE
        assert stage.watched == "r"

    def test_an_error(self, stage: Stage) -> None:
        """It ends the connection."""
        stage.openssl.writes.append(RESET)
        stage.transport.write(b"x")
        stage.transport.doWrite()
        assert stage.protocol.calls == [("lost", ConnectionLost)]
        assert stage.closed


class TestTheOtherWayRound:
    """OpenSSL wants the opposite of what it was called for: nothing may spin, and nothing may be forgotten."""

    def test_a_write_that_wants_a_read(self, stage: Stage) -> None:
        """The socket, which would take bytes all the time, is not watched for that meanwhile."""
        stage.openssl.writes.append(Want.READABLE)
        stage.transport.write(b"data")
        stage.transport.doWrite()
        assert stage.watched == "r"
        stage.transport.write(b"more")
        assert stage.watched == "r"
        stage.transport.doWrite()
        assert stage.openssl.offered == [b"data"]
        stage.transport.doRead()
        assert stage.openssl.offered == [b"data", b"data", b"more"]
        assert stage.watched == "r"

    def test_a_write_that_wants_a_read_while_reading_is_paused(self, stage: Stage) -> None:
        """The socket is watched all the same, and the protocol gets nothing."""
        stage.transport.pauseProducing()
        stage.openssl.writes.append(Want.READABLE)
        stage.transport.write(b"data")
        stage.transport.doWrite()
        assert stage.watched == "r"
        stage.readable(b"not now")
        assert stage.openssl.written == b"data"
        assert stage.protocol.calls == []
        assert stage.watched == ""

    def test_a_read_that_wants_a_write(self, stage: Stage) -> None:
        """The socket, which has bytes all the time, is not watched for these meanwhile."""
        stage.readable(Want.WRITABLE)
        assert stage.watched == "w"
        stage.openssl.reads.append(b"data")
        stage.transport.doWrite()
        assert stage.protocol.calls == [("data", b"data")]
        assert stage.watched == "r"

    def test_pausing_while_a_read_wants_a_write(self, stage: Stage) -> None:
        """Then it has time until reading goes on."""
        stage.readable(Want.WRITABLE)
        stage.transport.pauseProducing()
        assert stage.watched == ""
        stage.transport.resumeProducing()
        assert stage.watched == "w"

    def test_both(self, stage: Stage) -> None:
        """Each is repeated when the socket is ready for it."""
        stage.openssl.writes.append(Want.READABLE)
        stage.transport.write(b"data")
        stage.transport.doWrite()
        stage.readable(b"a" * 2000, Want.WRITABLE)
        assert stage.openssl.written == b"data"
        assert stage.watched == "w"
        stage.openssl.reads.append(b"b")
        stage.transport.doWrite()
        assert stage.protocol.calls == [("data", b"a" * 2000), ("data", b"b")]
        assert stage.watched == "r"

    @pytest.mark.parametrize(("want", "watched"), [(Want.WRITABLE, "w"), (Want.READABLE, "r")])
    def test_a_goodbye_that_can_t_be_said_at_once(self, stage: Stage, want: Want, watched: str) -> None:
        """It is said when the socket is ready for that, and not before."""
        stage.openssl.closes.append(want)
        stage.transport.write(b"the end")
        stage.transport.loseConnection()
        stage.transport.doWrite()
        assert not stage.closed
        assert stage.watched == watched
        (stage.transport.doRead if want is Want.READABLE else stage.transport.doWrite)()
        assert stage.openssl.calls == ["write", "close", "close"]
        assert stage.protocol.calls == [("lost", ConnectionDone)]
        assert stage.closed


class TestEnding:
    def test_what_was_written_and_the_goodbye_go_out_first(self, stage: Stage) -> None:
        """Nothing is written or delivered after `loseConnection`."""
        stage.transport.write(b"answer")
        stage.transport.loseConnection()
        stage.transport.write(b"too late")
        assert stage.watched == "w"
        stage.readable(b"too late as well")
        assert stage.openssl.calls == ["write", "close"]
        assert stage.openssl.written == b"answer"
        assert stage.protocol.calls == [("lost", ConnectionDone)]
        assert (stage.closed, stage.connections.closed) == (True, {})

    def test_in_the_turn_of_a_question(self, stage: Stage) -> None:
        """It is all over at the end of that."""

        def answer() -> None:
            stage.transport.write(b"answer")
            stage.transport.loseConnection()

        stage.protocol.does["data"] = answer
        stage.readable(b"?")
        assert stage.openssl.calls == ["read", "write", "close"]
        assert stage.closed

    def test_a_goodbye_to_nobody(self, stage: Stage) -> None:
        """The end is what was asked for, so it is an orderly one."""
        stage.openssl.closes.append(RESET)
        stage.transport.loseConnection()
        stage.transport.doWrite()
        assert stage.protocol.calls == [("lost", ConnectionDone)]

    def test_a_client_that_still_sends(self, stage: Stage) -> None:
        """Its socket is kept a while, since closing it now could take the answer from it; the protocol is done."""
        stage.far.send(b"more of the upload")
        stage.transport.write(b"answer")
        stage.transport.loseConnection()
        stage.transport.doWrite()
        assert stage.protocol.calls == [("lost", ConnectionDone)]
        assert stage.connections.open == 1
        stage.reactor.settle()
        stage.reactor.advance(LINGER_SECONDS)
        assert stage.closed

    def test_a_break(self, stage: Stage) -> None:
        """What was written goes out, and no close_notify behind it."""
        stage.transport.write(b"not all")
        stage.transport.breakConnection()
        stage.transport.doWrite()
        assert (stage.openssl.calls, stage.openssl.written) == (["write"], b"not all")
        assert stage.protocol.calls == [("lost", ConnectionDone)]
        assert stage.closed

    def test_an_abort(self, stage: Stage) -> None:
        """At once, and with a reset: nothing that was written goes out."""
        stage.transport.write(b"never mind")
        stage.transport.abortConnection()
        assert stage.watched == ""
        stage.reactor.advance(0)
        assert stage.openssl.calls == []
        assert stage.protocol.calls == [("lost", ConnectionAborted)]
        assert stage.closed

    @pytest.mark.parametrize("version", [0x0303, 0x0304])
    def test_the_clients_goodbye(self, stage: Stage, version: int) -> None:
        """What the protocol answers at once or in the reactor's next turn goes out, then the connection ends."""
        stage.tls.version = version

        def answer() -> None:
            stage.transport.write(b"at once,")
            stage.reactor.callLater(0, stage.transport.write, b"in a moment")

        stage.protocol.does["data"] = answer
        stage.readable(b"?" * 2000, b"")
        stage.reactor.advance(0)
        stage.transport.doWrite()
        assert stage.openssl.written == b"at once,in a moment"
        assert stage.protocol.calls == [("data", b"?" * 2000), ("lost", ConnectionDone)]
        assert (stage.closed, stage.connections.closed) == (True, {})

    def test_a_protocol_that_fails(self, stage: Stage) -> None:
        """The reactor is told, which logs it and ends the connection, as with any transport."""

        def fail() -> None:
            raise ValueError("the protocol's")

        stage.protocol.does["data"] = fail
        stage.far.send(b"x")
        stage.openssl.reads.append(b"x")
        stage.reactor.turn(1)
        assert [str(error) for error in stage.reactor.errors] == ["the protocol's"]
        assert stage.protocol.calls[-1] == ("lost", ValueError)
        assert stage.closed

    def test_a_protocol_that_fails_at_the_end(self, stage: Stage) -> None:
        """Nothing is left of the connection all the same."""

        def fail() -> None:
            raise ValueError("the protocol's")

        stage.protocol.does["lost"] = fail
        with pytest.raises(ValueError, match="the protocol's"):
            stage.readable(RESET)
        assert stage.closed
        assert stage.transport.getHandle() is None


class TestHalves:
    def test_the_clients_half(self, half: Stage) -> None:
        """After its close_notify in TLS 1.3 the protocol goes on writing; nothing more is read."""
        half.readable(b"request" * 200, b"")
        assert half.protocol.calls == [("data", b"request" * 200), "read lost"]
        assert half.watched == ""
        half.transport.write(b"answer")
        half.transport.doWrite()
        assert half.openssl.written == b"answer"
        half.transport.loseConnection()
        half.transport.doWrite()
        assert half.protocol.calls[2:] == [("lost", ConnectionDone)]
        assert half.closed

    def test_the_clients_half_before_tls_1_3(self, half: Stage) -> None:
        """There it is the end of both: RFC 5246 §7.2.1."""
        half.tls.version = 0x0303
        half.readable(b"")
        half.reactor.advance(0)
        half.transport.doWrite()
        assert half.protocol.calls == [("lost", ConnectionDone)]

    def test_our_half(self, half: Stage) -> None:
        """A close_notify behind what was written; the protocol is told, and goes on reading."""
        half.transport.write(b"last words")
        half.transport.loseWriteConnection()
        half.transport.doWrite()
        assert half.openssl.calls == ["write", "close"]
        assert half.protocol.calls == ["write lost"]
        half.transport.write(b"one more thing")
        assert half.watched == "r"
        half.readable(b"answer")
        assert half.protocol.calls == ["write lost", ("data", b"answer")]
        assert half.openssl.written == b"last words"

    def test_one_after_the_other(self, half: Stage) -> None:
        """When both are closed, `loseConnection` is the end, without a second close_notify."""
        half.readable(b"")
        half.transport.loseWriteConnection()
        half.transport.doWrite()
        half.transport.loseConnection()
        assert half.protocol.calls == ["read lost", "write lost", ("lost", ConnectionDone)]
        assert half.openssl.calls.count("close") == 1
        assert half.closed

    @pytest.mark.parametrize("name", ["read lost", "write lost"])
    def test_a_protocol_that_fails_there(self, half: Stage, name: str, logged: list[dict[str, Any]]) -> None:
        """It is logged and ends the connection, also where there was something to write."""

        def fail() -> None:
            raise ValueError("the protocol's")

        half.protocol.does[name] = fail
        half.protocol.does["data"] = lambda: half.transport.write(b"answer")
        if name == "write lost":
            half.transport.loseWriteConnection()
            half.transport.doWrite()
        else:
            half.readable(b"?" * 2000, b"")
        assert half.protocol.calls[-1] == ("lost", ValueError)
        assert [event["log_failure"].getErrorMessage() for event in logged] == ["the protocol's"]
        assert half.closed


@implementer(IPushProducer, IPullProducer)
class Producer:
    """Writes a chunk whenever it is told to."""

    def __init__(self, transport: TLSTransport, chunks: int = 3, size: int = 10) -> None:
        self.transport = transport
        self.left = chunks
        self.size = size
        self.told: list[str] = []

    def resumeProducing(self) -> None:
        """Write one, and end after the last one."""
        self.told.append("resume")
        self.left -= 1
        self.transport.write(bytes(self.size))
        if not self.left:
            self.transport.unregisterProducer()

    def pauseProducing(self) -> None:
        """Take note."""
        self.told.append("pause")

    def stopProducing(self) -> None:
        """Take note."""
        self.told.append("stop")


class TestProducers:
    def test_a_pull_producer(self, stage: Stage) -> None:
        """It is asked for more whenever all is written."""
        producer = Producer(stage.transport)
        stage.transport.registerProducer(producer, streaming=False)
        assert producer.told == ["resume"]
        stage.transport.doWrite()
        assert producer.told == ["resume"] * 3
        assert len(stage.openssl.written) == 30
        assert stage.watched == "r"

    def test_a_push_producer(self, stage: Stage) -> None:
        """It is paused when much waits, and resumed when all is written."""
        producer = Producer(stage.transport, chunks=1, size=1)
        stage.transport.registerProducer(producer, streaming=True)
        stage.transport.write(bytes(10))
        assert producer.told == []
        stage.openssl.writes.append(Want.WRITABLE)
        stage.transport.write(bytes(stage.transport.bufferSize))
        stage.transport.doWrite()
        assert producer.told == ["pause"]
        stage.transport.doWrite()
        assert producer.told == ["pause", "resume"]

    def test_the_end_waits_for_it(self, stage: Stage) -> None:
        """What it writes after `loseConnection` still goes out."""
        producer = Producer(stage.transport)
        stage.transport.registerProducer(producer, streaming=False)
        stage.transport.loseConnection()
        stage.transport.doWrite()
        assert len(stage.openssl.written) == 30
        assert stage.openssl.calls[-1] == "close"
        assert stage.closed

    @pytest.mark.parametrize("end", [RESET, b""])
    def test_it_is_stopped_at_the_end(self, stage: Stage, end: Any) -> None:
        """Whether the client went away or said goodbye."""
        producer = Producer(stage.transport)
        stage.transport.registerProducer(producer, streaming=True)
        stage.readable(end)
        stage.reactor.advance(0)
        assert producer.told == ["stop"]
        late = Producer(stage.transport)
        stage.transport.registerProducer(late, streaming=True)
        assert late.told == ["stop"]

    def test_one_at_a_time(self, stage: Stage) -> None:
        """A second one is a mistake."""
        stage.transport.registerProducer(Producer(stage.transport), streaming=True)
        with pytest.raises(RuntimeError):
            stage.transport.registerProducer(Producer(stage.transport), streaming=True)


class Echo(Protocol):
    """Sends back what comes, ends at the word."""

    def dataReceived(self, data: bytes) -> None:
        """Send it back."""
        self.transport.write(data)
        if data.endswith(b"bye"):
            self.transport.loseConnection()


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_with_the_real_openssl(world: World, openssl: Calls, version: Any) -> None:
    """A conversation with much data both ways, over either implementation of the calls."""
    reactor, factory = HandReactor(), Factory()
    factory.protocol, factory.noisy = Echo, False
    site = world.site(world.ca.issue("a.example"))
    connections = Connections(Limits(), reactor)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
        contexts = world.factory(site, openssl=openssl, protocols=(b"echo",))
        port = TLSPort(reactor, server, factory, contexts, connections, openssl=openssl)
    port.startListening()
    with Caller(reactor, address, alpn=[b"echo"], min_version=version, max_version=version) as caller:
        caller.shake_hands()
        assert (caller.tls.seen.version, caller.tls.seen.alpn) == (version, b"echo")
        body = bytes(range(256)) * 4000
        caller.send(body)
        caller.wait_for(body)
        caller.send(b"bye")
        caller.wait_for(b"bye")
        assert caller.end() == "closed"
        assert caller.tls.closed
    port.stopListening()
    reactor.settle()
    assert (connections.open, connections.closed, reactor.errors) == (0, {}, [])
    assert not reactor.getDelayedCalls()


def test_garbage_with_the_real_openssl(world: World, openssl: Calls) -> None:
    """A client that is none is counted, and gets an answer that it can read."""
    reactor, factory = HandReactor(), Factory()
    factory.protocol, factory.noisy = Echo, False
    connections = Connections(Limits(), reactor)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
        contexts = world.factory(world.site(world.ca.issue("a.example")), protocols=(b"http/1.1",))
        port = TLSPort(reactor, server, factory, contexts, connections, openssl=openssl)
    port.startListening()
    with socket.create_connection(address, 5) as client:
        client.sendall(b"GET / HTTP/1.1\r\n\r\n")
        reactor.until(lambda: connections.closed)
        assert client.recv(1000).startswith(b"HTTP/1.1 400 ")
    port.stopListening()
    reactor.settle()
    assert (connections.open, connections.closed, reactor.errors) == (0, {Closed.PLAIN_HTTP: 1}, [])
