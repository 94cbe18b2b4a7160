"""A TLS client that closes its two directions apart, which Twisted's own does not: the other end of half-closes."""

from __future__ import annotations

from typing import Any

from OpenSSL import SSL
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.protocols.policies import ProtocolWrapper
from twisted.protocols.tls import BufferingTLSTransport, TLSMemoryBIOFactory
from twisted.python.failure import Failure


class HalfClosingTransport(BufferingTLSTransport):
    """Sends a close_notify for `loseWriteConnection`, and hands on the other side's as `readConnectionLost`."""

    _write_closing = False
    _writeDisconnected = False
    _read_closed = False

    def loseWriteConnection(self) -> None:
        """Close our direction once all is sent; see `ITCPTransport`."""
        self._aggregator.flush()
        self._write_closing = True
        self._close_write_if_due()

    def loseConnection(self) -> None:
        """Close at once where our direction is closed already."""
        if self._writeDisconnected and self.transport is not None:
            self.transport.loseConnection()
        else:
            super().loseConnection()

    def _write(self, data: bytes) -> None:
        if not self._writeDisconnected:
            super()._write(data)

    def dataReceived(self, data: bytes) -> None:
        """Take what the transport below has read."""
        super().dataReceived(data)
        self._close_write_if_due()

    def _close_write_if_due(self) -> None:
        if not self._write_closing or self._writeDisconnected or not self._handshakeDone or self._appSendBuffer:
            return
        self._writeDisconnected = True
        if not self._lostTLSConnection:
            self._tlsConnection.shutdown()
            self._flushSendBIO()
        if IHalfCloseableProtocol.providedBy(self.wrappedProtocol):
            self.wrappedProtocol.writeConnectionLost()

    def _flushReceiveBIO(self) -> None:
        if not IHalfCloseableProtocol.providedBy(self.wrappedProtocol):
            super()._flushReceiveBIO()
            return
        while not self._lostTLSConnection and not self._read_closed:
            try:
                data = self._tlsConnection.recv(2**15)
            except SSL.WantReadError:
                break
            except SSL.ZeroReturnError:
                self._read_closed = True
                self.wrappedProtocol.readConnectionLost()
            except SSL.Error:
                self._tlsShutdownFinished(Failure())
            else:
                ProtocolWrapper.dataReceived(self, data)
        self._flushSendBIO()


class HalfClosingFactory(TLSMemoryBIOFactory):
    """Makes them, in place of Twisted's own."""

    protocol: Any = HalfClosingTransport
