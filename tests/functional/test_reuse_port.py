"""A socket of its own for each worker: whoever dies, comes or goes, nobody who waits in one of them is lost."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from functional.family import ended_at_last, is_alive, pid_in, workers
from functional.harness import Pki, Program, free_port, judge, look, twistd, wait_until, write_config
from functional.http_server import HTTPServer, http_backend, site_table
from functional.steady_load import steady_load
from functional.test_workers import replaced
from functional.visitor import Visitor, client_context

LISTENS, ESTABLISHED = "0A", "01"
ON_ONE = ":interface=127.0.0.1"
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="a supervisor of one worker takes a user, and that takes root")


def sockets(port: int, state: str = LISTENS) -> set[int]:
    """The inodes of sockets with this port, as the kernel lists them."""
    lines = [line.split() for kind in ("tcp", "tcp6") for line in Path(f"/proc/net/{kind}").read_text().splitlines()]
    return {int(line[9]) for line in lines if line[1].endswith(f":{port:04X}") and line[3] == state}


def held(pid: int, among: set[int]) -> set[int]:
    """Those that a process has."""
    found = set()
    for one in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            found.add(one.readlink().name)
    return {inode for inode in among if f"socket:[{inode}]" in found}


def berths(pid: int, port: int) -> list[set[int]]:
    """The listening sockets of each worker, or of the only process."""
    listening = sockets(port)
    return [held(worker, listening) for worker in workers(pid) or [pid]]


@contextmanager
def apart(
    pki: Pki, folder: Path, count: int, interface: str = ON_ONE, proxy: str = "", **keys: object
) -> Iterator[HTTPServer]:
    """The program with so many workers, each with a socket of its own; whatever process it is in the end is stopped."""
    files = pki.issue(folder, "localhost")
    pki.root("ca", str(folder / "root.pem"))
    (folder / "www").mkdir()
    (folder / "www" / "index.html").write_text("a page")
    port = free_port()
    listener = f'[[listeners]]\nendpoint = "tcp:{port}{interface}"\nreuse_port = true\n'
    site = site_table(files, **({"proxy": proxy} if proxy else {"static": folder / "www"}))
    config = write_config(folder, port, listener, site, workers=count, listen=[], **keys)
    with twistd(folder, "--config", str(config)) as program:
        program.wait_for("serving on")
        with ended_at_last(folder / "twistd.pid"):
            yield HTTPServer(program, port, folder)
    assert "Traceback" not in program.output()


def change_workers(folder: Path, before: int, after: int) -> None:
    """Write another number down."""
    config = folder / "staplesrv.toml"
    config.write_text(config.read_text().replace(f"workers = {before}\n", f"workers = {after}\n"))


def reload(server: HTTPServer) -> None:
    """Reload, and wait for it."""
    so_far = server.program.output().count("reloaded: ")
    server.program.signal(signal.SIGHUP)
    wait_until(lambda: server.program.output().count("reloaded: ") > so_far, "the reload")


@contextmanager
def nothing_lost(port: int) -> Iterator[None]:
    """Clients that ask meanwhile, before and after, and lose nothing."""
    with steady_load(port) as load:
        wait_until(lambda: load.answered > 50, "answers")
        yield
        so_far = load.answered
        wait_until(lambda: load.answered > so_far + 50, "more answers")
    assert (load.lost, load.failed, load.unstapled) == ([], [], 0)


def test_each_worker_has_sockets_of_its_own(tmp_path: Path, pki: Pki) -> None:
    """One for IPv4 and one for IPv6, which nobody else accepts from; and both get clients."""
    with apart(pki, tmp_path, 2, interface="") as server:
        pid = server.program.pid
        wait_until(lambda: len(sockets(server.port)) == 4, "all sockets")
        first, second = berths(pid, server.port)
        assert (len(first), len(second), first & second) == (2, 2, set())
        assert held(pid, sockets(server.port)) == first | second
        visitors = [Visitor(server.port, client_context([])) for _ in range(64)]
        connected = sockets(server.port, ESTABLISHED)
        for visitor in visitors:
            for _ in visitor.shake_hands():
                pass
        assert all(held(worker, connected) for worker in workers(pid))
        for visitor in visitors:
            visitor.leave()
        for _ in range(4):
            assert judge(look(server.port, "localhost")) == "good"
            assert judge(look(server.port, "localhost", host="::1")) == "good"


def test_a_worker_that_is_killed_leaves_its_socket_to_its_successor(tmp_path: Path, pki: Pki) -> None:
    """Under load: nobody is refused, and what is lost was in flight in the killed one."""
    clients = 8
    with apart(pki, tmp_path, 2) as server:
        pid = server.program.pid
        before = sorted(map(sorted, berths(pid, server.port)))
        with steady_load(server.port, clients=clients) as load:
            wait_until(lambda: load.answered > 100, "answers")
            killed = workers(pid)
            for worker in killed:
                os.kill(worker, signal.SIGKILL)
                wait_until(replaced(pid, 2, worker), "another worker")
                so_far = load.answered
                wait_until(lambda: load.answered > so_far + 100, "more answers")  # noqa: B023
        assert not [one for one in load.failed if "Refused" in one]
        assert len(load.lost) + len(load.failed) <= len(killed) * clients
        assert load.unstapled == 0
        assert sorted(map(sorted, berths(pid, server.port))) == before


def test_whoever_waits_in_a_dead_worker_s_socket_is_served(tmp_path: Path, pki: Pki) -> None:
    """By its successor: it had not accepted them."""
    with apart(pki, tmp_path, 2) as server:
        still, _other = workers(server.program.pid)
        os.kill(still, signal.SIGSTOP)
        visitors = [Visitor(server.port, client_context([])) for _ in range(32)]
        handshakes = [visitor.shake_hands() for visitor in visitors]
        for handshake in handshakes:
            next(handshake)
        os.kill(still, signal.SIGKILL)
        for handshake in handshakes:
            for _ in handshake:
                pass
        for visitor in visitors:
            visitor.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert visitor.receive(12) == b"HTTP/1.1 200"
            visitor.leave()


def test_a_worker_that_leaves_by_itself_keeps_nobody_waiting(tmp_path: Path, pki: Pki) -> None:
    """It answers what it was asked; who comes meanwhile finds its successor."""
    with (
        http_backend(tmp_path / "backend") as backend,
        apart(pki, tmp_path, 2, proxy=f"http://127.0.0.1:{backend}") as server,
    ):
        pid = server.program.pid
        visitor = Visitor(server.port, client_context([]))
        for _ in visitor.shake_hands():
            pass
        visitor.send(b"GET /late/3 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        (busy,) = (one for one in workers(pid) if held(one, sockets(server.port, ESTABLISHED)))
        before = len(workers(pid))
        os.kill(busy, signal.SIGTERM)
        wait_until(lambda: len(workers(pid)) > before and not held(busy, sockets(server.port)), "its successor")
        for _ in range(16):
            assert judge(look(server.port, "localhost")) == "good"
        assert is_alive(busy)
        assert visitor.receive(12) == b"HTTP/1.1 200"
        visitor.leave()
        wait_until(lambda: not is_alive(busy), "its end")


@pytest.mark.parametrize(
    ("counts", "keys"),
    [((2, 4, 2, 3), {}), pytest.param((2, 3, 1, 2), {"user": "root"}, marks=as_root)],
    ids=["never_one", "one"],
)
def test_workers_come_and_go_and_nothing_is_lost(
    tmp_path: Path, pki: Pki, counts: tuple[int, ...], keys: dict[str, object]
) -> None:
    """Sockets of those who went stay, and are everybody's; whoever comes gets one of them to itself."""
    before, *others = counts
    with apart(pki, tmp_path, before, **keys) as server, nothing_lost(server.port):
        pid, most = server.program.pid, before
        for count in others:
            change_workers(tmp_path, before, count)
            reload(server)
            most = max(most, count)
            wait_until(lambda: len(workers(pid)) == count and len(sockets(server.port)) == most, "so many")  # noqa: B023
            # Each has one of its own, and all have those beyond.
            wait_until(
                lambda: [len(one) for one in berths(pid, server.port)] == [1 + most - count] * count,  # noqa: B023
                "everybody at work",
            )
            assert set().union(*berths(pid, server.port)) == sockets(server.port)
            before = count


def test_open_connections_outlive_what_changes_about_sockets(tmp_path: Path, pki: Pki) -> None:
    """A worker that gets more of them goes on with whoever is there."""
    with apart(pki, tmp_path, 3) as server:
        stays, _, _ = workers(server.program.pid)
        visitors = []
        while not held(stays, sockets(server.port, ESTABLISHED)):
            visitors.append(Visitor(server.port, client_context([])))
            for _ in visitors[-1].shake_hands():
                pass
        change_workers(tmp_path, 3, 2)
        reload(server)
        assert stays in workers(server.program.pid)
        wait_until(lambda: len(held(stays, sockets(server.port))) == 2, "a socket more")
        # The last one is the one that this worker has.
        visitors[-1].send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = visitors[-1].receive(12)
        while b"\r\n\r\n" not in answer:
            answer += visitors[-1].receive(1)
        assert answer.startswith(b"HTTP/1.1 200")
        assert b"connection: close" not in answer.lower()
        for visitor in visitors:
            visitor.leave()


def test_the_option_comes_and_goes_by_reload(tmp_path: Path, pki: Pki) -> None:
    """On the port that is served already, and nothing is lost."""
    with apart(pki, tmp_path, 2) as server, nothing_lost(server.port):
        config = tmp_path / "staplesrv.toml"
        for before, after in (("true", "false"), ("false", "true")):
            config.write_text(config.read_text().replace(f"reuse_port = {before}", f"reuse_port = {after}"))
            reload(server)
            size = 1 if after == "true" else 2
            wait_until(lambda: [len(one) for one in berths(server.program.pid, server.port)] == [size] * 2, "that")  # noqa: B023


def test_a_listener_may_get_it_later(tmp_path: Path, pki: Pki) -> None:
    """Its one socket was bound without."""
    with apart(pki, tmp_path, 2) as server:
        config = tmp_path / "staplesrv.toml"
        other = free_port()
        more = f'[[listeners]]\nendpoint = "tcp:{other}{ON_ONE}"\n'
        config.write_text(config.read_text() + more)
        reload(server)
        assert [len(one) for one in berths(server.program.pid, other)] == [1, 1]
        with nothing_lost(other):
            config.write_text(config.read_text() + "reuse_port = true\n")
            reload(server)
            wait_until(lambda: len(sockets(other)) == 2, "another socket")
            first, second = berths(server.program.pid, other)
            assert first != second


def test_an_upgrade_hands_all_of_them_on(tmp_path: Path, pki: Pki) -> None:
    """Under load, to more workers, to fewer, to none: nobody is refused, and no socket is closed."""
    before = 2
    pid_file = tmp_path / "twistd.pid"
    with apart(pki, tmp_path, before) as server:
        known = sockets(server.port)
        with nothing_lost(server.port):
            for count in (3, 2, 1, 3):
                change_workers(tmp_path, before, count)
                old = pid_in(pid_file)
                os.kill(old, signal.SIGUSR2)
                wait_until(lambda: pid_in(pid_file) not in (0, old), "the new process")  # noqa: B023
                assert known <= sockets(server.port)
                known = sockets(server.port)
                new = pid_in(pid_file)
                assert len(berths(new, server.port)) == count
                wait_until(lambda: set().union(*berths(new, server.port)) == sockets(server.port), "all of them")  # noqa: B023
                before = count
        assert len(known) == 3


def test_a_second_start_is_told_that_the_port_is_in_use(tmp_path: Path, pki: Pki) -> None:
    """Though the kernel would let two processes of one user share it; the first one serves on, alone."""
    with apart(pki, tmp_path, 2) as server:
        before = sockets(server.port)
        (tmp_path / "second").mkdir()
        second = twistd(tmp_path / "second", "--config", str(tmp_path / "staplesrv.toml"))
        with second:
            assert second.end() == 1
            (line,) = second.output().splitlines()
            assert f"port {server.port} is in use; see who listens there" in line
        assert sockets(server.port) == before
        assert judge(look(server.port, "localhost")) == "good"


def test_of_two_that_start_together_one_is_told(tmp_path: Path, pki: Pki) -> None:
    """Both have bound the port before either listens, as both wait for their first staples."""
    files = pki.issue(tmp_path, "localhost")
    (tmp_path / "www").mkdir()
    port = free_port()
    listener = f'[[listeners]]\nendpoint = "tcp:{port}{ON_ONE}"\nreuse_port = true\n'
    site = site_table(files, static=tmp_path / "www")
    pki.down()
    programs: list[Program] = []
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        config = write_config(folder, port, listener, site, settings="start_wait = 3", workers=2, listen=[])
        programs.append(twistd(folder, "--config", str(config)))
    first, second = programs
    with first, second:
        wait_until(lambda: "serving on" in first.output() + second.output(), "one of them")
        wait_until(lambda: "is in use" in first.output() + second.output(), "the word to the other one")
        told = first if "is in use" in first.output() else second
        assert told.end() == 1
        assert "serving on" not in told.output()
        # It had begun, and was not told at its first look at the port.
        assert "starting up" in told.output()
        assert len(sockets(port)) == 2
