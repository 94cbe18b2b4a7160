"""Limits, as clients meet them: rates over both versions of HTTP, and a process that may open no more files."""

from __future__ import annotations

import os
import re
import resource
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from functional.family import workers
from functional.harness import Pki, Talk, descriptors, free_port, twistd, wait_until, write_config
from functional.http_server import HTTPServer, http_server, site_table

from staplesrv.http.proxy_protocol import ProxyHeader, build
from staplesrv.tls.handshake_failure import HandshakeFailed


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HTTPServer]:
    """A site with a rate, one without, and a listener behind a proxy; handshakes are limited, too."""
    folder = tmp_path_factory.mktemp("limits")
    (folder / "www").mkdir()
    (folder / "www" / "index.html").write_text("a page")
    pki = Pki("ca")
    files = pki.issue(folder, "localhost", "slow.test", "free.test")
    behind = free_port()
    tables = [
        "[limits]\nhandshake_rate = 0.05\nhandshake_burst = 12\n",
        site_table(files, names=["slow.test"], static=folder / "www", request_rate=0.1, request_burst=3),
        site_table(files, names=["localhost", "free.test"], static=folder / "www"),
        f'[[listeners]]\nendpoint = "tcp:{behind}:interface=127.0.0.1"\nproxy_protocol_from = ["127.0.0.0/8"]\n',
    ]
    with http_server(pki, folder, *tables) as running:
        running.plain = behind
        yield running
        assert running.program.stop() < 0
        assert "Traceback" not in running.program.output()
    pki.close()


def behind_proxy(server: HTTPServer, client: str) -> Talk:
    """A client that a proxy tells of."""
    talk = Talk(server.plain)
    talk.socket.sendall(build(ProxyHeader((client, 4000), ("192.0.2.80", 443))))
    return talk


def statuses(server: HTTPServer, client: str, name: str, requests: int) -> list[int]:
    """What a client gets for requests on one connection, all at once."""
    ask = f"GET / HTTP/1.1\r\nHost: {name}\r\n\r\n".encode()
    last = ask.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    answer = behind_proxy(server, client).ask(ask * (requests - 1) + last)
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+) ", answer)]


def test_requests_a_second_of_one_address(server: HTTPServer) -> None:
    """Clients behind a proxy count by their own address, over all connections; another site has no such limit."""
    assert statuses(server, "192.0.2.1", "slow.test", 5) == [200, 200, 200, 429, 429]
    assert statuses(server, "192.0.2.1", "slow.test", 2) == [429, 429]
    assert statuses(server, "192.0.2.1", "free.test", 6) == [200] * 6
    assert statuses(server, "192.0.2.2", "slow.test", 4) == [200, 200, 200, 429]


def test_a_64_of_ipv6_is_one_address(server: HTTPServer) -> None:
    """A provider gives one customer that much."""
    assert statuses(server, "2001:db8::1", "slow.test", 2) == [200, 200]
    assert statuses(server, "2001:db8::ffff:2", "slow.test", 2) == [200, 429]
    assert statuses(server, "2001:db8:0:1::1", "slow.test", 2) == [200, 200]


def test_over_http_2_too(server: HTTPServer) -> None:
    """The same buckets, and Retry-After."""
    answers = [server.curl("/", name="slow.test", version=version) for version in ("2", "1.1", "2", "2", "1.1")]
    assert [one.status for one in answers] == [200, 200, 200, 429, 429]
    assert [one.version for one in answers] == ["2", "1.1", "2", "2", "1.1"]
    assert 1 <= int(answers[3].fields["retry-after"]) <= 10
    assert b"429 Too Many Requests" in answers[3].body


def test_handshakes_a_second_of_one_address(server: HTTPServer) -> None:
    """Beyond the burst a connection is closed before anything is computed for it; others are let in meanwhile."""

    def is_let_in(client: str) -> bool:
        talk = behind_proxy(server, client)
        try:
            talk.shake_hands()
        except (HandshakeFailed, ConnectionResetError):
            return False
        finally:
            talk.socket.close()
        return bool(talk.client.seen.staple)

    assert [is_let_in("192.0.2.77") for _ in range(15)] == [True] * 12 + [False] * 3
    assert is_let_in("192.0.2.78")


def processor_seconds(pid: int) -> float:
    """How long a process has computed."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_a_full_file_table(tmp_path: Path) -> None:
    """Who comes then is turned away; those who are there are served, the process rests, and later there is room."""
    pki = Pki("ca")
    site = site_table(pki.issue(tmp_path, "localhost"), redirect="https://elsewhere.test")
    ask = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    with http_server(pki, tmp_path, site) as server:
        pid = server.program.pid
        first = Talk(server.port)
        first.shake_hands()
        most = descriptors(pid) + 20
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (most, most))
        crowd = [Talk(server.port) for _ in range(60)]
        wait_until(lambda: descriptors(pid) >= most - 1, "the file table to be full")
        wait_until(lambda: sum(map(_was_turned_away, crowd)) >= 35, "the others to be turned away")
        before = processor_seconds(pid)
        time.sleep(1)
        assert processor_seconds(pid) - before < 0.3
        assert first.ask(ask).startswith(b"HTTP/1.1 301 ")
        for one in crowd:
            one.socket.close()
        wait_until(lambda: descriptors(pid) < most - 15, "room")
        assert Talk(server.port).ask(ask).startswith(b"HTTP/1.1 301 ")
        server.program.stop()
        assert "Traceback" not in server.program.output()
        assert server.program.output().count("Accepting a connection failed") <= 1
    pki.close()


def _was_turned_away(talk: Talk) -> bool:
    talk.socket.setblocking(False)
    try:
        return talk.socket.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


def test_workers_share_the_rates(tmp_path: Path) -> None:
    """A client whose connections are with all of four workers may ask as often as with one.

    To the request where it does one thing after the other: two workers that look at its bucket at once may both let
    it in.
    """
    pki = Pki("ca")
    site = site_table(pki.issue(tmp_path, "localhost"), redirect="https://a.test", request_rate=0.01, request_burst=30)
    limits = "[limits]\nhandshake_rate = 0.01\nhandshake_burst = 40\n"
    port = free_port()
    with twistd(tmp_path, "--config", str(write_config(tmp_path, port, limits, site, workers=4))) as program:
        program.wait_for("serving on")
        talks, let_in = [], []
        for _ in range(60):
            talks.append(Talk(port))
            if _shakes_hands(talks[-1]):
                let_in.append(talks[-1])
        assert len(let_in) == 40
        statuses = [_ask(talk, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n") for talk in let_in]
        assert (statuses.count(b"301"), statuses.count(b"429")) == (30, 10)
        assert len([pid for pid in workers(program.pid) if _connections(pid)]) > 1
        for talk in talks:
            talk.socket.close()
        assert program.stop() < 0
    pki.close()


def _shakes_hands(talk: Talk) -> bool:
    try:
        talk.shake_hands()
    except (HandshakeFailed, OSError):
        return False
    return True


def _ask(talk: Talk, request: bytes) -> bytes:
    talk.client.send(request)
    talk.socket.sendall(talk.client.outgoing())
    answer = talk.client.received()
    while not answer:
        talk.client.incoming(talk.socket.recv(1 << 16))
        answer = talk.client.received()
    return answer[9:12]


def _connections(pid: int) -> int:
    """How many sockets a worker has beyond those that it has at rest: two or three."""
    return max(0, sum(str(one.readlink()).startswith("socket:") for one in Path(f"/proc/{pid}/fd").iterdir()) - 5)
