"""The calls that pyOpenSSL does not offer: one contract, both implementations."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from OpenSSL import SSL
from OpenSSL._util import lib
from tls.world import World, bundle, meet

from staplesrv.testing import HandshakeFailed, StapleClient, handshake
from staplesrv.tls.context import base_context, refusing_context, site_context
from staplesrv.tls.openssl import calls, warning
from staplesrv.tls.openssl_calls import Calls, Want
from staplesrv.tls.private_calls import PrivateCalls
from staplesrv.tls.public_calls import PublicCalls


def test_which_is_in_use() -> None:
    """With this pyOpenSSL the private bindings are used."""
    assert isinstance(calls, PrivateCalls)


class TestShown:
    def test_key_per_certificate(self, world: World, openssl: Calls) -> None:
        """Connections that show one certificate have one key, those that show another one have another."""
        leaves = (world.ca.issue("a"), world.ca.issue("b"))
        contexts = [site_context([bundle(leaf)], [world.entry(leaf)], wall_clock=world.wall) for leaf in leaves]
        # Kept: an address may be given out again once its connection is gone.
        connections = [SSL.Connection(context) for context in (*contexts, *contexts)]
        keys = [openssl.shown(connection) for connection in connections]
        assert keys[0] == keys[2]
        assert hash(keys[0]) == hash(keys[2])
        assert keys[1] == keys[3]
        assert keys[0] != keys[1]

    def test_none(self, openssl: Calls) -> None:
        """A connection without a certificate has a key too, and raises nothing."""
        openssl.shown(SSL.Connection(refusing_context()))


class TestResumed:
    def test_never_wrong(self, world: World, openssl: Calls) -> None:
        """It is told rightly or not at all whether a session is resumed."""
        factory = world.factory(world.site(world.ca.issue("a.example")))
        client = StapleClient(max_version="TLSv1.2")
        handshake(factory, client=client)
        server = factory.connection()
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        fresh = SSL.Connection(context)
        fresh.set_connect_state()
        meet(fresh, server)
        assert openssl.resumed(server) in (False, None)


class TestGroups:
    def test_unknown(self, openssl: Calls) -> None:
        """Groups that OpenSSL does not know are refused, and leave no error behind for the next call."""
        context = SSL.Context(SSL.TLS_SERVER_METHOD)
        assert not openssl.set_groups(context, b"no-such-group")
        context.set_tls13_ciphersuites(b"TLS_AES_128_GCM_SHA256")

    def test_known(self) -> None:
        """Known groups are taken."""
        assert PrivateCalls().set_groups(SSL.Context(SSL.TLS_SERVER_METHOD), b"X25519:P-256")
        assert not PublicCalls().set_groups(SSL.Context(SSL.TLS_SERVER_METHOD), b"X25519:P-256")


class TestServerName:
    def test_choice(self, world: World, openssl: Calls) -> None:
        """The context that is chosen is the one that is shown."""
        leaf = world.ca.issue("a.example")
        site = world.site(leaf)
        base = base_context("intermediate", openssl=openssl)
        openssl.on_server_name(base, lambda _: site.context, refusing_context())
        assert handshake(base).leaf == leaf.certificate

    def test_refusal(self, openssl: Calls) -> None:
        """No context is a handshake_failure for the client."""
        for version in ("TLSv1.2", "TLSv1.3"):
            base = base_context("intermediate", openssl=openssl)
            openssl.on_server_name(base, lambda _: None, refusing_context())
            with pytest.raises(HandshakeFailed) as caught:
                handshake(base, max_version=version)
            assert caught.value.alert == "handshake_failure"


class Line:
    """A server's connection that the calls are for, and a client of pyOpenSSL's, each on a socket of a pair."""

    def __init__(self, world: World, openssl: Calls, client: SSL.Context) -> None:
        self.openssl = openssl
        self.near, self.far = socket.socketpair()
        for end in (self.near, self.far):
            end.setblocking(False)
        factory = world.factory(world.site(world.ca.issue("a.example")), protocols=(b"ours",))
        self.server = factory.accept(self.near, (), openssl)
        self.client = SSL.Connection(client, self.far)
        self.client.set_connect_state()

    def shake_hands(self) -> list[Want | None]:
        """Do the handshake; return what the server wanted in it."""
        wanted: list[Want | None] = []
        while not wanted or wanted[-1] is not None:
            _try(self.client.do_handshake)
            wanted.append(self.openssl.handshake(self.server))
        _try(self.client.do_handshake)
        return wanted

    def read(self) -> bytes | Want:
        """Read at the server."""
        return self.openssl.read(self.server)

    def write(self, data: bytes | memoryview) -> int | Want:
        """Write at the server."""
        return self.openssl.write(self.server, data)

    def close(self) -> None:
        """Close the sockets."""
        self.near.close()
        self.far.close()


def _try(call: Callable[..., Any], *arguments: Any) -> Any:
    with suppress(SSL.WantReadError, SSL.WantWriteError):
        return call(*arguments)


@pytest.fixture(params=[SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION], ids=["TLS 1.2", "TLS 1.3"])
def line(request: pytest.FixtureRequest, world: World, openssl: Calls) -> Iterator[Line]:
    """A line between two sockets."""
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_max_proto_version(request.param)
    made = Line(world, openssl, context)
    yield made
    made.close()


class TestSocket:
    """TLS straight on a socket."""

    def test_handshake(self, line: Line) -> None:
        """It wants the client's bytes, until it is done."""
        assert line.openssl.handshake(line.server) is Want.READABLE
        wanted = line.shake_hands()
        assert set(wanted[:-1]) <= {Want.READABLE}
        assert wanted[-1] is None

    def test_handshake_with_garbage(self, line: Line) -> None:
        """It is an error, with OpenSSL's reason, and stays one."""
        line.far.send(b"GET / HTTP/1.1\r\n\r\n")
        with pytest.raises(SSL.Error) as caught:
            line.openssl.handshake(line.server)
        assert caught.value.args[0][-1][-1] == "http request"
        with pytest.raises(SSL.Error):
            line.openssl.handshake(line.server)

    def test_handshake_that_a_callback_refuses(self, line: Line) -> None:
        """Its reason is what is raised."""
        line.client.set_alpn_protos([b"theirs"])
        line.server.acceptable = [b"ours"]
        _try(line.client.do_handshake)
        with pytest.raises(SSL.Error) as caught:
            line.openssl.handshake(line.server)
        assert caught.value.args[0][-1][-1] == "no application protocol"

    def test_handshake_with_a_client_that_goes_away(self, line: Line) -> None:
        """It is the error for the end of a connection, as pyOpenSSL has it."""
        _try(line.client.do_handshake)
        line.openssl.handshake(line.server)
        line.far.close()
        with pytest.raises(SSL.SysCallError):
            line.openssl.handshake(line.server)

    def test_reading(self, line: Line) -> None:
        """A record at most at a time, in order; what is left keeps the socket readable."""
        line.shake_hands()
        assert line.read() is Want.READABLE
        sent = bytes(range(256)) * 100
        line.client.sendall(sent)
        first = line.read()
        assert first == sent[:16384]
        assert line.near.recv(1, socket.MSG_PEEK)
        assert line.read() == sent[16384:]
        assert line.read() is Want.READABLE

    def test_reading_what_is_kept(self, line: Line) -> None:
        """What was read stays what it is when more is read."""
        line.shake_hands()
        line.client.send(b"first")
        first = line.read()
        line.client.send(b"other")
        assert (line.read(), first) == (b"other", b"first")

    def test_the_clients_end(self, line: Line) -> None:
        """After its close_notify there is nothing, however often one asks; writing goes on."""
        line.shake_hands()
        line.client.send(b"last words")
        _try(line.client.shutdown)
        assert line.read() == b"last words"
        assert [line.read(), line.read()] == [b"", b""]
        assert line.write(b"answer") == 6

    def test_reading_from_a_client_that_goes_away(self, line: Line) -> None:
        """The end of the stream without a close_notify is an error."""
        line.shake_hands()
        line.far.close()
        with pytest.raises(SSL.SysCallError):
            line.read()

    def test_reading_garbage(self, line: Line) -> None:
        """It is an error with OpenSSL's reason."""
        line.shake_hands()
        line.far.send(bytes.fromhex("1703030020") + bytes(32))
        with pytest.raises(SSL.Error) as caught:
            line.read()
        assert caught.value.args[0]

    @pytest.mark.parametrize("kind", [bytes, memoryview])
    def test_writing(self, line: Line, kind: Callable[[bytes], Any]) -> None:
        """Bytes and views of bytes get to the client, however large a piece is taken at once."""
        line.shake_hands()
        sent, at, received = bytes(range(256)) * 200, 0, b""
        while at < len(sent):
            count = line.write(kind(sent[at:]))
            assert type(count) is int
            assert count > 0
            at += count
            while got := _try(line.client.recv, 65536):
                received += got
        assert received == sent

    def test_writing_part_of_a_buffer(self, line: Line) -> None:
        """A slice of a view is that slice."""
        line.shake_hands()
        assert line.write(memoryview(b"0123456789")[3:7]) == 4
        assert line.client.recv(100) == b"3456"

    def test_writing_to_a_full_socket(self, line: Line) -> None:
        """It wants a writable one, then the same bytes again, and none is lost or doubled."""
        line.near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        line.shake_hands()
        piece, written, received, waited = bytes(range(256)) * 64, 0, 0, 0
        while written < 20:
            if line.write(piece) is Want.WRITABLE:
                waited += 1
                while got := _try(line.client.recv, len(piece)):
                    received += len(got)
            else:
                written += 1
        while got := _try(line.client.recv, len(piece)):
            received += len(got)
        assert waited
        assert received == written * len(piece)

    def test_writing_to_a_client_that_is_gone(self, line: Line) -> None:
        """It is the error for the end of a connection."""
        line.shake_hands()
        line.far.close()
        with pytest.raises(SSL.SysCallError):
            line.write(b"anybody there?")

    def test_closing(self, line: Line) -> None:
        """The client learns of it; what it still says can be read; saying it twice does no harm."""
        line.shake_hands()
        assert line.openssl.close(line.server) is None
        with pytest.raises(SSL.ZeroReturnError):
            line.client.recv(100)
        line.client.send(b"one more thing")
        assert line.read() == b"one more thing"
        assert line.openssl.close(line.server) in (None, Want.READABLE)

    def test_closing_on_a_full_socket(self, line: Line) -> None:
        """It wants a writable one, and is said once that is so."""
        line.near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        line.shake_hands()
        _try(line.client.recv, 100)  # session tickets
        # Behind OpenSSL's back, up to the last byte: a record that was begun would have to be gone on with first.
        stuffed = 0
        for size in (4096, 1):
            with suppress(BlockingIOError):
                while True:
                    stuffed += line.near.send(bytes(size))
        assert line.openssl.close(line.server) is Want.WRITABLE
        while stuffed:
            stuffed -= len(line.far.recv(stuffed))
        assert line.openssl.close(line.server) is None
        with pytest.raises(SSL.ZeroReturnError):
            line.client.recv(100)


def test_what_other_calls_left_behind_is_no_error(world: World) -> None:
    """OpenSSL tells the outcome of a call by a queue of errors that all connections of a thread share."""
    line = Line(world, PrivateCalls(), SSL.Context(SSL.TLS_CLIENT_METHOD))
    other = SSL.Context(SSL.TLS_SERVER_METHOD)

    def spoil() -> None:
        assert lib.SSL_CTX_set_cipher_list(other._context, b"no-such-cipher") == 0
        assert lib.ERR_peek_error()

    spoil()
    assert line.openssl.handshake(line.server) is Want.READABLE
    line.shake_hands()
    spoil()
    assert line.read() is Want.READABLE
    spoil()
    assert line.write(b"x") == 1
    spoil()
    assert line.openssl.close(line.server) is None
    lib.ERR_clear_error()
    line.close()


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_no_sessions(world: World, version: str) -> None:
    """A base context without sessions resumes none."""
    site = world.site(world.ca.issue("a.example"))
    base = base_context("intermediate", sessions=False)
    site.equip(base)
    client = StapleClient(min_version=version, max_version=version)  # type: ignore[arg-type]
    handshake(base, client=client)
    session = client.session
    client.close()
    assert not handshake(base, client=StapleClient(session=session)).resumed


@pytest.mark.parametrize(
    ("version", "warned"),
    [(0x30600000, True), (0x3060000F, True), (0x30600010, False), (0x30500060, False), (0x40000030, False)],
)
def test_warning(version: int, *, warned: bool) -> None:
    """OpenSSL 3.6.0 is warned about, and no other."""
    assert bool(warning(version)) is warned
