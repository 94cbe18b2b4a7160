"""SIGUSR2: the program is replaced on the same sockets while clients ask."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from functional.family import ended_at_last, fork_servers, is_alive, pid_in, workers
from functional.harness import (
    Pki,
    Program,
    Talk,
    free_port,
    is_listening,
    judge,
    look,
    twistd,
    wait_until,
    write_config,
)
from functional.http_server import site_table
from functional.steady_load import steady_load


@contextmanager
def replaceable(pki: Pki, folder: Path, count: int, *tables: str, **keys: object) -> Iterator[tuple[Program, int]]:
    """The program, and its port; whatever process it is in the end is stopped."""
    files = pki.issue(folder, "localhost")
    (folder / "www").mkdir()
    (folder / "www" / "index.html").write_text("a page")
    port = free_port()
    listen = [f"tcp:{port}:interface=127.0.0.1", f"unix:{folder}/socket"]
    site = site_table(files, static=folder / "www")
    config = write_config(folder, port, site, *tables, workers=count, listen=listen, **keys)
    with twistd(folder, "--config", str(config)) as program:
        program.wait_for("serving on")
        with ended_at_last(folder / "twistd.pid"):
            yield program, port


@pytest.mark.parametrize(("count", "upgrades"), [(1, 2), (2, 2), pytest.param(2, 10, marks=pytest.mark.soak)])
def test_an_upgrade_loses_nothing(tmp_path: Path, pki: Pki, count: int, upgrades: int) -> None:
    """Under load, several in a row: no failed handshake, no unstapled one, no lost request, no connection refused."""
    pid_file = tmp_path / "twistd.pid"
    with replaceable(pki, tmp_path, count) as (program, port):
        with steady_load(port) as load:
            wait_until(lambda: load.answered > 50, "answers")
            for _ in range(upgrades):
                old = pid_in(pid_file)
                family = [old, *fork_servers(old), *workers(old)]
                os.kill(old, signal.SIGUSR2)
                wait_until(lambda: pid_in(pid_file) not in (0, old), "the new process")  # noqa: B023
                wait_until(lambda: not any(is_alive(pid) for pid in family), "the end of the old one")  # noqa: B023
                so_far = load.answered
                wait_until(lambda: load.answered > so_far + 50, "more answers")  # noqa: B023
        assert (load.lost, load.failed, load.unstapled) == ([], [], 0)
        print(f"\n{load.answered} answered over {upgrades} upgrades, lost: 0")  # noqa: T201 - what it is run for
        assert (tmp_path / "socket").is_socket()
        assert not (tmp_path / "twistd.pid.new").exists()
    assert not (tmp_path / "socket").exists()
    assert not pid_file.exists()
    assert "Traceback" not in program.output()


def test_a_plain_unix_socket_is_taken_along(tmp_path: Path, pki: Pki) -> None:
    """With its permissions; the old process takes neither the path nor the socket with it."""
    pid_file = tmp_path / "twistd.pid"
    plain = f'[[listeners]]\nendpoint = "unix:{tmp_path}/plain:mode=600"\ntls = "off"\n'
    with replaceable(pki, tmp_path, 1, plain):
        old = pid_in(pid_file)
        os.kill(old, signal.SIGUSR2)
        wait_until(lambda: pid_in(pid_file) not in (0, old) and not is_alive(old), "the new process, alone")
        assert stat.S_IMODE((tmp_path / "plain").stat().st_mode) == 0o600
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(20)
            client.connect(str(tmp_path / "plain"))
            client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert client.recv(12) == b"HTTP/1.1 301"
    assert not (tmp_path / "plain").exists()


def test_unix_sockets_are_the_new_process_s_alone(tmp_path: Path, pki: Pki) -> None:
    """One that it has no use for is removed, and nobody takes the path of another for that of one who has gone."""
    pid_file = tmp_path / "twistd.pid"
    plain = f'[[listeners]]\nendpoint = "unix:{tmp_path}/plain"\ntls = "off"\n'
    with replaceable(pki, tmp_path, 1, plain) as (_, port):
        config = tmp_path / "staplesrv.toml"
        config.write_text(config.read_text().replace(plain, ""))
        old = pid_in(pid_file)
        os.kill(old, signal.SIGUSR2)
        wait_until(lambda: pid_in(pid_file) not in (0, old) and not is_alive(old), "the new process, alone")
        assert not list(tmp_path.glob("plain*"))
        config.write_text(config.read_text().replace(f"tcp:{port}", "tcp:0"))
        (tmp_path / "second").mkdir()
        with twistd(tmp_path / "second", "--config", str(config)) as second:
            assert second.end() == 1
        assert "another process has the socket" in second.output()
        assert (tmp_path / "socket").is_socket()


def test_a_new_process_that_fails_leaves_the_old_one(tmp_path: Path, pki: Pki) -> None:
    """It is one line; the old one can be upgraded later."""
    pid_file = tmp_path / "twistd.pid"
    with replaceable(pki, tmp_path, 2) as (program, port):
        config = tmp_path / "staplesrv.toml"
        good = config.read_text()
        old = pid_in(pid_file)
        config.write_text(f"nonsense = 1\n{good}")
        os.kill(old, signal.SIGUSR2)
        program.wait_for("this one goes on")
        assert judge(look(port, "localhost")) == "good"
        assert pid_in(pid_file) == old
        # After it had taken the sockets over, too.
        config.write_text(good.replace(f'static = "{tmp_path}/www"', 'resource = "no_such_module:resource"'))
        os.kill(old, signal.SIGUSR2)
        wait_until(lambda: program.output().count("this one goes on") == 2, "the end of the second one")
        assert (tmp_path / "socket").is_socket()
        config.write_text(good)
        os.kill(old, signal.SIGUSR2)
        wait_until(lambda: pid_in(pid_file) not in (0, old), "the new process")
        assert judge(look(port, "localhost")) == "good"
    assert not is_listening(port)


def test_one_that_was_followed_starts_no_other(tmp_path: Path, pki: Pki) -> None:
    """While it drains the pid file still names it; the new one goes on, and has that file in the end."""
    pid_file = tmp_path / "twistd.pid"
    with replaceable(pki, tmp_path, 2) as (program, port):
        old = pid_in(pid_file)
        early = Talk(port)
        early.shake_hands()
        early.client.send(b"GET / HTTP/1.1\r\nHost: local")
        early.socket.sendall(early.client.outgoing())
        os.kill(old, signal.SIGUSR2)
        program.wait_for("1 connections may finish")
        new = pid_in(tmp_path / "twistd.pid.new")
        os.kill(old, signal.SIGUSR2)
        program.wait_for("nothing is started")
        early.client.send(b"host\r\nConnection: close\r\n\r\n")
        early.socket.sendall(early.client.outgoing())
        assert early.rest().startswith(b"HTTP/1.1 200 OK\r\n")
        wait_until(lambda: not is_alive(old), "the end of the old one")
        wait_until(lambda: pid_in(pid_file) == new, "its pid file")
        assert judge(look(port, "localhost")) == "good"
        assert program.output().count("upgrade: starting") == 1
    assert "Traceback" not in program.output()


def test_whoever_stops_meanwhile_leaves_nothing(tmp_path: Path, pki: Pki) -> None:
    """The new process waits for its staples yet: it ends too, and its pid file goes."""
    with replaceable(pki, tmp_path, 1) as (program, port):
        shutil.rmtree(tmp_path / "state")
        pki.down()
        program.signal(signal.SIGUSR2)
        new = wait_until(lambda: pid_in(tmp_path / "twistd.pid.new"), "the new process")
        assert program.stop() == -signal.SIGTERM
        wait_until(lambda: not is_alive(new), "the end of the new process")
        assert not is_listening(port)
    assert not list(tmp_path.glob("twistd.pid*"))
    assert not (tmp_path / "socket").exists()


def test_a_new_process_that_fails_late_leaves_the_paths_of_the_old_one(tmp_path: Path, pki: Pki) -> None:
    """It has the sockets by then, and another one that it wants is taken."""
    with replaceable(pki, tmp_path, 1, admin=f"unix:{tmp_path}/admin") as (program, _), socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with (tmp_path / "staplesrv.toml").open("a") as config:
            config.write(f'\n[[listeners]]\nendpoint = "tcp:{taken.getsockname()[1]}:interface=127.0.0.1"\n')
        os.kill(pid_in(tmp_path / "twistd.pid"), signal.SIGUSR2)
        program.wait_for("this one goes on")
        for name in ("socket", "admin"):
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(tmp_path / name))


@pytest.mark.parametrize("upgrades", [0, 1])
def test_a_second_start_leaves_the_unix_sockets_of_the_first_one(tmp_path: Path, pki: Pki, upgrades: int) -> None:
    """After an upgrade, too, when whoever bound them has gone."""
    pid_file = tmp_path / "twistd.pid"
    with replaceable(pki, tmp_path, 1, admin=f"unix:{tmp_path}/admin") as (program, _):
        for _ in range(upgrades):
            old = pid_in(pid_file)
            os.kill(old, signal.SIGUSR2)
            wait_until(lambda: pid_in(pid_file) not in (0, old), "the new process")  # noqa: B023
            # And its number is nobody's then.
            program.end()
        other = tmp_path / "other"
        other.mkdir()
        with twistd(other, "--config", str(tmp_path / "staplesrv.toml")) as second:
            second.wait_for("another process has the socket")
            assert second.end() == 1
        for name in ("socket", "admin"):
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(tmp_path / name))
