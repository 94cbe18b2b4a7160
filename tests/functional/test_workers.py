"""Several processes: whichever of them dies, and whatever is reloaded, service goes on."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from functional.family import fork_servers, is_alive, workers
from functional.harness import (
    TLS12,
    TLS13,
    Pki,
    Talk,
    descriptors,
    free_port,
    is_listening,
    judge,
    look,
    resident_kib,
    twistd,
    wait_until,
    write_config,
)
from functional.http_server import HTTPServer, http_backend, site_table
from functional.idle_clients import IdleClients
from functional.steady_load import steady_load
from functional.visitor import Visitor, client_context

SOAK = pytest.mark.soak


@contextmanager
def stopped_in_order(server: HTTPServer) -> Iterator[None]:
    """Stop the program after a block, and see that it and all its processes end as they should."""
    yield
    family = [server.program.pid, *fork_servers(server.program.pid), *workers(server.program.pid)]
    assert server.program.stop(20) == -signal.SIGTERM
    wait_until(lambda: not any(is_alive(pid) for pid in family), "the end of all processes")
    assert "Traceback" not in server.program.output()


@contextmanager
def served(pki: Pki, folder: Path, count: int = 2, *tables: str, **keys: object) -> Iterator[HTTPServer]:
    """The program with some workers, and a page."""
    files = pki.issue(folder, "localhost")
    (folder / "www").mkdir()
    (folder / "www" / "index.html").write_text("a page")
    port = free_port()
    pki.root("ca", str(folder / "root.pem"))
    config = write_config(folder, port, site_table(files, static=folder / "www"), *tables, workers=count, **keys)
    with twistd(folder, "--config", str(config)) as program:
        program.wait_for("serving on")
        assert len(workers(program.pid)) == count
        server = HTTPServer(program, port, folder)
        with stopped_in_order(server):
            yield server


def replaced(supervisor: int, count: int, before: int) -> Callable[[], bool]:
    """A condition: there are as many workers as there should be, and one is not among them."""

    def is_replaced() -> bool:
        there = workers(supervisor)
        return len(there) == count and before not in there

    return is_replaced


@pytest.mark.parametrize("seconds", [3, pytest.param(60, marks=SOAK)])
def test_whoever_dies_is_replaced(tmp_path: Path, pki: Pki, seconds: float) -> None:
    """Under load: each worker, the fork server, and the responder. What is lost was in flight in the killed process."""
    clients, began = 8, time.monotonic()
    with served(pki, tmp_path) as server, steady_load(server.port, clients=clients) as load:
        supervisor = server.program.pid
        wait_until(lambda: load.answered > 100, "answers")
        killed = 0
        for worker in workers(supervisor):
            os.kill(worker, signal.SIGKILL)
            killed += 1
            wait_until(replaced(supervisor, 2, worker), "another worker")
            time.sleep(0.5)
        lost = len(load.lost)
        print(f"\n{killed} workers killed, {load.answered} requests answered, {lost} lost")  # noqa: T201 - the counts are what it is run for
        assert lost <= killed * clients
        (old,) = fork_servers(supervisor)
        orphans = workers(supervisor)
        os.kill(old, signal.SIGKILL)
        wait_until(lambda: len(workers(supervisor)) == 2 and old not in fork_servers(supervisor), "new workers")
        wait_until(lambda: not any(is_alive(pid) for pid in orphans), "the end of the old ones")
        pki.down()
        so_far = load.answered
        wait_until(lambda: load.answered > so_far + 100, "more answers")
        time.sleep(max(0, began + seconds - time.monotonic()))
        assert len(load.lost) == lost
    print(f"{load.answered} answered on {load.handshakes} connections, lost: {load.lost}, failed: {load.failed}")  # noqa: T201 - the counts are what it is run for
    # A connection that a killed worker had accepted is gone with it; none is ever refused.
    assert not [one for one in load.failed if "Refused" in one]
    assert len(load.failed) <= killed * clients
    assert load.unstapled == 0


@pytest.mark.parametrize("reloads", [10, pytest.param(100, marks=SOAK)])
def test_reloads_lose_nothing(tmp_path: Path, pki: Pki, reloads: int) -> None:
    """Under load: no failed handshake, no unstapled one, no lost request; memory and descriptors stay."""
    with served(pki, tmp_path) as server:
        supervisor = server.program.pid
        family = [supervisor, *workers(supervisor)]
        with steady_load(server.port) as load:
            wait_until(lambda: load.answered > 100, "answers")
            sizes: list[list[int]] = []
            for number in range(reloads):
                if number % 2:
                    pki.issue(tmp_path, "localhost")
                server.program.signal(signal.SIGHUP)
                wait_until(lambda: server.program.output().count("reloaded: ") > number, "the reload")  # noqa: B023
                sizes.append([resident_kib(pid) for pid in family])
        assert (load.lost, load.failed, load.unstapled) == ([], [], 0)
        assert [supervisor, *workers(supervisor)] == family
        print(f"\n{load.answered} answered over {reloads} reloads, lost: 0; KiB: {sizes[0]} to {sizes[-1]}")  # noqa: T201 - the counts are what it is run for
        wait_until(lambda: max(map(descriptors, family[1:])) < 60, "descriptors at rest")
        assert all(after < before * 1.2 + 4096 for before, after in zip(sizes[0], sizes[-1], strict=True))


@pytest.mark.parametrize("version", [TLS12, TLS13], ids=["1.2", "1.3"])
def test_sessions_are_resumed_by_any_worker(tmp_path: Path, pki: Pki, version: dict[str, Any]) -> None:
    """Over 1,000 handshakes with 4 workers, a reload in the middle, each with the session of the one before."""
    with served(pki, tmp_path, 4) as server:
        talk = Talk(server.port, **version)
        talk.ask(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        session, resumed = None, 0
        for number in range(1000):
            if number == 500:
                server.program.signal(signal.SIGHUP)
                server.program.wait_for("reloaded: ")
            # With TLS 1.2 a session is kept; with TLS 1.3 each handshake gives another one (RFC 8446 §C.4).
            if not talk.client.seen.resumed or talk.client.seen.version == "TLSv1.3":
                session = talk.client.session
            talk = Talk(server.port, session=session)
            talk.ask(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            # OpenSSL does not resume again what did not end in order.
            talk.client.close()
            resumed += talk.client.seen.resumed
        print(f"\n{resumed} of 1000 resumed")  # noqa: T201 - the counts are what it is run for
        assert resumed > 990


@pytest.mark.parametrize("count", [500, pytest.param(20_000, marks=SOAK)])
def test_idle_connections_outlive_a_reload(tmp_path: Path, pki: Pki, count: int) -> None:
    """Over two workers; each gets an answer afterwards."""
    http = "[http]\nheader_seconds = 600\nidle_seconds = 600\n"
    with served(pki, tmp_path, 2, http) as server, ExitStack() as stack:
        crowds = [stack.enter_context(IdleClients(server.port, count // 4)) for _ in range(4)]
        assert [crowd.read() for crowd in crowds] == [count // 4] * 4
        held = [descriptors(pid) for pid in workers(server.program.pid)]
        assert sum(held) > count
        server.program.signal(signal.SIGHUP)
        server.program.wait_for("reloaded: ")
        for crowd in crowds:
            crowd.ask()
        assert [crowd.read() for crowd in crowds] == [count // 4] * 4
        print(f"\n{count} answered after a reload; descriptors of the workers: {held}")  # noqa: T201 - the counts are what it is run for


def test_a_configuration_that_can_t_be_used_changes_nothing(tmp_path: Path, pki: Pki) -> None:
    """Whoever finds out, supervisor or worker: it is one line, and service goes on with what there was."""
    with served(pki, tmp_path) as server:
        config = tmp_path / "staplesrv.toml"
        good = config.read_text()
        other = free_port()
        code = good.replace(f'static = "{tmp_path / "www"}"', 'resource = "no_such_module:resource"')
        before = workers(server.program.pid)
        wrong = {
            "Expected ']]'": f"[[{good}",
            "unknown key": f"nonsense = 1\n{good}",
            f"port {other} is in use": good.replace(":interface", f':interface=127.0.0.1", "tcp:{other}:interface', 1),
            "no_such_module can't be imported": code,
            "does not exist": good.replace("fullchain.pem", "gone.pem"),
        }
        with socket.create_server(("127.0.0.1", other)):
            for number, (said, text) in enumerate(wrong.items(), 1):
                config.write_text(text)
                server.program.signal(signal.SIGHUP)
                wait_until(lambda: server.program.output().count("goes on") == number, said)  # noqa: B023
                line = next(line for line in server.program.output().splitlines()[::-1] if "goes on" in line)
                assert said in line
                assert server.curl("/").body == b"a page"
        config.write_text(good)
        server.program.signal(signal.SIGHUP)
        server.program.wait_for("reloaded: ")
        assert workers(server.program.pid) == before
        assert judge(look(server.port, "localhost")) == "good"


def test_listeners_and_sites_come_and_go(tmp_path: Path, pki: Pki) -> None:
    """By reload, in all workers; connections on a listener that is no more are served to their end."""
    with served(pki, tmp_path) as server:
        config = tmp_path / "staplesrv.toml"
        good, other = config.read_text(), free_port()
        (tmp_path / "more").mkdir()
        files = pki.issue(tmp_path / "more", "other.example")
        more = good.replace(f":{server.port}:", f":{other}:") + site_table(files, redirect="https://localhost/")
        visitor = Visitor(server.port, client_context([]))
        for _ in visitor.shake_hands():
            pass
        config.write_text(more)
        server.program.signal(signal.SIGHUP)
        server.program.wait_for("reloaded: ")
        visitor.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert visitor.receive(12) == b"HTTP/1.1 200"
        visitor.leave()
        wait_until(lambda: not is_listening(server.port), "the end of the old one")
        for _ in range(8):
            assert judge(look(other, "other.example")) == "good"
            assert HTTPServer(server.program, other, tmp_path).curl("/", name="other.example").status == 301


def test_workers_come_and_go_by_reload(tmp_path: Path, pki: Pki) -> None:
    """More of them, and fewer."""
    with served(pki, tmp_path) as server:
        config = tmp_path / "staplesrv.toml"
        before = 2
        for number, count in enumerate((3, 2), 1):
            config.write_text(config.read_text().replace(f"workers = {before}", f"workers = {count}"))
            server.program.signal(signal.SIGHUP)
            wait_until(lambda: server.program.output().count("reloaded: ") == number, "the reload")  # noqa: B023
            wait_until(lambda: len(workers(server.program.pid)) == count, "so many workers")  # noqa: B023
            assert server.curl("/").body == b"a page"
            before = count


def test_workers_leave_when_their_supervisor_has_gone(tmp_path: Path, pki: Pki) -> None:
    """A request that runs is answered; nothing is left behind."""
    files = pki.issue(tmp_path, "localhost")
    port = free_port()
    with http_backend(tmp_path / "backend") as backend:
        site = site_table(files, proxy=f"http://127.0.0.1:{backend}")
        with twistd(tmp_path, "--config", str(write_config(tmp_path, port, site, workers=2))) as program:
            program.wait_for("serving on")
            family = [*fork_servers(program.pid), *workers(program.pid)]
            visitor = Visitor(port, client_context([]))
            for _ in visitor.shake_hands():
                pass
            visitor.send(b"GET /late/2 HTTP/1.1\r\nHost: localhost\r\n\r\n")
            time.sleep(0.3)
            os.kill(program.pid, signal.SIGKILL)
            assert visitor.receive(12) == b"HTTP/1.1 200"
            visitor.leave()
            wait_until(lambda: not any(is_alive(pid) for pid in family), "the end of all processes")


def test_a_start_that_fails_in_a_worker_is_one_line(tmp_path: Path, pki: Pki) -> None:
    """Code of the operator's is imported there alone, by whoever the worker is; the exit status is 1."""
    files = pki.issue(tmp_path, "localhost")
    port = free_port()
    config = write_config(tmp_path, port, site_table(files, resource="no_such_module:resource"), workers=2)
    with twistd(tmp_path, "--config", str(config)) as program:
        assert program.end() == 1
        assert "no_such_module can't be imported" in program.output()
        assert "Traceback" not in program.output()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_workers_are_who_they_are_said_to_be(tmp_path: Path, pki: Pki) -> None:
    """They can't read the key, and serve all the same; also after a reload."""
    for folder in (tmp_path, *tmp_path.parents):
        # pytest's own: /tmp has more than that, and stays.
        if not folder.stat().st_mode & 0o001:
            folder.chmod(0o755)
    with served(pki, tmp_path, user="nobody") as server:
        (tmp_path / "privkey.pem").chmod(0o600)
        for pid in workers(server.program.pid):
            status = Path(f"/proc/{pid}/status").read_text()
            assert status.split("Uid:")[1].split()[:4] == ["65534"] * 4
            assert status.split("Gid:")[1].split()[:4] == ["65534"] * 4
            assert status.split("Groups:")[1].split("\n")[0].split() == ["65534"]
        assert Path(f"/proc/{server.program.pid}").stat().st_uid == 0
        assert server.curl("/").body == b"a page"
        pki.issue(tmp_path, "localhost")
        server.program.signal(signal.SIGHUP)
        server.program.wait_for("reloaded: 1 sites, 1 with new")
        assert judge(look(server.port, "localhost")) == "good"


@SOAK
def test_a_worker_that_stands_still_is_replaced(tmp_path: Path, pki: Pki) -> None:
    """After 30 s without a sign of life; the other one serves meanwhile."""
    with served(pki, tmp_path) as server:
        still, other = workers(server.program.pid)
        os.kill(still, signal.SIGSTOP)
        wait_until(replaced(server.program.pid, 2, still), "another worker", 60)
        assert other in workers(server.program.pid)
        assert "gives no sign of life; it is killed" in server.program.output()


def test_a_worker_that_is_asked_to_end_is_replaced(tmp_path: Path, pki: Pki) -> None:
    """With SIGTERM: it leaves in order. Other signals, which a terminal may send to all, are no matter."""
    with served(pki, tmp_path) as server:
        asked, other = workers(server.program.pid)
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
            os.kill(other, number)
            os.kill(fork_servers(server.program.pid)[0], number)
        os.kill(asked, signal.SIGTERM)
        wait_until(replaced(server.program.pid, 2, asked), "another worker")
        assert other in workers(server.program.pid)
        server.program.wait_for("leaves by itself; its place is filled at once")
        assert judge(look(server.port, "localhost")) == "good"
