"""The same conversations with our transport and with Twisted's own TLS: their protocols get the same calls.

`CONVERSATIONS=5000 pytest tests/tls/test_conversations.py` plays that many.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from OpenSSL import SSL
from tls.conversation import (
    HANDSHAKE,
    LOST,
    MADE,
    PRODUCED,
    READ_LOST,
    WRITE_LOST,
    Abort,
    Action,
    Close,
    CloseNotify,
    EndOfFile,
    Hold,
    Lose,
    LoseWrite,
    Pause,
    Produce,
    Raw,
    Read,
    Recording,
    Renegotiate,
    Reset,
    Resume,
    Script,
    Send,
    Serve,
    Settle,
    Stage,
    Step,
    Turns,
    Write,
)
from tls.world import World
from twisted.internet import pollreactor, selectreactor
from twisted.internet._producer_helpers import _PullToPush
from twisted.internet.interfaces import IHalfCloseableProtocol, IHandshakeListener
from twisted.internet.protocol import Factory
from twisted.internet.task import Cooperator
from twisted.protocols.tls import BufferingTLSTransport, TLSMemoryBIOFactory
from twisted.python.failure import Failure
from zope.interface import noLongerProvides

from staplesrv.tls.connections import Connections
from staplesrv.tls.limits import Limits
from staplesrv.tls.openssl_calls import Calls
from staplesrv.tls.poller import ReactorPoller
from staplesrv.tls.port import TLSPort
from staplesrv.tls.private_calls import PrivateCalls
from staplesrv.tls.public_calls import PublicCalls

try:
    from twisted.internet import epollreactor
except ImportError:  # only Linux has it
    epollreactor = None  # type: ignore[assignment]

_MANY = int(os.environ.get("CONVERSATIONS", "0"))
_PATIENT = 0.05

# Twisted's side.


class _Pull(_PullToPush):
    """A pull producer that is pulled at once and then in each turn of this reactor; Twisted takes the process's."""

    _consumer: Any

    def startStreaming(self) -> None:
        reactor = self._consumer.factory._clock
        one_each_turn = Cooperator(lambda: lambda: True, lambda call: reactor.callLater(0, call))
        self._coopTask = one_each_turn.cooperate(self._pull())
        self._producer.resumeProducing()


class Mended(BufferingTLSTransport):
    """Twisted's own TLS, with what these conversations need of it put right."""

    _paused = False
    _closes_writing = False

    def registerProducer(self, producer: Any, streaming: bool) -> None:  # noqa: FBT001 - Twisted's interface
        """Drive a pull producer by this reactor."""
        if streaming or self._lostTLSConnection:
            super().registerProducer(producer, streaming)
        else:
            pull = _Pull(producer, self)
            super().registerProducer(pull, True)
            pull.startStreaming()

    def unregisterProducer(self) -> None:
        """Send what the producer wrote in this turn: Twisted loses that after loseConnection."""
        self._aggregator.flush()
        super().unregisterProducer()

    def pauseProducing(self) -> None:
        """Read no more, but for the handshake, in which the protocol has no part: Twisted stops in it."""
        self._paused = True
        if self._handshakeDone:
            self.transport.pauseProducing()

    def resumeProducing(self) -> None:
        """Read on."""
        self._paused = False
        self.transport.resumeProducing()

    def abortConnection(self) -> None:
        """Do nothing after the end: Twisted raises AttributeError there."""
        if self._tlsConnection is not None:
            super().abortConnection()

    def loseWriteConnection(self) -> None:
        """Close one direction of TLS, once there is TLS: Twisted closes that of TCP."""
        if self._lostTLSConnection:
            return
        self._aggregator.flush()
        self._closes_writing = True
        if self._handshakeDone:
            self._close_writing()

    def _close_writing(self) -> None:
        self._closes_writing = False
        self._tlsConnection.shutdown()
        self._flushSendBIO()
        half_closeable = IHalfCloseableProtocol(self.wrappedProtocol, None)
        if half_closeable is not None:
            half_closeable.writeConnectionLost()

    def _checkHandshakeStatus(self) -> None:
        """Send what was written before the handshake first: Twisted may have handshakeCompleted's go before it."""
        if self._aborted:
            return
        try:
            self._tlsConnection.do_handshake()
        except SSL.WantReadError:
            self._flushSendBIO()
        except SSL.Error:
            self._tlsShutdownFinished(Failure())
        else:
            self._handshakeDone = True
            if self._appSendBuffer:
                self._unbufferPendingWrites()
            if IHandshakeListener.providedBy(self.wrappedProtocol):
                self.wrappedProtocol.handshakeCompleted()
            if self._closes_writing:
                self._close_writing()
            if self._paused:
                self.transport.pauseProducing()

    def _shutdownTLS(self) -> None:
        """Send what was written in the turn in which the client's close_notify came: Twisted loses that."""
        if not self._aborted:
            self._aggregator.flush()
        super()._shutdownTLS()


class TwistedsOwn:
    """TLS in memory, over Twisted's TCP."""

    def __init__(self, transport: type[BufferingTLSTransport] = Mended) -> None:
        self._transport = transport

    def listen(self, reactor: Any, listening: socket.socket, factory: Factory) -> Any:
        """Serve on a socket."""
        world = World()
        contexts = world.factory(world.site(world.ca.issue("a.example")))
        wrapping = TLSMemoryBIOFactory(contexts, False, factory, reactor)
        wrapping.protocol = self._transport
        return reactor.adoptStreamPort(listening.fileno(), listening.family, wrapping)


class Straight:
    """TLS straight on the socket."""

    openssl: Calls = PrivateCalls()
    limits = Limits()

    def listen(self, reactor: Any, listening: socket.socket, factory: Factory) -> Any:
        """Serve on a socket."""
        world = World()
        contexts = world.factory(world.site(world.ca.issue("a.example")), openssl=self.openssl)
        connections = self.connections(reactor)
        port = TLSPort(reactor, listening, factory, contexts, connections, openssl=self.openssl)
        port.startListening()
        return port

    def connections(self, reactor: Any) -> Connections:
        """Make what holds the connections."""
        return Connections(self.limits, reactor)


class Plain(Straight):
    """The same without OpenSSL's private calls and without a poller of its own, and with little read at once."""

    openssl = PublicCalls()
    limits = Limits(read_buffer=4096)

    def connections(self, reactor: Any) -> Connections:
        """Make what holds the connections."""
        connections = super().connections(reactor)
        connections.poller = ReactorPoller(reactor)
        return connections


# What is compared, and what holds for ours alone.


def differences(script: Script, twisted: Recording, ours: Recording) -> list[str]:
    """Tell what differs, of what must not. Whatever is left out here differs on purpose, and `faults` looks at it."""
    asked = {*twisted.asked, *ours.asked}
    found = []
    if _compared(script, twisted, asked) != _compared(script, ours, asked):
        found.append(f"calls: {_compared(script, twisted, asked)} and {_compared(script, ours, asked)}")
    if ours.garbled:
        found.append("garbled")
    if _up_to_turns(script, twisted, ours):
        return found
    # Ours sends at the end of a turn what Twisted's sends in the next one, which may be too late: more is fine.
    if ours.written - ours.received > twisted.written - twisted.received:
        found.append("less received")
    if ours.close_notify < twisted.close_notify:
        found.append("no close_notify")
    # Ours does not wait for the client's close_notify, so that what the client sends may meet a socket that is closed.
    if ours.ended != twisted.ended and "lose" not in asked:
        found.append(f"ended with {ours.ended}, not {twisted.ended}")
    return found


def _up_to_turns(script: Script, twisted: Recording, ours: Recording) -> bool:
    """Whether what the client got, and how it ended, may differ."""
    # A half-close goes on where Twisted's connection ends.
    if "readConnectionLost" in ours.calls:
        return True
    # Whether there was a producer at the time, and so no end of that direction, is a matter of turns.
    if ("lose-write" in twisted.asked) != ("lose-write" in ours.asked):
        return True
    # After a breach of the rules, or an abort, what was not sent yet may go out or not.
    if "abort" in {*twisted.asked, *ours.asked} or "Error" in (twisted.reason, ours.reason):
        return True
    # What a protocol writes may depend on what it got, which may differ where the client is gone: see `_compared`.
    if script.acts(Pause) and script.acts(Close, Reset):
        return True
    # How much a client gets that did not read, and then went without a word, is up to the kernel.
    return script.acts(Hold) and ours.reason == _LOST


def _compared(script: Script, recording: Recording, asked: set[str]) -> list[str]:
    gone = script.acts(Close, Reset)
    in_time = bool({PRODUCED, WRITE_LOST} & dict(script.reactions).keys())
    kept = Recording()
    for call in recording.calls:
        name, _, detail = call.partition(" ")
        if name == "dataReceived" and detail.isdigit():
            # Twisted's TLS pauses its TCP: what came along is delivered all the same. Ours holds it, and may not get to
            # deliver it: nothing follows a loseConnection, and where the client is gone the next write may fail. Where
            # the end comes when something else is through, what came until then is a matter of turns.
            if not ((script.acts(Pause) or in_time) and (gone or {"lose", "abort"} & asked)):
                kept.call(name, int(detail))
        elif name == "connectionLost" and {"lose", "abort"} & asked:
            # Twisted's says ConnectionLost of an abort, and waits for a close_notify that may not come.
            kept.call(name)
        elif name == "connectionLost" and gone and script.acts(CloseNotify) and detail in {_DONE, _LOST}:
            # Twisted's says ConnectionLost where its answer to the close_notify fails.
            kept.call(name)
        # Twisted has no half-close in TLS. Ours ends a producer at the client's close_notify, where Twisted's lets it
        # write into nothing; a producer that is left alone, or told twice, is recorded as that.
        elif call not in {"readConnectionLost", "writeConnectionLost", "stopProducing"}:
            kept.call(call)
    return kept.calls


_DONE, _LOST, _ABORTED = "ConnectionDone", "ConnectionLost", "ConnectionAborted"
_SEQUENCES = ("connectionMade", "handshakeCompleted", "readConnectionLost", "writeConnectionLost", "connectionLost")


def faults(script: Script, recording: Recording) -> list[str]:
    """Tell what is wrong with our side of a conversation, whatever Twisted's would be."""
    calls, asked = recording.calls, recording.asked
    names = [call.partition(" ")[0] for call in calls]
    found = [call for call in calls if call.partition(" ")[0] not in _SEQUENCES and call not in _fine(call)]
    if recording.unasked:
        found.append("dataReceived while paused")
    if recording.garbled:
        found.append("garbled")
    if names[0] != "connectionMade" or names.count("connectionLost") != 1:
        found.append("not made once and lost once")
    if any(name != "stopProducing" for name in names[names.index("connectionLost") + 1 :]):
        found.append("something after the end")
    if any(names.count(name) > 1 for name in _SEQUENCES):
        found.append("something twice")
    if "abort" in asked and recording.reason != _ABORTED:
        found.append("aborted, but not said so")
    if "readConnectionLost" in calls and (not script.half_closes or script.tls1_2):
        found.append("half-close where there is none")
    if script.gentle and "abort" not in asked:
        found += _faults_of_a_gentle(script, recording)
    return found


def _fine(call: str) -> list[str]:
    return [call] if call == "stopProducing" or call.removeprefix("dataReceived ").isdigit() else []


def _faults_of_a_gentle(script: Script, recording: Recording) -> Iterator[str]:
    calls, asked = recording.calls, recording.asked
    # A connection that is closed before its handshake, with nothing to send, is aborted.
    if recording.reason == _ABORTED and "lose" in asked and not recording.written:
        return
    if recording.reason != _DONE:
        yield "not ended in order"
    if recording.received != recording.written:
        yield f"received {recording.received} of {recording.written}"
    if not recording.close_notify:
        yield "no close_notify"
    got = sum(int(call.split()[1]) for call in calls if call.startswith("dataReceived "))
    if "lose" not in asked and got != recording.sent:
        yield f"got {got} of {recording.sent}"
    if script.listens and "handshakeCompleted" not in calls:
        yield "no handshakeCompleted"
    if script.half_closes and not script.tls1_2 and "lose" not in asked and "readConnectionLost" not in calls:
        yield "no readConnectionLost"
    if _closes_direction_in_peace(script, asked) and "writeConnectionLost" not in calls:
        yield "no writeConnectionLost"


def _closes_direction_in_peace(script: Script, asked: list[str]) -> bool:
    in_peace = not script.acts(CloseNotify, Hold, Lose, Pause) and READ_LOST not in dict(script.reactions)
    return script.half_closes and "lose-write" in asked and in_peace


# Scripts.

_SMALL = st.integers(1, 60)
_SOME = st.integers(100, 20_000)
_MUCH = st.integers(60_000, 200_000)
_SIZES = _SMALL | _SMALL | _SOME | _MUCH
_WRITES = st.builds(Write, st.lists(_SIZES, min_size=1, max_size=3).map(tuple), st.booleans())
_ACTIONS: st.SearchStrategy[Action] = st.one_of(
    _WRITES,
    st.builds(Produce, st.integers(1, 6), _SMALL | _SOME | _MUCH, st.booleans()),
    st.sampled_from([Pause(), Resume(), Lose(), Lose(), Abort(), LoseWrite()]),
)
_SENDS = st.builds(Send, _SMALL | _SMALL | _SOME, st.integers(1, 4)) | st.builds(Send, _SIZES, st.integers(1, 4))
_TALK: st.SearchStrategy[Step] = st.one_of(
    _SENDS,
    st.builds(Serve, _ACTIONS),
    st.builds(Turns, st.integers(1, 3)),
    st.sampled_from([Hold(), Read(), Settle()]),
)
_PARTINGS: st.SearchStrategy[Step] = st.one_of(
    st.sampled_from([CloseNotify(), CloseNotify(), EndOfFile(), Renegotiate(), Close(), Reset()]),
    st.builds(Raw, st.binary(min_size=1, max_size=40)),
)
_CHUNKS = st.tuples(st.sampled_from([0, 0, 1, 1, 2, 5, 17, 100, 1000]), st.sampled_from([0, 1, 1, 2]))


@st.composite
def scripts(draw: st.DrawFn, *, hasty: bool = False) -> Script:
    """Draw a script."""
    listens, half_closes = draw(st.booleans()), draw(st.booleans())
    moments = [MADE, PRODUCED, LOST, *[HANDSHAKE] * listens, *[READ_LOST, WRITE_LOST] * half_closes]
    when = st.integers(1, 40) | st.sampled_from(moments) | st.integers(1, 3000)
    reactions = st.dictionaries(when, st.lists(_ACTIONS, min_size=1, max_size=3).map(tuple), min_size=1, max_size=3)
    steps = [draw(st.just(Hold()) | _SENDS), *draw(st.lists(_TALK, max_size=4))]
    for parting in draw(st.lists(_PARTINGS, max_size=2)):
        # Whatever follows a close_notify breaks the rules: ours may answer with a reset, which its last words do not
        # survive.
        if not (isinstance(parting, Raw) and CloseNotify() in steps):
            # A client that asks for another handshake gives up when it reads that there is none, so it has to read.
            steps += [Read(), Settle()] if isinstance(parting, Renegotiate) else []
            steps += [parting, *draw(st.lists(_TALK, max_size=2))]
    return Script(
        tuple(steps),
        tuple(draw(reactions).items()),
        tuple(draw(st.lists(_CHUNKS, min_size=1, max_size=4))),
        listens=listens,
        half_closes=half_closes,
        tls1_2=draw(st.booleans()),
        cut=draw(st.integers(0, 2000)) if draw(st.integers(0, 7)) == 7 else None,
        late=draw(st.booleans()),
        hasty=hasty,
        reactor=draw(st.integers(0, 2)),
    )


# What each of these does wrong, the comparison has to notice.


class Deaf(Mended):
    """Does not say that the handshake is complete."""

    def makeConnection(self, transport: Any) -> None:
        """Take its wish away."""
        if IHandshakeListener.providedBy(self.wrappedProtocol):
            noLongerProvides(self.wrappedProtocol, IHandshakeListener)
        super().makeConnection(transport)


class Trusting(Mended):
    """Takes every end for an orderly one."""

    def _tlsShutdownFinished(self, reason: Failure | None) -> None:
        super()._tlsShutdownFinished(None)


class Rash(Mended):
    """Closes before all is sent."""

    def loseConnection(self) -> None:
        """Close."""
        del self._aggregator._buffer[:]
        super().loseConnection()


class Curt(Mended):
    """Closes without a close_notify."""

    def _shutdownTLS(self) -> None:
        self._aggregator.flush()
        self.transport.loseConnection()


class Careless(Mended):
    """Does not tell a producer of the end."""

    def registerProducer(self, producer: Any, streaming: bool) -> None:  # noqa: FBT001 - Twisted's interface
        """Deafen it."""
        producer.stopProducing = lambda: None
        super().registerProducer(producer, streaming)


class Confused(Mended):
    """Sends the last piece first."""

    def writeSequence(self, sequence: Iterable[bytes]) -> None:
        """Turn it round."""
        super().writeSequence(reversed(list(sequence)))


class Deafened(Mended):
    """Loses a byte."""

    def dataReceived(self, data: bytes) -> None:
        """Deliver."""
        if self._handshakeDone and len(data) > 50:
            data = data[:-1]
        super().dataReceived(data)


class Garrulous(Mended):
    """Delivers after an abort."""

    def abortConnection(self) -> None:
        """Close."""
        super().abortConnection()
        self._aborted = False


SPOILED = [
    (Deaf, Script()),
    (Trusting, Script((EndOfFile(),))),
    (Rash, Script((Send(5),), ((5, (Write((100,)), Lose())),))),
    (Curt, Script((Serve(Lose()),))),
    (Careless, Script((Hold(), Serve(Produce(6, 60_000, streaming=True)), Reset()))),
    (Confused, Script((), ((HANDSHAKE, (Write((10, 20), sequence=True),)),))),
    (Deafened, Script((Send(50),))),
    (Garrulous, Script((Send(50, 5),), ((20, (Abort(),)),))),
]

FOUND = [
    Script((EndOfFile(),), ((LOST, (LoseWrite(),)),), late=True),
    Script((EndOfFile(), Serve(LoseWrite())), late=True),
    Script((EndOfFile(), Serve(Pause())), cut=0, late=True),
    # The end of the stream is there already when the protocol answers what came before it.
    Script((Send(60_000), EndOfFile()), ((1, (Write((1,)),)),), chunks=((0, 0),), listens=False),
]
"""Scripts that went wrong with our transport."""


# Where they are played.

Stages = Callable[[Any], list[Stage]]


@pytest.fixture(scope="module")
def stages() -> Iterator[Stages]:
    """Makes the stages of a side: one for each kind of reactor."""
    reactors: list[Any] = [selectreactor.SelectReactor(), pollreactor.PollReactor()]
    reactors.append(epollreactor.EPollReactor() if epollreactor is not None else reactors[0])
    made: list[Stage] = []

    def make(side: Any) -> list[Stage]:
        of_side = [Stage(side, reactor) for reactor in reactors]
        made.extend(of_side)
        return of_side

    yield make
    for stage in made:
        stage.close()
    for reactor in {id(one): one for one in reactors}.values():
        for waker in list(reactor._internalReaders):
            reactor._internalReaders.discard(waker)
            reactor.removeReader(waker)
            waker.connectionLost(None)


@pytest.fixture(scope="module")
def twisted(stages: Stages) -> list[Stage]:
    """Twisted's own TLS."""
    return stages(TwistedsOwn())


@pytest.fixture(scope="module", params=[Straight, Plain])
def ours(request: pytest.FixtureRequest, stages: Stages) -> list[Stage]:
    """Our transport, in both its ways to call OpenSSL."""
    return stages(request.param())


def compare(script: Script, twisted: list[Stage], ours: list[Stage], patience: float = 0.001) -> list[str]:
    """Play a script with both; what differs is looked at again, since a machine under load may deliver late."""
    left = twisted[script.reactor].play(script, patience)
    right = ours[script.reactor].play(script, patience)
    found = differences(script, left, right) + faults(script, right)
    if found and patience < _PATIENT:
        return compare(script, twisted, ours, _PATIENT)
    return [*found, str(left), str(right)] if found else []


class TestConversations:
    @settings(max_examples=_MANY or 40)
    @given(script=scripts())
    def test_same_calls(self, twisted: list[Stage], ours: list[Stage], script: Script) -> None:
        """The protocol gets the calls that it gets from Twisted's own TLS, and the client the same bytes."""
        assert compare(script, twisted, ours) == []

    @settings(max_examples=_MANY or 40)
    @given(script=scripts(hasty=True))
    def test_in_haste(self, ours: list[Stage], script: Script) -> None:
        """Whatever comes at the wrong moment, the protocol gets its calls in order, and an end."""
        recording = ours[script.reactor].play(script)
        assert faults(script, recording) == [], recording

    @pytest.mark.parametrize("script", FOUND)
    def test_found(self, twisted: list[Stage], ours: list[Stage], script: Script) -> None:
        """What was wrong once is no more."""
        assert compare(script, twisted, ours) == []


class TestComparison:
    # The two runs are at the mercy of the clock, and a busy machine shows it.
    @pytest.mark.soak
    @settings(max_examples=_MANY or 30)
    @given(script=scripts())
    def test_knows_no_chunks(self, twisted: list[Stage], script: Script) -> None:
        """How the client's bytes are cut makes no difference."""
        stage = twisted[script.reactor]
        found = differences(script, stage.play(replace(script, chunks=((0, 1),))), stage.play(script))
        if found:
            left = stage.play(replace(script, chunks=((0, 1),)), _PATIENT)
            assert not differences(script, left, stage.play(script, _PATIENT))

    @pytest.mark.parametrize(("transport", "script"), SPOILED)
    def test_notices(self, stages: Stages, twisted: list[Stage], transport: type[Mended], script: Script) -> None:
        """A transport that does one thing wrong is found out, and nothing is found where it is right."""
        right = twisted[script.reactor].play(script)
        assert not differences(script, right, twisted[script.reactor].play(script))
        assert differences(script, right, stages(TwistedsOwn(transport))[script.reactor].play(script))
