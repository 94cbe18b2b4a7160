"""Scripted conversations: a client whose every byte the script places, and a server protocol that reacts as it says.

The client's TLS is in memory and what it makes is put on a real loopback socket in pieces of the script's sizes. The
server is a transport under test on a reactor of its own, which is not the process's: the conversation turns it by
hand, so that the script also says how many turns pass between two pieces.

What comes of it is a `Recording`: the calls that the server's protocol got, and what reached the client. What a call
carried is said by its length, since both sides send known bytes: anything else is recorded as garbled.
"""

from __future__ import annotations

import random
import socket
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any, Final
from typing import Protocol as Shape

from OpenSSL import SSL
from twisted.internet.interfaces import (
    IHalfCloseableProtocol,
    IHandshakeListener,
    IListeningPort,
    IPullProducer,
    IPushProducer,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import globalLogPublisher
from twisted.python.failure import Failure
from zope.interface import alsoProvides, implementer

_PERIOD: Final = 1 << 20
_STREAM: Final = random.Random(0).randbytes(_PERIOD) * 2

MADE, HANDSHAKE, PRODUCED, READ_LOST, WRITE_LOST, LOST = "made", "handshake", "produced", "read", "write", "lost"
"""When a protocol reacts, besides after so many bytes."""

_RESET = struct.pack("ii", 1, 0)
_ENOUGH = 5000
_SLOWLY = 1500
"""So many bytes a client puts on the socket as finely as the script says; afterwards in larger pieces."""


def stream(start: int, size: int) -> bytes:
    """Return what each side sends: from a place in it, at most `_PERIOD` bytes."""
    start %= _PERIOD
    return _STREAM[start : start + size]


# What the server's protocol does.


@dataclass(frozen=True)
class Write:
    """Write pieces of these sizes, each by itself or as one sequence."""

    sizes: tuple[int, ...]
    sequence: bool = False


@dataclass(frozen=True)
class Produce:
    """Register a producer that writes so many pieces and then takes itself off; not where there is one."""

    pieces: int
    size: int
    streaming: bool


@dataclass(frozen=True)
class Pause:
    """Read no more."""


@dataclass(frozen=True)
class Resume:
    """Read on."""


@dataclass(frozen=True)
class Lose:
    """Close the connection, once all is written."""


@dataclass(frozen=True)
class Abort:
    """Close the connection now."""


@dataclass(frozen=True)
class LoseWrite:
    """Close one direction, once all is written; not while there is a producer."""


Action = Write | Produce | Pause | Resume | Lose | Abort | LoseWrite


# What the client does. Its acts wait for each other, and for the handshake where they need one.


@dataclass(frozen=True)
class Send:
    """Send so many bytes in so many records."""

    size: int
    records: int = 1


@dataclass(frozen=True)
class CloseNotify:
    """Say that no more plaintext comes."""


@dataclass(frozen=True)
class Renegotiate:
    """Ask for another handshake, as TLS 1.2 has it."""


@dataclass(frozen=True)
class Raw:
    """Send bytes that TLS did not make."""

    data: bytes


@dataclass(frozen=True)
class EndOfFile:
    """Close the sending direction of TCP."""


@dataclass(frozen=True)
class Close:
    """Close the socket, as a process that ends."""


@dataclass(frozen=True)
class Reset:
    """Close the socket with a reset."""


@dataclass(frozen=True)
class Hold:
    """Leave in the socket what comes."""


@dataclass(frozen=True)
class Read:
    """Read on."""


# What is neither's.


@dataclass(frozen=True)
class Serve:
    """Have the protocol do something by itself, as a timer would."""

    action: Action


@dataclass(frozen=True)
class Turns:
    """Let time pass."""

    count: int


@dataclass(frozen=True)
class Settle:
    """Wait until nothing happens any more."""


Act = Send | CloseNotify | Renegotiate | Raw | EndOfFile
Step = Act | Close | Reset | Hold | Read | Serve | Turns | Settle


@dataclass(frozen=True)
class Script:
    """One conversation.

    Args:
        steps: What happens, in order. It ends with what closes the connection, whatever the steps left of it.
        reactions: What the protocol does when; a number stands for having got so many bytes.
        chunks: Sizes of what the client puts on the socket at once, 0 for all there is, and the turns of the reactor
            after each; over and over.
        listens: Whether the protocol is an `IHandshakeListener`.
        half_closes: Whether it is an `IHalfCloseableProtocol`.
        tls1_2: Whether the client speaks no newer version.
        cut: After how many bytes the client falls silent, if at all.
        late: Whether the protocol does things after its end, too.
        hasty: Whether resets, and what the server does by itself, come without waiting for quiet.
        reactor: Which reactor turns.
    """

    steps: tuple[Step, ...] = ()
    reactions: tuple[tuple[str | int, tuple[Action, ...]], ...] = ()
    chunks: tuple[tuple[int, int], ...] = ((0, 1),)
    listens: bool = True
    half_closes: bool = False
    tls1_2: bool = False
    cut: int | None = None
    late: bool = False
    hasty: bool = False
    reactor: int = 0

    def acts(self, *kinds: type) -> bool:
        """Tell whether somebody does something of these kinds."""
        served = [step.action for step in self.steps if isinstance(step, Serve)]
        reacted = [action for _, actions in self.reactions for action in actions]
        return any(isinstance(one, kinds) for one in [*self.steps, *served, *reacted])

    @property
    def gentle(self) -> bool:
        """Whether the client stays to the end and keeps to the rules."""
        return self.cut is None and not self.acts(Close, Reset, EndOfFile, Raw, Renegotiate)


@dataclass
class Recording:
    """What came of a conversation."""

    calls: list[str] = field(default_factory=list)
    sent: int = 0
    """Bytes that the client sent."""
    written: int = 0
    """Bytes that the protocol wrote, but for what it wrote when that was over."""
    received: int = 0
    """Bytes of them that reached the client."""
    garbled: bool = False
    """Whether these were other bytes, in either direction."""
    close_notify: bool = False
    """Whether the client got one."""
    ended: str = ""
    """How the client saw the end of the TCP connection; empty where it had closed it itself, or saw none."""
    unasked: bool = False
    """Whether data came to a protocol that was not reading."""
    asked: list[str] = field(default_factory=list)
    """What the protocol asked for, out of lose, abort and lose-write, each once."""
    reason: str = ""
    moves: int = 0
    over: bool = False

    def call(self, name: str, length: int = 0) -> None:
        """Record a call; adjacent pieces of data are one."""
        self.moves += 1
        if length and self.calls and self.calls[-1].startswith(f"{name} "):
            length += int(self.calls.pop().rsplit(" ", 1)[1])
        self.calls.append(f"{name} {length}" if length else name)


class Side(Shape):
    """A transport under test."""

    reactors: Sequence[Any]

    def listen(self, reactor: Any, listening: socket.socket, factory: Factory) -> IListeningPort:
        """Serve on a socket."""


# The server.


@implementer(IPushProducer, IPullProducer)
class Producer:
    """Writes pieces: all at once unless it is paused, or one each time it is asked."""

    def __init__(self, protocol: Recorder, wish: Produce) -> None:
        self._protocol = protocol
        self._streaming = wish.streaming
        self._size = wish.size
        self._left = wish.pieces
        self._paused = self._running = False

    def start(self) -> None:
        """Register."""
        self._protocol.producer = self
        self._protocol.transport.registerProducer(self, self._streaming)
        if self._streaming:
            self._run()

    def _run(self) -> None:
        if self._running:
            return
        self._running = True
        while self._left and not self._paused:
            self._piece()
        self._running = False

    def _piece(self) -> None:
        self._left -= 1
        self._protocol.write(self._size)
        if not self._left and self._protocol.producer is self:
            self._protocol.producer = None
            self._protocol.transport.unregisterProducer()
            self._protocol.react(PRODUCED)

    def pauseProducing(self) -> None:
        """Wait."""
        self._protocol.recording.moves += 1
        self._paused = True

    def resumeProducing(self) -> None:
        """Write on."""
        self._protocol.recording.moves += 1
        if self._protocol.producer is not self:
            self._protocol.recording.call("resumeProducing of a producer that is through")
        elif self._streaming:
            self._paused = False
            self._run()
        elif self._left:
            self._piece()

    def stopProducing(self) -> None:
        """Write no more."""
        mine = self._protocol.producer is self
        self._protocol.recording.call("stopProducing" if mine else "stopProducing of a producer that is through")
        self._left = 0
        self._protocol.producer = None


class Recorder(Protocol):
    """The server's protocol: writes down what it is told, and does what the script says."""

    transport: Any

    def __init__(self, script: Script) -> None:
        self.recording = Recording()
        self.producer: Producer | None = None
        self.paused = False
        self._reactions = dict(script.reactions)
        self._thresholds = sorted(when for when in self._reactions if isinstance(when, int))
        self._got = 0
        self._late = script.late
        if script.listens:
            alsoProvides(self, IHandshakeListener)
        if script.half_closes:
            alsoProvides(self, IHalfCloseableProtocol)

    def react(self, when: str | int) -> None:
        """Do what the script says, once."""
        for action in self._reactions.pop(when, ()):
            self.act(action)

    def act(self, action: Action) -> None:  # noqa: C901 - one case for each action
        """Do one thing."""
        match action:
            case Write(sizes, sequence):
                if "lose-write" not in self.recording.asked:
                    self._write_all(sizes, sequence=sequence)
            case Produce():
                if self.producer is None and (self.recording.over or not self.recording.asked):
                    Producer(self, action).start()
            case Pause():
                self.paused = True
                self.transport.pauseProducing()
            case Resume():
                self.paused = False
                self.transport.resumeProducing()
            case Lose():
                self._ask("lose")
                self.transport.loseConnection()
            case Abort():
                self._ask("abort")
                self.transport.abortConnection()
            case LoseWrite():
                if self.producer is None and not self.recording.asked:
                    self._ask("lose-write")
                    self.transport.loseWriteConnection()

    def _ask(self, what: str) -> None:
        if what not in self.recording.asked and not self.recording.over:
            self.recording.asked.append(what)

    def _write_all(self, sizes: tuple[int, ...], *, sequence: bool) -> None:
        if not sequence:
            for size in sizes:
                self.write(size)
            return
        start = self.recording.written
        pieces = [stream(start + sum(sizes[:number]), size) for number, size in enumerate(sizes)]
        self._count(sum(sizes))
        self.transport.writeSequence(pieces)

    def write(self, size: int) -> None:
        """Write the next bytes of the stream."""
        start = self.recording.written
        self._count(size)
        self.transport.write(stream(start, size))

    def _count(self, size: int) -> None:
        # What is written after the end is thrown away, but for what a producer still had.
        recording = self.recording
        ended = recording.over or "abort" in recording.asked
        if not ended and (not {"lose", "half-close"} & set(recording.asked) or self.producer is not None):
            recording.written += size

    def connectionMade(self) -> None:
        """Write it down."""
        self.recording.call("connectionMade")
        self.react(MADE)

    def handshakeCompleted(self) -> None:
        """Write it down."""
        self.recording.call("handshakeCompleted")
        self.react(HANDSHAKE)

    def dataReceived(self, data: bytes) -> None:
        """Write it down, up to where a reaction closed the connection."""
        recording = self.recording
        recording.moves += 1
        recording.unasked |= self.paused
        if "abort" in recording.asked:
            recording.call("dataReceived after abortConnection")
        if "lose" in recording.asked:
            return
        start, end = self._got, self._got + len(data)
        if data != stream(start, len(data)):
            recording.garbled = True
        while self._thresholds and self._thresholds[0] <= end and not {"lose", "abort"} & set(recording.asked):
            threshold = self._thresholds.pop(0)
            recording.call("dataReceived", threshold - self._got)
            self._got = threshold
            self.react(threshold)
        if not {"lose", "abort"} & set(recording.asked) and end > self._got:
            recording.call("dataReceived", end - self._got)
            self._got = end

    def readConnectionLost(self) -> None:
        """Write it down; close the connection in the end, since the script's last word is the client's."""
        self.recording.call("readConnectionLost")
        self.react(READ_LOST)
        self._ask("half-close")
        self.transport.loseConnection()

    def writeConnectionLost(self) -> None:
        """Write it down."""
        self.recording.call("writeConnectionLost")
        self.react(WRITE_LOST)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Write it down, with the kind of the reason."""
        self.recording.reason = type(reason.value).__name__
        self.recording.call(f"connectionLost {self.recording.reason}")
        if self.producer is not None:
            self.recording.call("a producer left alone")
        self.recording.over = True
        if self._late:
            self.react(LOST)


class Recorders(Factory):
    """Makes the protocol of the script that is played."""

    noisy = False
    next: Recorder | None = None

    def buildProtocol(self, address: Any) -> Recorder | None:
        """Return it, once."""
        made, self.next = self.next, None
        return made


# The client.


class Client:
    """A TLS client that the conversation moves along."""

    def __init__(self, address: Any, script: Script, recording: Recording) -> None:
        self._recording = recording
        self._socket = socket.socket()
        # Small buffers, and segments as over Ethernet: a client that does not read soon holds up the server.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32768)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1400)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.settimeout(5)
        self._socket.connect(address)
        self._socket.setblocking(False)
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        if script.tls1_2:
            context.set_max_proto_version(SSL.TLS1_2_VERSION)
        self._tls = SSL.Connection(context, None)
        self._tls.set_connect_state()
        self._cut = script.cut
        self._chunks = cycle(script.chunks)
        self._acts: list[Act] = []
        self._outbox = bytearray()
        self._put = 0
        self._established = False
        self._mute = False
        self._closed_write = self._said_goodbye = False
        self.holding = False
        self.gone = False
        self.moves = 0

    def queue(self, act: Act) -> None:
        """Have something done when all before it is."""
        self._acts.append(act)

    @property
    def done(self) -> bool:
        """Whether all was done that can be."""
        return not self._acts and not self._outbox

    def turn(self) -> int:
        """Move along; return how many turns the reactor is to have now."""
        if self.gone:
            return 1
        if not self.holding:
            self._read()
        self._advance()
        return self._write()

    def _read(self) -> None:
        if self._recording.ended:
            return
        try:
            data = self._socket.recv(1 << 18)
        except BlockingIOError:
            return
        except OSError:
            data = b""
            self._recording.ended = "reset"
        self.moves += 1
        if not data:
            self._recording.ended = self._recording.ended or "end of file"
            return
        self._tls.bio_write(data)
        self._shake_hands()
        with self._tls_calls():
            while self._established:
                self._take(self._tls.recv(1 << 18))

    def _take(self, data: bytes) -> None:
        recording = self._recording
        if data != stream(recording.received, len(data)):
            recording.garbled = True
        recording.received += len(data)

    def _shake_hands(self) -> None:
        if not self._established and not self._mute:
            with self._tls_calls():
                self._tls.do_handshake()
                self._established = True
                self.moves += 1

    @contextmanager
    def _tls_calls(self) -> Iterator[None]:
        try:
            yield
        except SSL.ZeroReturnError:
            self._recording.close_notify = True
        except SSL.WantReadError:
            pass
        except SSL.Error:
            self._mute = True
        with suppress(SSL.WantReadError, SSL.Error):
            while True:
                self._outbox += self._tls.bio_read(1 << 16)

    def _advance(self) -> None:
        self._shake_hands()
        while self._acts and not self._outbox:
            act = self._acts[0]
            if not isinstance(act, Raw | EndOfFile) and not self._established and not self._mute:
                return
            del self._acts[0]
            self.moves += 1
            self._act(act)

    def _act(self, act: Act) -> None:
        match act:
            case EndOfFile():
                self._closed_write = True
                with suppress(OSError):
                    self._socket.shutdown(socket.SHUT_WR)
            case Raw(data):
                self._mute = True
                self._outbox += data
            case Send(size, records) if not self._mute and not self._said_goodbye:
                with self._tls_calls():
                    for number in range(records):
                        start = self._recording.sent + size * number // records
                        end = self._recording.sent + size * (number + 1) // records
                        while start < end:
                            start += self._tls.send(stream(start, end - start))
                    self._recording.sent += size
            case CloseNotify() if not self._mute and not self._said_goodbye:
                self._said_goodbye = True
                with self._tls_calls():
                    self._tls.shutdown()
            case Renegotiate() if (
                not self._mute and not self._said_goodbye and self._tls.get_protocol_version() < SSL.TLS1_3_VERSION
            ):
                with self._tls_calls():
                    self._tls.renegotiate()
                    self._tls.do_handshake()

    def _write(self) -> int:
        size, turns = next(self._chunks)
        if self._put > _SLOWLY:
            size = size and max(size, len(self._outbox) // 8)
        if self._cut is not None and self._put + len(self._outbox) >= self._cut:
            self._mute = True
            del self._outbox[self._cut - self._put :]
        if self._outbox and self._closed_write:
            self._outbox.clear()
        if not self._outbox:
            return 1
        try:
            count = self._socket.send(memoryview(self._outbox)[: size or None])
        except BlockingIOError:
            return 1
        except OSError:
            count = len(self._outbox)
            self._mute = True
        self.moves += 1
        self._put += count
        del self._outbox[:count]
        return turns

    def answer(self) -> None:
        """Answer a close_notify that came with one."""
        if self._recording.close_notify:
            self._acts.append(CloseNotify())

    def close(self, *, reset: bool = False) -> None:
        """Close the socket."""
        self.moves += 1
        self.gone = True
        self._acts.clear()
        self._outbox.clear()
        if reset:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._socket.close()


# Both.


class Stage:
    """Where conversations take place: a reactor and a port of a side."""

    def __init__(self, side: Side, reactor: Any) -> None:
        self.reactor = reactor
        self._factory = Recorders()
        with socket.create_server(("127.0.0.1", 0)) as listening:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 32768)
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            listening.setblocking(False)
            self._address = listening.getsockname()
            self._port = side.listen(reactor, listening, self._factory)

    def close(self) -> None:
        """Stop listening."""
        self._port.stopListening()
        for _ in range(3):
            self.reactor.iterate(0)

    def play(self, script: Script, patience: float = 0.001) -> Recording:
        """Play a script.

        Args:
            script: The script.
            patience: Seconds without an event that count as quiet.
        """
        protocol = self._factory.next = Recorder(script)
        played = _Played(self.reactor, protocol, Client(self._address, script, protocol.recording), patience)
        with _failures(protocol.recording):
            played.play(script)
        return protocol.recording


@contextmanager
def _failures(recording: Recording) -> Iterator[None]:
    """Record what is logged as failed."""

    def observe(event: dict[str, Any]) -> None:
        failure = event.get("log_failure") or event.get("failure")
        if failure is not None:
            recording.call(f"logged {failure.type.__name__}: {failure.getErrorMessage()}")

    globalLogPublisher.addObserver(observe)
    try:
        yield
    finally:
        globalLogPublisher.removeObserver(observe)


class _Played:
    """A conversation that takes place."""

    def __init__(self, reactor: Any, protocol: Recorder, client: Client, patience: float) -> None:
        self._reactor = reactor
        self._protocol = protocol
        self._recording = protocol.recording
        self._client = client
        self._patience = patience

    def play(self, script: Script) -> None:
        self._until(lambda: bool(self._recording.calls))
        if not script.hasty:
            self._settle()
        for step in script.steps:
            self._step(step, hasty=script.hasty, late=script.late)
        self._end()

    def _step(self, step: Step, *, hasty: bool, late: bool) -> None:
        if isinstance(step, Serve | Close | Reset) and not hasty:
            self._settle()
        match step:
            case Serve(action):
                self._serve(action, late=late)
            case Turns(count):
                for _ in range(count):
                    self._turn()
            case Settle():
                self._settle()
            case _ if not self._client.gone:
                self._client_step(step)
        if isinstance(step, Serve | Renegotiate) and not hasty:
            self._settle()

    def _serve(self, action: Action, *, late: bool) -> None:
        # Whether it is over by now can be a matter of turns; what a late producer is told is seen at LOST.
        if self._recording.over and (not late or isinstance(action, Produce)):
            return
        try:
            self._protocol.act(action)
        except Exception as error:  # noqa: BLE001 - whatever the transport raises is what is looked for
            self._recording.call(f"raised {type(error).__name__}: {error}")

    def _client_step(self, step: Act | Close | Reset | Hold | Read) -> None:
        match step:
            case Close() | Reset():
                self._client.close(reset=isinstance(step, Reset))
            case Hold() | Read():
                self._client.holding = isinstance(step, Hold)
            case _:
                self._client.queue(step)

    def _end(self) -> None:
        """Have everybody read and answer, then go."""
        client, recording = self._client, self._recording
        self._settle()
        if not client.gone:
            client.holding = False
            self._settle()
        self._listen()
        if not client.gone:
            client.answer()
            self._settle()
            client.queue(CloseNotify())
            client.queue(EndOfFile())
            self._settle()
            self._listen()
        if not self._until(lambda: recording.over and (client.gone or bool(recording.ended))):
            recording.call("never ended" if recording.over else "never lost")
        if not client.gone:
            client.close()
        if not recording.over:
            self._protocol.transport.abortConnection()
            self._until(lambda: recording.over)
        self._settle()

    def _listen(self) -> None:
        for _ in range(_ENOUGH):
            if not self._protocol.paused:
                return
            self._protocol.act(Resume())
            self._settle()

    def _turn(self, wait: float = 0.0) -> None:
        for _ in range(self._client.turn()):
            self._reactor.iterate(wait)

    def _settle(self) -> None:
        idle, still = 0, False
        for _ in range(50 if "never quiet" in self._recording.calls else _ENOUGH):
            before, began = (self._recording.moves, self._client.moves), time.monotonic()
            self._turn(self._patience if still else 0.0)
            slept = still and time.monotonic() - began > 0.8 * self._patience
            still = before == (self._recording.moves, self._client.moves)
            idle = idle + 1 if still and slept else 0
            if idle == 2:
                return
        self._recording.call("never quiet")

    def _until(self, condition: Callable[[], bool]) -> bool:
        for _ in range(_ENOUGH):
            if condition():
                return True
            self._turn(0.0005)
        return False
