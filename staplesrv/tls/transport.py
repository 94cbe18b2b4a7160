"""TLS straight on the socket: Twisted's TCP transport, with SSL_read and SSL_write where it has recv and send.

Theory of operation: OpenSSL reads and writes the socket itself, so that plaintext is all that passes through Python.
Twisted's own producers and half-close are kept: they see a socket that takes plaintext. Its buffer is not: what waits
to be written is a list of chunks, which `output` makes into pieces for SSL_write.

One call by the poller is a *turn*: go on with the handshake, read what there is, hand it to the protocol, then send
what the protocol wrote, and close where it asked for that. Nothing is sent, and no interest in the socket is told to
the poller, before the end of the turn; a connection with one question therefore takes two turns, the first of them at
accept. What a protocol writes at other times waits for the socket, as with TCP.

OpenSSL may want the opposite of what it was called for: to write before it can read (an answer to a key update while
the socket is full), and to read before it can write. The call is then repeated once the socket is ready for *that*, and
until then the socket is not watched for the other: it would be ready all the time and keep the reactor busy.

Where to look: `doRead` is the turn, `_shake_hands`, `_receive` and `_send` are its steps, and `_watch` settles what the
next one waits for. `write` and `loseConnection` only say what `_send` is to do. `_no_more` has the ways in which
reading ends, `_all_sent` what waits until everything is sent, and `connectionLost` is every end. `_crossed` and
`_write_wants` note the opposite wishes of OpenSSL, `_uncross` has the call repeated.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, cast

from OpenSSL import SSL, crypto
from twisted.internet import abstract, tcp
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IConsumer,
    IHalfCloseableDescriptor,
    IHalfCloseableProtocol,
    IHandshakeListener,
    ILoggingContext,
    INegotiated,
    IProducer,
    IProtocol,
    IPushProducer,
    IReactorTime,
    IReadWriteDescriptor,
    ISSLTransport,
    ISystemHandle,
)
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer_only

from staplesrv.tls.addresses import Address, address_of
from staplesrv.tls.connection import ServerConnection
from staplesrv.tls.connections import Connections, spoke_http
from staplesrv.tls.lingering import Lingering, reset, unread
from staplesrv.tls.openssl_calls import Calls, Want
from staplesrv.tls.output import Data, next_piece
from staplesrv.tls.poller import READING, WRITING

_TLS1_3 = 0x0304

_TCP = int(socket.IPPROTO_TCP)
_TCP_CORK: int = getattr(socket, "TCP_CORK", 0)  # Linux has it

_READABLE, _WRITABLE = Want.READABLE, Want.WRITABLE
"""A member of an enumeration takes Python ten times as long to find as a global."""

_SHORT = 1024
"""A record with less plaintext than this is taken for the last one that there is: asking again costs a system call per
request, and where more has come the socket stays readable and has its next turn at once."""

_PIECES_PER_TURN = 8
"""How many pieces may go out for one connection before it is another's turn: 1 MiB."""

_PLAIN_HTTP = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 48\r\nConnection: close\r\n\r\n"
    b"This port speaks HTTPS; use https:// to get in\r\n"
)

_failure = cast("Callable[..., Failure]", Failure)  # Twisted's has no annotations

# One for all connections, as Twisted's reactors have them.
_DONE = _failure(ConnectionDone())
_LOST = _failure(ConnectionLost())

_log = Logger()


@implementer_only(
    ISSLTransport,
    INegotiated,
    ISystemHandle,
    IConsumer,
    IPushProducer,
    IReadWriteDescriptor,
    IHalfCloseableDescriptor,
    ILoggingContext,
)
class TLSTransport(tcp.Server):
    """The server's side of one TLS connection, for a Twisted protocol.

    As Twisted's own TLS transport, with these differences. A protocol that is `IHalfCloseableProtocol` gets
    `readConnectionLost` for the client's close_notify in TLS 1.3 and may go on writing; `loseWriteConnection` sends
    one. After `loseConnection` nothing more is delivered, and the connection ends when what was written is sent,
    without waiting for the client's close_notify (RFC 8446 §6.1 asks for no answer). There is no `startTLS`.

    Args:
        connected: The socket; the transport closes it.
        protocol: Gets the plaintext. `doRead` is to be called once its `makeConnection` is done.
        peer: The client's address.
        number: Which of its connections this is.
        reactor: The reactor.
        tls: The connection, made on that socket.
        openssl: How to call OpenSSL.
        connections: Where the connection counts, admitted already.
        network: What it was admitted as.
    """

    # What the protocol wants; what the socket is watched for follows from it in `_watch`.
    _reading: bool
    _writing: bool
    _watched: int
    """What the socket is watched for, as the poller has it."""

    _in_turn: bool
    _corked: bool
    """The socket keeps back what is sent, until the end of the turn."""
    _handshaking: bool
    _handshake_wants: Want | None
    _crossed: bool
    """A call waits for the opposite of what it does: one of these."""
    _read_wants_writable = False
    _write_wants_readable = False
    _unheard: bool
    """When the connection was to be closed the client had sent more than was read."""
    _unsent: int
    """Bytes that the protocol wrote and OpenSSL has not taken yet."""
    _over: bool
    """The connection has ended, or is about to at the protocol's wish."""

    _refused: Data | None
    """What was offered to OpenSSL already, which wants to see the same again: SSL_write(3)."""

    # What few connections come to.
    _input_over = False
    """The client said that it sends no more, or was not heard any more."""
    _finishing = False
    """The connection ends at the client's wish, with what is written by now."""
    _broken = False
    """The end is not to be taken for an orderly one."""

    def __init__(  # noqa: PLR0917 - with their names it takes as long again
        self,
        connected: socket.SocketType,
        protocol: IProtocol,
        peer: Address,
        number: int,
        reactor: Any,
        tls: ServerConnection,
        openssl: Calls,
        connections: Connections,
        network: str,
    ) -> None:
        # What Twisted's constructors do, without calling them: 2 us against 5.
        self.reactor = reactor
        self.socket: Any = connected
        self.fileno = connected.fileno
        self.protocol = protocol
        self.sessionno = number
        self.connected = 1
        self._peer = peer
        self._tls: Any = tls
        self._openssl = openssl
        self._connections = connections
        self._network = network
        self._chunks: list[Data] = []
        # Python keeps 30 attributes of an object without making a dictionary for them, but only such as the first few
        # objects of the class have: so each has all of these from the start.
        self._handshaking = self._reading = True
        self._writing = self._in_turn = self._corked = self._crossed = self._unheard = self._over = False
        self._watched = self._unsent = self.disconnecting = self.disconnected = 0
        self._handshake_wants: Want | None = None
        self.producer = self._refused = None
        self._writeDisconnected = False
        connected.setblocking(False)
        connections.members.add(self)
        connections.opening.begin(self)

    # What the poller calls.

    def doRead(self, *, readable: bool = True) -> None:
        """Take a turn.

        Args:
            readable: The socket has something to read. Else it takes more.
        """
        if self.disconnected:
            return  # while it was readable: a reactor may tell of one event twice
        self._in_turn = True
        try:
            receive = self._uncross(readable=readable) if self._crossed else readable
            if self._handshaking:
                receive = self._shake_hands()
            if receive and self._reading and not self._input_over:
                self._receive()
            if self._writing and not (
                self._handshaking or self._over or (self._crossed and self._write_wants_readable)
            ):
                self._send()
        finally:
            self._in_turn = False
        if not self.disconnected:
            if self._corked:
                self._corked = False
                self.socket.setsockopt(_TCP, _TCP_CORK, 0)
            self._watch()

    def doWrite(self) -> None:
        """Take a turn: the socket takes more."""
        self.doRead(readable=False)

    def _uncross(self, *, readable: bool) -> bool:
        """Have the call that waited for the socket repeated; tell whether that one is to read."""
        receive = readable or self._read_wants_writable
        self._read_wants_writable = False
        if readable:
            self._write_wants_readable = False
        self._crossed = self._write_wants_readable
        return receive

    def readConnectionLost(self, reason: Failure) -> None:
        """The reactor noticed the end by itself, which without a close_notify is no orderly one."""
        self.connectionLost(_LOST if isinstance(reason.value, ConnectionDone) else reason)

    def connectionLost(self, reason: Failure) -> None:
        """End the connection: free what it holds, then tell the protocol."""
        if self.disconnected:
            return
        self.connected = 0
        self.disconnected = 1
        self._over = True
        self._reading = self._writing = False
        if self._watched:
            self._connections.poller.watch(self, self._watched, 0)
            self._watched = 0
        if self.producer is not None:
            self._stop_producer()
        self._connections.members.discard(self)
        if self._handshaking:
            self._connections.opening.end(self)
        if reason is not _DONE:
            self._connections.ended(reason, handshaking=self._handshaking)
        connected, protocol = self.socket, self.protocol
        # From here on the descriptor may be another connection's: nothing may call OpenSSL for this one any more.
        del self.socket, self.fileno, self.protocol
        # An aborted connection is a lost one too.
        if self._unheard and not self._input_over and not isinstance(reason.value, ConnectionLost):
            gone = partial(self._connections.release, self._network)
            Lingering(connected, self._connections.poller, self._connections.lingering, gone)
        else:
            if reason is not _DONE and isinstance(reason.value, ConnectionAborted):
                reset(connected)
            connected.close()
            self._connections.release(self._network)
        try:
            protocol.connectionLost(reason)
        finally:
            self._tls = None

    def _cork(self) -> None:
        """Have what is sent in this turn go out as one packet, where the system can do so. close(2) sends it too."""
        if not _TCP_CORK:
            return
        try:
            self.socket.setsockopt(_TCP, _TCP_CORK, 1)
        except OSError:
            return  # a UNIX socket
        self._corked = True

    # The handshake.

    def _shake_hands(self) -> bool:
        """Go on with the handshake; tell whether plaintext may follow."""
        if self._handshake_wants is _READABLE:
            # The session tickets go out together with the answer, where that is written in the same turn.
            self._cork()
        try:
            want = self._openssl.handshake(self._tls)
        except SSL.Error as error:
            self._handshake_failed(error)
            return False
        self._handshake_wants = want
        if want is not None:
            return False
        self._handshaking = False
        self._connections.opening.end(self)
        self._tls.count()
        # Few are, and to ask zope.interface touches much more memory than this.
        if hasattr(self.protocol, "handshakeCompleted") and IHandshakeListener.providedBy(self.protocol):
            self.protocol.handshakeCompleted()
        return True

    def _handshake_failed(self, error: SSL.Error) -> None:
        if spoke_http(error):
            self._answer_plain_http()
        self._unheard = unread(self.socket)
        self.connectionLost(_reason(error))

    def _answer_plain_http(self) -> None:
        if any(name in (b"http/1.1", b"h2") for name in self._tls.acceptable):
            try:
                self.socket.send(_PLAIN_HTTP)
            except OSError:
                return  # it is gone already

    # Reading.

    def _receive(self) -> None:
        try:
            data = self._openssl.read(self._tls)
        except SSL.Error as error:
            self._no_more(error)
            return
        if type(data) is not bytes or not data:
            self._no_more(data)
        elif len(data) < _SHORT:
            self.protocol.dataReceived(data)
        else:
            self._receive_more(data)

    def _receive_more(self, first: bytes) -> None:
        """Read on after a long record, as far as the limit lets it.

        Not into the end of the stream: OpenSSL takes an end without close_notify for an error, after which it sends
        nothing any more, and what was read may be answered in this turn.
        """
        read, tls = self._openssl.read, self._tls
        pieces = [first]
        room = self._connections.limits.read_buffer - len(first)
        end: Want | SSL.Error | bytes = Want.READABLE
        while room > 0 and len(pieces[-1]) >= _SHORT and unread(self.socket):
            try:
                data = read(tls)
            except SSL.Error as error:
                end = error
                break
            if type(data) is not bytes or not data:
                end = data
                break
            pieces.append(data)
            room -= len(data)
        self.protocol.dataReceived(b"".join(pieces))
        self._no_more(end)

    def _no_more(self, end: Want | SSL.Error | bytes) -> None:
        """Reading came to an end: for now (a `Want`), in order (no bytes), or by an error."""
        if end is Want.READABLE:
            return
        if end is Want.WRITABLE:
            self._crossed = self._read_wants_writable = True
        elif self._over:
            return
        elif isinstance(end, SSL.Error):
            self.connectionLost(_reason(end))
        else:
            self._input_closed()

    def _input_closed(self) -> None:
        """The client sent a close_notify."""
        self._input_over = True
        if self.disconnecting:
            return
        # Before TLS 1.3 it closed both directions: RFC 5246 §7.2.1.
        if self._tls.get_protocol_version() < _TLS1_3 or not self._tell_half_closeable("readConnectionLost"):
            # Not now: what came before it may be answered in the reactor's next turn.
            cast("IReactorTime", self.reactor).callLater(0, self._finish)

    def _tell_half_closeable(self, what: str) -> bool:
        """Tell the protocol of the end of one direction; tell whether it can do with the other one."""
        half_closeable = IHalfCloseableProtocol(self.protocol, None)
        if half_closeable is None:
            return False
        try:
            getattr(half_closeable, what)()
        except Exception:  # noqa: BLE001 - the protocol's own fault; as Twisted's TCP transport has it
            _log.failure("{protocol} failed in {what}", protocol=self.protocol, what=what)
            self.connectionLost(_failure())
        return True

    def _finish(self) -> None:
        """End the connection at the client's wish, once what the protocol wrote so far is sent."""
        if self._over:
            return
        if self.producer is not None:
            self._stop_producer()
        self._finishing = True
        self.disconnecting = 1
        self.startWriting()

    def _stop_producer(self) -> None:
        producer, self.producer = cast("IProducer", self.producer), None
        try:
            producer.stopProducing()
        except Exception:  # noqa: BLE001 - the protocol's own fault; the connection ends all the same
            _log.failure("{protocol}'s producer failed in stopProducing", protocol=self.protocol)

    # Writing.

    def write(self, data: bytes) -> None:
        """Send data; nothing is sent after `loseConnection`, but for what a producer still has."""
        if not self.connected or self._writeDisconnected or (self.disconnecting and self.producer is None):
            return
        if not isinstance(data, bytes):
            data = b"".join((data,))  # a bytearray; TypeError for text
        if data:
            self._chunks.append(data)
            self._unsent += len(data)
            if self.producer is not None:
                self._maybePauseProducer()  # type: ignore[no-untyped-call]
            self._writing = True
            if not self._in_turn:
                self._watch()

    def write_now(self, data: bytes) -> None:
        """Send data, and what waits, at once.

        It is for those who write in another connection's turn, as a tunnel does: that saves two changes of what the
        socket is watched for, and an event.
        """
        if self._in_turn or self._handshaking:
            self.write(data)
            return
        self._in_turn = True
        try:
            self.write(data)
        finally:
            self._in_turn = False
        self.doWrite()

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        """Send data; see `write`."""
        self.write(b"".join(iovec))

    def loseConnection(self, *_: object) -> None:
        """Send what was written and a close_notify, then close; a connection without its handshake is aborted."""
        if not self.connected or self.disconnecting:
            return
        if self._handshaking and not self._unsent:
            self.abortConnection()
        elif self._writeDisconnected:
            self.connectionLost(_DONE)
        else:
            self._unheard = not self._reading
            self._reading = False
            self.disconnecting = 1
            self._writing = True
            if not self._in_turn:
                self._watch()

    def breakConnection(self) -> None:
        """Send what was written, then close without a close_notify: so the client knows that this was not all."""
        self._broken = True
        self.loseConnection()

    def abortConnection(self) -> None:
        """End the connection at once, with a reset; nothing more is sent or delivered."""
        self._over = True
        super().abortConnection()  # type: ignore[no-untyped-call]
        self.disconnecting = 1

    def registerProducer(self, producer: Any, streaming: bool) -> None:  # noqa: FBT001 - Twisted's interface
        """Have a producer write; see `IConsumer`."""
        if self._finishing:
            producer.stopProducing()
        else:
            abstract.FileDescriptor.registerProducer(self, producer, streaming)

    def _isSendBufferFull(self) -> bool:
        return self._unsent > self.bufferSize

    def _send(self) -> None:
        """Write until the socket takes no more, nothing is left, or it is another connection's turn."""
        if self.disconnecting and not self._corked:
            self._cork()
        for _ in range(_PIECES_PER_TURN):
            if self._unsent:
                piece = self._refused or next_piece(self._chunks)
                try:
                    written = self._openssl.write(self._tls, piece)
                except SSL.Error as error:
                    self.connectionLost(_reason(error))
                    return
                if isinstance(written, Want):
                    self._refused = piece
                    self._write_wants(written)
                    return
                self._unsent -= written
                if self._refused is not None or written < len(piece):
                    self._refused = memoryview(piece)[written:] or None
            if not self._unsent and not self._all_sent():
                return

    def _all_sent(self) -> bool:
        """Go on with what waited for that: a producer, the end of the connection, or of our direction of it.

        Returns:
            Whether there is more to send now.
        """
        self._writing = False
        if self.producer is not None and (self.producerPaused or not self.streamingProducer):
            self.producerPaused = False
            self.producer.resumeProducing()  # type: ignore[attr-defined]
        elif self.disconnecting and (self.producer is None or self._finishing):
            # Asked now, since a quick client answers the close_notify before the socket is closed.
            self._unheard = self._unheard or unread(self.socket)
            if self._say_goodbye():
                self.connectionLost(_DONE)
        elif self._writeDisconnecting and not self._writeDisconnected and self._say_goodbye():
            self._writeDisconnected = True
            self._tell_half_closeable("writeConnectionLost")
        return self._unsent > 0 and not self._over

    def _say_goodbye(self) -> bool:
        """Send a close_notify, where the end is an orderly one; tell whether that is done."""
        if self._broken:
            return True
        try:
            want = self._openssl.close(self._tls)
        except SSL.Error:
            return True  # the client is gone, and the end is what was asked for
        if want is not None:
            self._write_wants(want)
            self._writing = True
        return want is None

    def _write_wants(self, want: Want) -> None:
        self._write_wants_readable = want is Want.READABLE
        self._crossed = self._write_wants_readable or self._read_wants_writable

    # What the socket is watched for.

    def startReading(self) -> None:
        """Hand on what comes in."""
        self._reading = True
        if not self._in_turn:
            self._watch()

    def stopReading(self) -> None:
        """Leave what comes in where it is."""
        self._reading = False
        if not self._in_turn:
            self._watch()

    def startWriting(self) -> None:
        """There is something to send."""
        self._writing = True
        if not self._in_turn:
            self._watch()

    def stopWriting(self) -> None:
        """There is nothing to send."""
        self._writing = False
        if not self._in_turn:
            self._watch()

    def _watch(self) -> None:
        """Tell the poller what to watch the socket for, where that has changed."""
        if self._over:
            reading = writing = False
        elif self._handshaking:
            # Whatever the protocol wants: it has no part in this.
            writing = self._handshake_wants is _WRITABLE
            reading = not writing
        else:
            reading, writing = self._reading and not self._input_over, self._writing
            if self._crossed:
                reading, writing = (
                    (reading and not self._read_wants_writable) or self._write_wants_readable,
                    (writing and not self._write_wants_readable) or (reading and self._read_wants_writable),
                )
        wanted = (READING if reading else 0) | (WRITING if writing else 0)
        if wanted != self._watched:
            self._connections.poller.watch(self, self._watched, wanted)
            self._watched = wanted

    # What the protocol may ask.

    def __repr__(self) -> str:
        return f"<TLS {self.logPrefix()}>"

    def logPrefix(self) -> str:
        """Name the connection in the log: its protocol, its number, its client."""
        return (
            f"{self._getLogPrefix(getattr(self, 'protocol', None))},{self.sessionno},{getattr(self._peer, 'host', '')}"
        )

    def getPeer(self) -> Address:
        """Return the client's address."""
        return self._peer

    def getHost(self) -> Address:
        """Return the address that the client connected to."""
        return address_of(self.socket.family, self.socket.getsockname())

    def getHandle(self) -> Any:
        """Return pyOpenSSL's connection; to be looked at, not to be read or written."""
        return self._tls

    def getPeerCertificate(self) -> crypto.X509 | None:
        """Return the client's certificate, if it showed one."""
        return None if self._tls is None else self._tls.get_peer_certificate()

    @property
    def negotiatedProtocol(self) -> bytes | None:
        """The protocol that ALPN chose, once the handshake is done."""
        return None if self._tls is None else self._tls.get_alpn_proto_negotiated() or None

    def startTLS(self, *_: object, **__: object) -> None:
        """Refuse.

        Raises:
            RuntimeError: always; this is TLS already.
        """
        raise RuntimeError("This connection speaks TLS already")


def _reason(error: SSL.Error) -> Failure:
    """Say why a connection ends in the way of Twisted's own TLS: a client that is gone is `ConnectionLost`."""
    return _LOST if isinstance(error, SSL.SysCallError) else _failure(error)
