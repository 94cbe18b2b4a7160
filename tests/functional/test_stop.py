"""SIGTERM: what is under way is finished, within limits."""

from __future__ import annotations

import itertools
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from functional.harness import (
    Pki,
    Talk,
    free_port,
    is_listening,
    judge,
    patience,
    twistd,
    wait_until,
    waiting,
    write_config,
)
from functional.http_server import HTTPServer, curl_command, site_table
from functional.test_http_tunnel import Backend, Client

GET = b"GET / HTTP/1.1\r\nHost: page.test\r\n\r\n"
ASK = b"GET / HTTP/1.1\r\nHost: app.test\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate"
ENDED = -signal.SIGTERM
"""twistd ends by the signal that it got."""


@pytest.fixture(params=[1, 2], ids=["one process", "two workers"])
def workers(request: pytest.FixtureRequest) -> int:
    """How many processes serve."""
    return int(request.param)


@contextmanager
def served(folder: Path, drain: float, workers: int) -> Iterator[tuple[HTTPServer, Backend, Backend]]:
    """The program with a page, a proxy and a tunnel, and the backends of both."""
    (folder / "www").mkdir()
    (folder / "www" / "index.html").write_text("a page")
    with (
        socket.create_server(("127.0.0.1", 0)) as app,
        socket.create_server(("127.0.0.1", 0)) as raw,
    ):
        pki = Pki("ca")
        pki.root("ca", str(folder / "root.pem"))
        kinds = {
            "page.test": {"static": folder / "www"},
            "app.test": {"proxy": f"http://127.0.0.1:{app.getsockname()[1]}"},
            "raw.test": {"tunnel": f"tcp:127.0.0.1:{raw.getsockname()[1]}"},
        }
        sites = []
        for name, keys in kinds.items():
            (folder / name).mkdir()
            sites.append(site_table(pki.issue(folder / name, name), **keys))
        port = free_port()
        config = write_config(folder, port, *sites, drain=drain, workers=workers)
        with twistd(folder, "--config", str(config)) as program:
            program.wait_for("serving on")
            yield HTTPServer(program, port, folder), Backend(app), Backend(raw)
            assert "Traceback" not in program.output()
            assert "unexpected" not in program.output().lower()
        pki.close()


def said(server: HTTPServer, pattern: str) -> int:
    """A number that is in a line of the log; of all processes together."""
    return sum(map(int, re.findall(pattern, server.program.output())))


def request(backend: Backend) -> socket.socket:
    """Take a request; the connection that it came on."""
    connection = backend.accept()
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536)
    return connection


@pytest.fixture
def stopping(tmp_path: Path, workers: int) -> Iterator[tuple[HTTPServer, Backend, Backend]]:
    """A program with much patience."""
    with served(tmp_path, 30, workers) as made:
        yield made


def test_what_is_under_way_is_finished(stopping: tuple[HTTPServer, Backend, Backend]) -> None:
    """Requests over both versions of HTTP, a handshake, a tunnel; the program ends with the last of them."""
    server, app, raw = stopping
    # Accepted by the time the next ones are served.
    early = Talk(server.port)
    kept = Client(server.port, "page.test")
    kept.tls.send(GET)
    assert kept.read(15) == b"HTTP/1.1 200 OK"
    used, silent = Client(server.port, "page.test"), Client(server.port, "page.test")
    tunnel = Client(server.port, "raw.test")
    tunnel_end = raw.accept()
    asking = Client(server.port, "app.test")
    asking.tls.send(ASK)
    asked = request(app)
    curl = subprocess.Popen(
        [*curl_command(server.folder, "app.test", server.port, "2"), f"https://app.test:{server.port}/"],
        stdout=subprocess.PIPE,
    )
    asked_by_curl = request(app)
    server.program.signal(signal.SIGTERM)
    told = r"stopping: (\d+) connections may finish, in 30 s; a second signal closes them at once"
    wait_until(lambda: said(server, told) == 7, "7 to be waited for")
    assert not is_listening(server.port)
    used.tls.send(GET)
    assert b"Connection: close\r\n" in used.read_all()
    assert early.ask(GET).startswith(b"HTTP/1.1 200 OK\r\n")
    assert judge(early.client.seen) == "good"
    kept.read_all()
    assert silent.read_all() == b""
    asked.sendall(ANSWER)
    assert asking.read_all().endswith(b"late")
    asked_by_curl.sendall(ANSWER)
    assert curl.communicate(timeout=20)[0] == b"late"
    tunnel.tls.send(b"ping")
    assert tunnel_end.recv(4) == b"ping"
    tunnel_end.sendall(b"pong")
    assert tunnel.read(4) == b"pong"
    assert server.program.process is not None
    assert server.program.process.poll() is None
    tunnel.close()
    assert server.program.end(5) == ENDED


def test_what_takes_too_long_is_closed(tmp_path: Path, workers: int) -> None:
    """A request without an answer, a tunnel, and a client that says nothing, after `drain` seconds."""
    with served(tmp_path, 1.5, workers) as (server, app, raw):
        asking = Client(server.port, "app.test")
        asking.tls.send(ASK)
        asked = request(app)
        tunnel = Client(server.port, "raw.test")
        tunnel_end = raw.accept()
        silent = socket.create_connection(("127.0.0.1", server.port))
        wait_until(lambda: not waiting(server.port), "the server to accept it")
        began = time.monotonic()
        assert server.program.stop() == ENDED
        assert 1.4 < time.monotonic() - began < 8
        assert said(server, r"(\d+) connections are closed before their end") == 3
        assert tunnel_end.recv(1) == b""
        with pytest.raises(ConnectionResetError):
            asked.recv(1)
        for client in (asking, tunnel, silent):
            client.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_it_at_once(tmp_path: Path, workers: int, number: signal.Signals) -> None:
    """However much time connections had."""
    with served(tmp_path, 600, workers) as (server, _app, raw):
        tunnel = Client(server.port, "raw.test")
        tunnel_end = raw.accept()
        server.program.signal(number)
        server.program.wait_for("stopping: 1 connections may finish")
        server.program.signal(number)
        assert server.program.end(5) == -number
        assert tunnel_end.recv(1) == b""
        tunnel.close()


def test_two_signals_in_a_row(tmp_path: Path, workers: int) -> None:
    """The second one may come before the first one was looked at: a program that is busy ends at once, too."""
    with served(tmp_path, 600, workers) as (server, _app, raw):
        tunnel = Client(server.port, "raw.test")
        raw.accept()
        for number in (signal.SIGSTOP, signal.SIGTERM, signal.SIGINT, signal.SIGCONT):
            server.program.signal(number)
        assert server.program.end(5) in {-signal.SIGTERM, -signal.SIGINT}
        tunnel.close()


def test_a_kept_connection_of_http_2(stopping: tuple[HTTPServer, Backend, Backend]) -> None:
    """It is told by GOAWAY, and closed a moment later; nothing is left of the program then."""
    server, _app, _raw = stopping
    talk = Talk(server.port, alpn=(b"h2",))
    talk.shake_hands()
    assert talk.client.seen.alpn == b"h2"
    talk.client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + SETTINGS + SETTINGS_ACK)
    talk.socket.sendall(talk.client.outgoing())
    early = bytearray()
    while SETTINGS_ACK not in early:
        talk.client.incoming(talk.socket.recv(65536))
        early += talk.client.received()
    began = time.monotonic()
    server.program.signal(signal.SIGTERM)
    told = talk.rest()
    assert [kind for kind in kinds(told) if kind == GOAWAY] == [GOAWAY, GOAWAY]
    assert server.program.end(5) == ENDED
    assert 0.9 < time.monotonic() - began < 4


SETTINGS, SETTINGS_ACK = bytes((0, 0, 0, 4, 0, 0, 0, 0, 0)), bytes((0, 0, 0, 4, 1, 0, 0, 0, 0))
GOAWAY = 7


def kinds(data: bytes) -> Iterator[int]:
    """The types of HTTP/2's frames: RFC 9113 §4.1."""
    while data:
        yield data[3]
        data = data[9 + int.from_bytes(data[:3]) :]


def test_no_request_is_lost(stopping: tuple[HTTPServer, Backend, Backend]) -> None:
    """Clients that are busy on kept connections are told to go, and have an answer to each request that they sent."""
    server, _app, _raw = stopping
    with ThreadPoolExecutor(16) as pool:
        busy = [pool.submit(ask_on, server.port, number / 40) for number in range(16)]
        time.sleep(0.5)
        server.program.signal(signal.SIGTERM)
        counts = [one.result(timeout=20) for one in busy]
    assert all(answered == sent and sent > 1 for sent, answered in counts)
    assert server.program.end(5) == ENDED


def ask_on(port: int, pause: float) -> tuple[int, int]:
    """Ask on one connection until the server ends it; how many requests were sent, and how many answered."""
    client = Client(port, "page.test")
    sent = answered = 0
    answer = b""
    while b"Connection: close" not in answer:
        client.tls.send(GET)
        sent += 1
        answer = client.tls.recv(65536)
        answered += answer.startswith(b"HTTP/1.1 200 OK\r\n")
        time.sleep(pause)
    assert client.read_all() == b""
    client.close()
    return sent, answered


def test_signals_that_come_late_change_nothing(tmp_path: Path, workers: int) -> None:
    """Whatever they ask for, and up to the end: it ends in order, without its pid file."""
    with served(tmp_path, 30, workers) as (server, _, _):
        server.program.signal(signal.SIGTERM)
        late = itertools.cycle((signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM))
        with patience(20) as going:
            while going() and "Server Shut Down" not in server.program.output():
                server.program.signal(next(late))
        assert server.program.end() == ENDED
        assert not (tmp_path / "twistd.pid").exists()
