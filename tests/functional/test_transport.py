"""What clients do to a connection: whatever it is, the next one is served, nothing stays open, nothing is logged."""

from __future__ import annotations

import hashlib
import json
import random
import resource
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest
from functional.harness import (
    MIB,
    ROOT,
    TLS12,
    TLS13,
    Pki,
    Program,
    Talk,
    descriptors,
    digest,
    free_port,
    is_listening,
    judge,
    little_growth,
    look,
    need,
    rests,
    twistd,
    wait_until,
    write_config,
    write_large,
)
from functional.record_client import ALERT, CLOSE_NOTIFY, HANDSHAKE, LARGEST, Record, RecordClient
from OpenSSL import SSL

from staplesrv.tls.client import StapleClient

LARGE = 100 * MIB
GROWTH = 40 * 1024
"""What a server may grow by over a large body, in KiB."""

CLOSING = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
PAGE = b"a page"
REFUSED = b"HTTP/1.1 400"


@dataclass(frozen=True)
class Serving:
    """A running server."""

    program: Program
    port: int

    def complaints(self, since: int = 0) -> str:
        """What it has logged, beyond so many characters, if a traceback is in that."""
        output = self.program.output()[since:]
        return output if "Traceback" in output or "Unhandled" in output else ""


@pytest.fixture(scope="module")
def authority() -> Iterator[Pki]:
    """A CA with its responder."""
    running = Pki("ca")
    yield running
    running.close()


@pytest.fixture(scope="module")
def running_site(authority: Pki, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """The program with a site that has a small page and a large file."""
    folder, port = tmp_path_factory.mktemp("site"), free_port()
    authority.root("ca", str(folder / "root.pem"))
    config = write_config(folder, port, authority.issue(folder, "localhost").table())
    write_large(folder / "www" / "large.bin", LARGE)
    with twistd(folder, "--config", str(config)) as program:
        wait_until(lambda: is_listening(port), "the port")
        yield Serving(program, port)


@pytest.fixture(scope="module")
def running_protocols(authority: Pki, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A program that has the endpoint under a protocol of its own: `transport_server.py`."""
    with protocols_program(authority, tmp_path_factory.mktemp("protocols")) as serving:
        yield serving


@contextmanager
def protocols_program(authority: Pki, folder: Path, *limits: str) -> Iterator[Serving]:
    """Run `transport_server.py`."""
    files, port = authority.issue(folder, "localhost"), free_port()
    script = ROOT / "tests" / "functional" / "transport_server.py"
    arguments = [sys.executable, str(script), *map(str, files), str(port), str(folder / "state"), *limits]
    with Program(arguments, folder) as program:
        wait_until(lambda: is_listening(port), "the port")
        yield Serving(program, port)


@pytest.fixture
def site(running_site: Serving) -> Iterator[Serving]:
    """The site, and after the test it is unharmed."""
    yield from unharmed(running_site, lambda: PAGE in Talk(running_site.port).ask(CLOSING))


@pytest.fixture
def protocols(running_protocols: Serving) -> Iterator[Serving]:
    """The protocols, and after the test they are unharmed."""

    def well() -> bool:
        with RecordClient(running_protocols.port) as client:
            client.send(b"open\n")
            return client.receive() == Record(23, b"1\n")

    yield from unharmed(running_protocols, well)


def unharmed(serving: Serving, well: Callable[[], bool]) -> Iterator[Serving]:
    """See that a server works before and after, with no more descriptors, and that it logged no traceback."""
    wait_until(well, "a first answer")
    before, logged = descriptors(serving.program.pid), len(serving.program.output())
    yield serving
    wait_until(well, "a good client's answer")
    assert judge(look(serving.port, "localhost")) == "good"
    wait_until(lambda: descriptors(serving.program.pid) <= before, f"{before} descriptors again")
    assert not serving.complaints(logged)


def everything(plain: socket.socket) -> bytes:
    """Read up to the end of a connection, however it ends."""
    answer = b""
    with plain, suppress(ConnectionResetError):
        while data := plain.recv(1 << 16):
            answer += data
    return answer


def reset(plain: socket.socket) -> None:
    """Close with a reset."""
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    plain.close()


class TestEnds:
    @pytest.mark.parametrize("options", [TLS12, TLS13], ids=["TLS 1.2", "TLS 1.3"])
    def test_a_client_that_says_close_notify_after_its_request(self, site: Serving, options: dict[str, str]) -> None:
        """It gets the page all the same: what is written at once goes out before the connection ends."""
        talk = Talk(site.port, **options)
        talk.shake_hands()
        talk.client.send(CLOSING)
        talk.client.close()
        talk.socket.sendall(talk.client.outgoing())
        answer = talk.rest()
        # RFC 5246 §7.2.1: in TLS 1.2 the other side drops what it has not written yet.
        if options == TLS13:
            assert PAGE in answer

    def test_a_client_that_ends_with_its_request(self, site: Serving) -> None:
        """An end of the stream without close_notify right after a request ends the connection."""
        talk = Talk(site.port)
        talk.shake_hands()
        talk.client.send(CLOSING)
        talk.socket.sendall(talk.client.outgoing())
        talk.socket.shutdown(socket.SHUT_WR)
        everything(talk.socket)

    @pytest.mark.parametrize("end", [socket.socket.close, reset], ids=["ends", "resets"])
    def test_a_client_that_is_gone_without_close_notify(
        self, site: Serving, end: Callable[[socket.socket], object]
    ) -> None:
        """A client goes away before its first request, in the middle of one, and in the middle of the answer."""
        for request in (b"", CLOSING[:30], CLOSING.replace(b"/", b"/large.bin", 1)):
            talk = Talk(site.port)
            talk.shake_hands()
            if request:
                talk.client.send(request)
            talk.socket.sendall(talk.client.outgoing())
            if request[-4:] == b"\r\n\r\n":
                talk.socket.recv(1000)
            end(talk.socket)

    @pytest.mark.parametrize("end", [socket.socket.close, reset], ids=["ends", "resets"])
    def test_a_client_that_is_gone_in_the_middle_of_the_handshake(
        self, site: Serving, end: Callable[[socket.socket], object]
    ) -> None:
        """Wherever in its hello or its last flight a client stops, the connection ends."""
        hello = len(StapleClient(server_name="localhost").outgoing())
        for offset in (0, 1, 4, 5, 6, 9, 100, hello - 1, hello, hello + 1, hello + 6, hello + 30):
            talk, left = Talk(site.port), offset
            while left > 0 and not talk.client.done:
                out = talk.client.outgoing()
                talk.socket.sendall(out[:left])
                left -= len(out)
                if left > 0:
                    talk.client.incoming(talk.socket.recv(1 << 16))
            if talk.client.done:
                talk.socket.sendall(talk.client.outgoing()[:left])
            end(talk.socket)

    def test_clients_that_do_nothing(self, site: Serving) -> None:
        """Clients that stop, wherever they stop, give the server nothing to do."""
        talks = [Talk(site.port) for _ in range(6)]
        nothing, hello, idle, stalled, goodbye, ended = talks
        hello.socket.sendall(hello.client.outgoing()[:-1])
        for talk in (idle, stalled, goodbye, ended):
            talk.shake_hands()
            talk.socket.sendall(talk.client.outgoing())
        stalled.client.send(CLOSING.replace(b"/", b"/large.bin", 1))
        goodbye.client.close()
        for talk in (stalled, goodbye):
            talk.socket.sendall(talk.client.outgoing())
        nothing.socket.shutdown(socket.SHUT_WR)
        ended.socket.shutdown(socket.SHUT_WR)
        wait_until(lambda: rests(site.program.pid), "a server that waits")
        for talk in talks:
            talk.socket.close()


class TestBytes:
    @pytest.mark.parametrize("options", [TLS12, TLS13], ids=["TLS 1.2", "TLS 1.3"])
    def test_one_byte_at_a_time(self, site: Serving, options: dict[str, str]) -> None:
        """A handshake and a request that come in single bytes are served."""
        talk = Talk(site.port, **options)

        def send(data: bytes) -> None:
            for byte in data:
                talk.socket.sendall(bytes([byte]))

        talk.shake_hands(send)
        talk.client.send(CLOSING)
        send(talk.client.outgoing())
        assert PAGE in talk.rest()

    def test_a_request_in_one_segment_with_the_end_of_the_handshake(self, site: Serving) -> None:
        """The request that comes along with the client's Finished is answered."""
        assert PAGE in Talk(site.port).ask(CLOSING)

    @pytest.mark.parametrize("request_line", [b"GET / HTTP/1.1", b"POST /a HTTP/1.0", b"OPTIONS * HTTP/1.1"])
    def test_plain_http(self, site: Serving, request_line: bytes) -> None:
        """Who speaks HTTP without TLS is told so in words that it can read."""
        plain = socket.create_connection(("127.0.0.1", site.port), 20)
        plain.sendall(request_line + b"\r\nHost: localhost\r\n\r\n")
        assert everything(plain).startswith(REFUSED)

    def test_plain_http_with_curl(self, site: Serving) -> None:
        """Curl shows the status, and has nothing to complain about."""
        command = [need("curl"), "--silent", "--show-error", "--write-out", "%{http_code}", "-o", "/dev/null"]
        url = f"http://127.0.0.1:{site.port}/"
        done = subprocess.run([*command, "--max-time", "10", url], capture_output=True, check=False)
        assert (done.returncode, done.stdout) == (0, b"400")

    def test_plain_http_to_what_has_no_http(self, protocols: Serving) -> None:
        """Where no HTTP is spoken the connection ends without a word of it."""
        plain = socket.create_connection(("127.0.0.1", protocols.port), 20)
        plain.sendall(CLOSING)
        assert b"HTTP" not in everything(plain)

    @pytest.mark.parametrize(
        "garbage",
        [
            pytest.param(bytes(64), id="zeros"),
            pytest.param(random.Random(1).randbytes(3000), id="chance"),
            pytest.param(b"SSH-2.0-OpenSSH_9.2\r\n", id="SSH"),
            pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", id="HTTP/2 in the clear"),
            pytest.param(bytes.fromhex("802e0100020015000000100100800700c0030080060040020080040080"), id="SSL 2"),
            pytest.param(bytes.fromhex("160301ffff") + bytes(100), id="too long a record"),
            pytest.param(bytes.fromhex("160301000401ffffff"), id="too long a hello"),
            pytest.param(bytes.fromhex("15030100020228"), id="an alert"),
            pytest.param(bytes.fromhex("1403030001011403030001011403030001"), id="out of turn"),
            pytest.param(bytes.fromhex("1703030005abcdefabcd"), id="data at once"),
            pytest.param(bytes.fromhex("1603010000") * 100, id="empty records"),
        ],
    )
    def test_garbage(self, site: Serving, garbage: bytes) -> None:
        """What is no TLS ends the connection, at once or with its sender."""
        plain = socket.create_connection(("127.0.0.1", site.port), 20)
        with suppress(ConnectionResetError, BrokenPipeError):
            plain.sendall(garbage)
            plain.shutdown(socket.SHUT_WR)
        everything(plain)

    def test_renegotiation(self, site: Serving) -> None:
        """A client of TLS 1.2 that asks to renegotiate is refused."""
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        context.set_max_proto_version(SSL.TLS1_2_VERSION)
        with socket.create_connection(("127.0.0.1", site.port), 20) as plain:
            plain.settimeout(None)
            client = SSL.Connection(context, plain)
            client.set_connect_state()
            client.do_handshake()
            assert client.renegotiate()
            with pytest.raises(SSL.Error, match="no renegotiation"):
                client.do_handshake()


class TestRecords:
    def test_records_without_data(self, protocols: Serving) -> None:
        """Records that decrypt to nothing, long with padding or not, are no data and no end."""
        with RecordClient(protocols.port) as client:
            client.send(b"echo\n")
            for padding in (0, 1, LARGEST):
                client.send(b"", padding=padding)
                client.send(b"after")
                assert client.receive() == Record(23, b"after")

    def test_key_updates(self, protocols: Serving) -> None:
        """New keys are taken; where the client asks for it the server makes its own new, and data goes on both ways."""
        with RecordClient(protocols.port) as client:
            client.send(b"echo\n")
            for requested, answered in ((False, 0), (True, 1), (True, 2), (False, 2)):
                client.socket.sendall(client.key_update(requested=requested))
                client.send(b"after")
                assert client.receive() == Record(23, b"after")
                assert client.key_updates == answered

    def test_a_key_update_in_the_middle_of_an_upload(self, protocols: Serving) -> None:
        """What is read before, between and after new keys is what was sent."""
        data = random.Random(2).randbytes(4 * MIB)
        with RecordClient(protocols.port) as client:
            client.send(b"take %d\n" % len(data))
            for start in range(0, len(data), LARGEST):
                client.send(data[start : start + LARGEST])
                client.socket.sendall(client.key_update(requested=start % (1 << 18) == 0))
            assert client.receive_data(65) == hashlib.sha256(data).hexdigest().encode() + b"\n"
            assert client.key_updates

    def test_a_key_update_in_the_middle_of_a_download(self, protocols: Serving) -> None:
        """A server that is asked for new keys while it can't write changes them, and goes on."""
        with RecordClient(protocols.port) as client:
            client.send(b"give %d\n" % (16 * MIB))
            expected = hashlib.sha256(bytes(range(256)) * (MIB // 16)).digest()
            got, left, asked = hashlib.sha256(), 16 * MIB, 0
            while left:
                # One after the other: OpenSSL gives a connection up over a second one that comes while the first waits
                # for a record that is half sent.
                if asked == client.key_updates:
                    client.socket.sendall(client.key_update(requested=True))
                    asked += 1
                record = client.receive()
                got.update(record.content)
                left -= len(record.content)
            assert client.key_updates > 1
            assert got.digest() == expected

    @pytest.mark.parametrize(
        ("offence", "alert"),
        [
            pytest.param(lambda client: client.send(bytes(LARGEST + 1)), 22, id="too long a record"),
            pytest.param(lambda client: client.socket.sendall(client.writing.seal(b"x")[:-1] + b"x"), 20, id="bad MAC"),
            pytest.param(lambda client: client.send(b"", HANDSHAKE), 10, id="an empty handshake record"),
            pytest.param(lambda client: client.send(b"\0", 20), 10, id="another kind of record"),
            pytest.param(lambda client: client.send(b"\1\0\0\0", HANDSHAKE), 10, id="a second hello"),
            pytest.param(lambda client: client.send(b"\x18\0\0\1\2", HANDSHAKE), 47, id="a wrong key update"),
        ],
    )
    def test_offences(self, protocols: Serving, offence: Callable[[RecordClient], None], alert: int) -> None:
        """What RFC 8446 forbids is answered by the alert that it names, and the connection ends."""
        with RecordClient(protocols.port) as client:
            client.send(b"echo\nbefore")
            assert client.receive() == Record(23, b"before")
            offence(client)
            assert client.farewell() == alert

    def test_a_client_that_goes_on_sending(self, protocols: Serving) -> None:
        """A client that still sends when the server is done gets all that was written for it, and the close_notify."""
        with RecordClient(protocols.port) as client:
            client.send(b"last %d\n" % (4 * MIB))
            first = client.receive().content
            client.send(b"more")
            # All that fits the kernel's buffers is there now; some of it has yet to leave the server's.
            wait_until(lambda: rests(protocols.program.pid), "a server that waits")
            client.send(b"even more")
            assert first + client.receive_data(4 * MIB - len(first)) == bytes(range(256)) * (4 * MIB // 256)
            assert client.farewell() == CLOSE_NOTIFY

    @pytest.mark.parametrize(("content", "kind"), [(bytes([2, 80]), ALERT), (b"", HANDSHAKE)], ids=["alert", "offence"])
    def test_an_end_in_the_middle_of_a_download(self, protocols: Serving, content: bytes, kind: int) -> None:
        """A connection that fails while the server has more to send ends, and its producer with it."""
        with RecordClient(protocols.port) as client:
            client.send(b"give %d\n" % LARGE)
            client.receive()
            client.send(content, kind)
            client.farewell()

    def test_a_clients_alert(self, protocols: Serving) -> None:
        """A fatal alert ends the connection without an answer; close_notify is answered."""
        for content, answer in ((bytes([2, 80]), None), (bytes([1, CLOSE_NOTIFY]), CLOSE_NOTIFY)):
            with RecordClient(protocols.port) as client:
                client.send(content, ALERT)
                assert client.farewell() == answer

    @pytest.mark.parametrize("kind", ["updates", "requests", "nothing", "single bytes"])
    def test_a_flood(self, protocols: Serving, kind: str) -> None:
        """Others are served while one client floods with records of next to nothing; the flood is refused or read."""
        count = 10_000
        with RecordClient(protocols.port) as flooding, RecordClient(protocols.port) as other:
            make: Callable[[], bytes] = {
                "updates": lambda: flooding.key_update(requested=False),
                "requests": lambda: flooding.key_update(requested=True),
                "nothing": lambda: flooding.writing.seal(b""),
                "single bytes": lambda: flooding.writing.seal(b"x"),
            }[kind]
            flooding.send(b"take %d\n" % (1 + count * (kind == "single bytes")))
            flood = b"".join(make() for _ in range(count)) + flooding.writing.seal(b"x")
            answers = 0
            with Pouring(flooding, flood) as pouring:
                while not pouring.over:
                    other.send(b"turns\n")
                    other.receive()
                    answers += 1
            # A server that reads on for as long as there is something to read answers once or twice.
            assert answers > 3 or pouring.refused


class Pouring:
    """Sends in a thread, and waits there for one answer.

    Args:
        client: The connection, which is the thread's until the end of the context.
        flood: The records.
    """

    def __init__(self, client: RecordClient, flood: bytes) -> None:
        self.client = client
        self.flood = flood
        self.answer: Record | None = None
        self.thread = threading.Thread(target=self._pour)

    def _pour(self) -> None:
        with suppress(OSError, EOFError):
            self.client.socket.sendall(self.flood)
            self.answer = self.client.receive()

    @property
    def over(self) -> bool:
        """Whether the other side has answered, or has closed."""
        return not self.thread.is_alive()

    @property
    def refused(self) -> bool:
        """Whether the other side has closed, or sent an alert."""
        return self.over and (self.answer is None or self.answer.kind == ALERT)

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.thread.join()


@pytest.fixture
def small_site(site: Serving) -> Iterator[Serving]:
    """The site, which never grows by much during the test."""
    with little_growth(site.program.pid, GROWTH):
        yield site


@pytest.fixture
def small_protocols(protocols: Serving) -> Iterator[Serving]:
    """The protocols, which never grow by much during the test."""
    with little_growth(protocols.program.pid, GROWTH):
        yield protocols


class TestLarge:
    def test_a_download_with_curl(self, small_site: Serving, tmp_path: Path) -> None:
        """A body of 100 MiB arrives whole, and is never in memory as a whole."""
        folder = small_site.program.folder
        command = [need("curl"), "--silent", "--show-error", "--http1.1", "--cacert", str(folder / "root.pem")]
        url = f"https://localhost:{small_site.port}/large.bin"
        subprocess.run([*command, "--max-time", "60", "-o", str(tmp_path / "got"), url], check=True)
        assert digest(tmp_path / "got") == digest(folder / "www" / "large.bin")

    def test_a_download_by_a_client_that_stops_reading(self, small_site: Serving) -> None:
        """While nobody reads, the server keeps no more of the body than fits the buffers; then the rest comes."""
        talk = Talk(small_site.port)
        talk.shake_hands()
        talk.client.send(CLOSING.replace(b"/", b"/large.bin", 1))
        talk.socket.sendall(talk.client.outgoing())
        wait_until(lambda: rests(small_site.program.pid), "a server that waits")
        got, size = hashlib.sha256(), 0
        head = b""
        while not talk.client.closed:
            data = talk.socket.recv(MIB)
            talk.client.incoming(data)
            body = talk.client.received()
            if b"\r\n\r\n" not in head:
                head += body
                body = head.partition(b"\r\n\r\n")[2]
            got.update(body)
            size += len(body)
        talk.socket.close()
        assert size == LARGE
        assert got.digest() == digest(small_site.program.folder / "www" / "large.bin")

    @pytest.mark.parametrize("word", [b"take", b"hold"])
    def test_an_upload(self, small_protocols: Serving, word: bytes) -> None:
        """100 MiB are read as they were sent; where a protocol pauses, they wait with the client."""
        block, blocks = random.Random(3).randbytes(MIB), LARGE // MIB
        sent = hashlib.sha256(block * blocks).hexdigest().encode()
        with RecordClient(small_protocols.port) as client, RecordClient(small_protocols.port) as other:
            client.send(b"%s %d\n" % (word, LARGE))
            flood = b"".join(
                client.writing.seal(block[start : start + LARGEST])
                for _ in range(blocks)
                for start in range(0, MIB, LARGEST)
            )
            with Pouring(client, flood) as pouring:
                if word == b"hold":
                    wait_until(lambda: rests(small_protocols.program.pid), "a server that waits")
                    assert not pouring.over
                    other.send(b"release\n")
                    assert other.receive() == Record(23, b"released\n")
            assert pouring.answer == Record(23, sent + b"\n")


@pytest.fixture(scope="module")
def limited(authority: Pki, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A server with little room and patience."""
    limits = ("handshake_seconds=2", "connections=8", "connections_per_address=4", "handshakes=4")
    with protocols_program(authority, tmp_path_factory.mktemp("limited"), *limits) as serving:
        yield serving
        assert not serving.complaints()


class TestLimits:
    def closed(self, serving: Serving) -> Mapping[str, int]:
        """What a server closed connections for so far; from an address of its own."""
        with RecordClient(serving.port, source="127.0.0.9") as client:
            client.send(b"closed\n")
            return Counter(json.loads(client.receive().content))

    def test_clients_that_stop_in_their_hello(self, limited: Serving) -> None:
        """Who sends nothing, a byte, the head of a record, or all but a byte, is cut off in time, and counted."""
        before = self.closed(limited)["handshake-timeout"]
        hello = StapleClient(server_name="localhost").outgoing()
        began = time.monotonic()
        silent = [socket.create_connection(("127.0.0.1", limited.port), 20) for _ in range(4)]
        for one, sent in zip(silent, (0, 1, 5, len(hello) - 1), strict=True):
            one.sendall(hello[:sent])
        for one in silent:
            assert everything(one) == b""
            assert time.monotonic() - began > 1.8
        assert self.closed(limited)["handshake-timeout"] == before + 4

    def test_a_client_that_takes_its_time(self, limited: Serving) -> None:
        """It is no use to send a byte now and then: the time is that of the whole handshake."""
        before = self.closed(limited)["handshake-timeout"]
        hello = iter(StapleClient(server_name="localhost").outgoing())
        with socket.create_connection(("127.0.0.1", limited.port), 0.1) as slow, suppress(ConnectionResetError):
            while True:
                with suppress(TimeoutError):
                    slow.sendall(bytes([next(hello)]))
                    if not slow.recv(1):
                        break
        assert self.closed(limited)["handshake-timeout"] == before + 1

    def test_a_client_that_is_silent_after_the_handshake(self, limited: Serving) -> None:
        """Once the handshake is done there is no hurry."""
        with RecordClient(limited.port) as client, socket.create_connection(("127.0.0.1", limited.port), 20) as silent:
            everything(silent)
            client.send(b"echo\nstill there")
            assert client.receive() == Record(23, b"still there")

    def test_more_connections_than_an_address_may_have(self, limited: Serving) -> None:
        """The one too many is closed at once, and counted; another address has its own number."""
        with ExitStack() as stack:
            mine = [stack.enter_context(RecordClient(limited.port)) for _ in range(4)]
            assert everything(socket.create_connection(("127.0.0.1", limited.port), 20)) == b""
            assert self.closed(limited)["too-many-from-address"] == 1
            mine.pop().socket.close()
            wait_until(lambda: self.gets_in(limited, "127.0.0.1"), "room again")

    def test_more_connections_than_there_may_be(self, limited: Serving) -> None:
        """The one too many is closed, whatever its address; those that are open go on."""
        with ExitStack() as stack:
            addresses = ["127.0.0.1"] * 4 + ["127.0.0.2"] * 4
            *mine, last = [stack.enter_context(RecordClient(limited.port, source=address)) for address in addresses]
            assert not self.gets_in(limited, "127.0.0.3")
            for client in mine:
                client.send(b"echo\nstill there")
                assert client.receive() == Record(23, b"still there")
            last.send(b"closed\n")
            assert json.loads(last.receive().content)["too-many-connections"] == 1
        wait_until(lambda: self.gets_in(limited, "127.0.0.3"), "room again")

    def test_more_handshakes_than_there_may_be(self, limited: Serving) -> None:
        """The one too many is closed; there is room again when the others had their time."""
        with ExitStack() as stack:
            for _ in range(4):
                stack.enter_context(socket.create_connection(("127.0.0.1", limited.port), 20))
            assert not self.gets_in(limited, "127.0.0.3")
            wait_until(lambda: self.gets_in(limited, "127.0.0.3"), "room again")
        assert self.closed(limited)["too-many-handshakes"]

    def test_more_connections_than_descriptors(self, authority: Pki, tmp_path: Path) -> None:
        """Who comes when there is no descriptor left is turned away; the server rests, and serves on when there are."""
        with protocols_program(authority, tmp_path) as serving, ExitStack() as stack:
            assert self.gets_in(serving, "127.0.0.1")
            limit = descriptors(serving.program.pid) + 10
            resource.prlimit(serving.program.pid, resource.RLIMIT_NOFILE, (limit, limit))
            crowd = [stack.enter_context(socket.create_connection(("127.0.0.1", serving.port), 20)) for _ in range(50)]
            for late in crowd[20:]:
                assert everything(late) == b""
            wait_until(lambda: rests(serving.program.pid), "a server that waits")
            for early in crowd[:20]:
                early.close()
            wait_until(lambda: self.gets_in(serving, "127.0.0.1"), "room again")
            assert not serving.complaints()
            assert len(serving.program.output().splitlines()) < 20

    def gets_in(self, serving: Serving, source: str) -> bool:
        """Whether a client gets an answer from an address."""
        try:
            with RecordClient(serving.port, source=source) as client:
                client.send(b"echo\nhello")
                return client.receive() == Record(23, b"hello")
        except (EOFError, ConnectionResetError, BrokenPipeError):
            return False


@pytest.mark.parametrize("reactor", ["epoll", "poll", "select", "asyncio"])
def test_reactors(authority: Pki, port: int, tmp_path: Path, reactor: str) -> None:
    """Under each of Twisted's reactors for descriptors: a staple, a page, a large body, and handshakes broken off."""
    config = write_config(tmp_path, port, authority.issue(tmp_path, "localhost").table())
    write_large(tmp_path / "www" / "large.bin", 16 * MIB)
    program = twistd(tmp_path, "--config", str(config))
    program.arguments[1:1] = ["--reactor", reactor]
    with program:
        program.wait_for("serving on")
        assert f"{reactor}reactor" in program.output()
        serving = Serving(program, port)
        for _ in unharmed(serving, lambda: PAGE in Talk(port).ask(CLOSING)):
            hello = StapleClient(server_name="localhost").outgoing()
            for end in (socket.socket.close, reset):
                for offset in (0, 1, 5, 100, len(hello)):
                    plain = socket.create_connection(("127.0.0.1", port), 20)
                    plain.sendall(hello[:offset])
                    end(plain)
            body = Talk(port).ask(CLOSING.replace(b"/", b"/large.bin", 1)).partition(b"\r\n\r\n")[2]
            assert hashlib.sha256(body).digest() == digest(tmp_path / "www" / "large.bin")
