"""A TLS 1.3 client that makes its records by hand once the handshake is over: what no client library will send.

pyOpenSSL does the handshake and tells the secrets that came of it; from then on every record goes through here.
"""

from __future__ import annotations

import socket
import struct
from types import TracebackType
from typing import NamedTuple, Self

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from OpenSSL import SSL

# RFC 8446 §5.1, content types; §4, handshake types; §6, alerts.
ALERT, HANDSHAKE, DATA = 21, 22, 23
NEW_SESSION_TICKET, KEY_UPDATE = 4, 24
CLOSE_NOTIFY = 0
LARGEST = 1 << 14

_HEADER = struct.Struct("!BHH")
_TAG = 16


class Record(NamedTuple):
    """What was in a record."""

    kind: int
    content: bytes


class Direction:
    """The keys of one direction, and how many records have been under them.

    Args:
        secret: The traffic secret.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._begin()

    def _begin(self) -> None:
        self._cipher = AESGCM(_expand(self._secret, b"key", 16))
        self._iv = int.from_bytes(_expand(self._secret, b"iv", 12))
        self._number = 0

    def next_keys(self) -> None:
        """Change the keys; RFC 8446 §7.2."""
        self._secret = _expand(self._secret, b"traffic upd", 32)
        self._begin()

    def seal(self, content: bytes, kind: int = DATA, padding: int = 0) -> bytes:
        """Make a record; RFC 8446 §5.2."""
        inner = content + bytes([kind]) + bytes(padding)
        header = _HEADER.pack(DATA, 0x0303, len(inner) + _TAG)
        return header + self._cipher.encrypt(self._nonce(), inner, header)

    def open(self, header: bytes, sealed: bytes) -> Record:
        """Look into a record."""
        inner = self._cipher.decrypt(self._nonce(), sealed, header).rstrip(b"\0")
        return Record(inner[-1], inner[:-1])

    def _nonce(self) -> bytes:
        nonce = self._iv ^ self._number
        self._number += 1
        return nonce.to_bytes(12)


class RecordClient:
    """One connection.

    Args:
        port: On loopback.
        source: The client's own address there.
        timeout: For everything that is waited for, in seconds.
    """

    def __init__(self, port: int, source: str = "127.0.0.1", timeout: float = 20) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout, (source, 0))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            secrets = _shake_hands(self)
        except BaseException:
            self.socket.close()
            raise
        self.writing = Direction(secrets["CLIENT_TRAFFIC_SECRET_0"])
        self.reading = Direction(secrets["SERVER_TRAFFIC_SECRET_0"])
        self.key_updates = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()

    def send(self, content: bytes, kind: int = DATA, padding: int = 0) -> None:
        """Send one record."""
        self.socket.sendall(self.writing.seal(content, kind, padding))

    def key_update(self, *, requested: bool) -> bytes:
        """Make a KeyUpdate, RFC 8446 §4.6.3; what is made from now on is under the next keys."""
        made = self.writing.seal(bytes([KEY_UPDATE, 0, 0, 1, requested]), HANDSHAKE)
        self.writing.next_keys()
        return made

    def receive(self) -> Record:
        """Read the next record that is data or an alert; tickets are left out, and KeyUpdates counted and obeyed."""
        while True:
            header = self.exactly(_HEADER.size)
            record = self.reading.open(header, self.exactly(_HEADER.unpack(header)[2]))
            if record.kind != HANDSHAKE:
                return record
            if record.content[0] == KEY_UPDATE:
                self.key_updates += 1
                self.reading.next_keys()

    def receive_data(self, size: int) -> bytes:
        """Read so much data, in however many records it comes."""
        data = b""
        while len(data) < size:
            record = self.receive()
            assert record.kind == DATA, record
            data += record.content
        return data

    def farewell(self) -> int | None:
        """Read up to the end of the connection; the alert that came last, None where none did."""
        alert = None
        try:
            while True:
                record = self.receive()
                if record.kind == ALERT:
                    alert = record.content[1]
        except (EOFError, ConnectionResetError):
            return alert

    def exactly(self, size: int) -> bytes:
        """Read so many bytes off the socket."""
        data = b""
        while len(data) < size:
            more = self.socket.recv(size - len(data))
            if not more:
                raise EOFError
            data += more
        return data


def _expand(secret: bytes, label: bytes, length: int) -> bytes:
    """HKDF-Expand-Label of RFC 8446 §7.1, without a context."""
    label = b"tls13 " + label
    info = struct.pack("!HB", length, len(label)) + label + b"\0"
    return HKDFExpand(hashes.SHA256(), length, info).derive(secret)


def _shake_hands(client: RecordClient) -> dict[str, bytes]:
    secrets: dict[str, bytes] = {}

    def keep(_: SSL.Connection, line: bytes) -> None:
        name, _random, secret = line.decode().split()
        secrets[name] = bytes.fromhex(secret)

    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_min_proto_version(SSL.TLS1_3_VERSION)
    context.set_tls13_ciphersuites(b"TLS_AES_128_GCM_SHA256")
    context.set_keylog_callback(keep)
    connection = SSL.Connection(context, None)
    connection.set_connect_state()
    connection.request_ocsp()
    while True:
        try:
            connection.do_handshake()
        except SSL.WantReadError:
            _flush(connection, client.socket)
        else:
            _flush(connection, client.socket)
            return secrets
        # Record by record, so that nothing of what comes after the handshake gets lost in OpenSSL.
        header = client.exactly(_HEADER.size)
        connection.bio_write(header + client.exactly(_HEADER.unpack(header)[2]))


def _flush(connection: SSL.Connection, to: socket.socket) -> None:
    try:
        while True:
            to.sendall(connection.bio_read(1 << 16))
    except SSL.WantReadError:
        pass
