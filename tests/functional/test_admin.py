"""The admin interface of the real program: asked with curl and with our own commands, over UNIX sockets and TCP."""

from __future__ import annotations

import os
import re
import signal
import socket
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from functional.admin_client import asked, document
from functional.family import ended_at_last, is_alive, pid_in, workers
from functional.harness import (
    BIN,
    ROOT,
    Pki,
    Program,
    free_port,
    is_listening,
    judge,
    look,
    need,
    twistd,
    wait_until,
    write_config,
)
from functional.http_server import HTTPServer, site_table
from prometheus_client.parser import text_string_to_metric_families


def curl(program: Program, path: str, *options: str) -> tuple[int, str]:
    """Ask with curl, over the UNIX socket; the status, and the body."""
    command = [need("curl"), "--silent", "--unix-socket", "admin", "--max-time", "60", "-w", "\n%{http_code}"]
    done = subprocess.run(
        [*command, *options, f"http://any.example{path}"],
        cwd=program.folder,
        capture_output=True,
        text=True,
        check=True,
    )
    body, _, status = done.stdout.rpartition("\n")
    return int(status), body


def metrics(program: Program) -> dict[str, float]:
    """Every sample: its name, and the values of its labels behind."""
    status, text = curl(program, "/metrics")
    assert status == 200
    return {
        " ".join([sample.name, *sample.labels.values()]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@contextmanager
def served(
    pki: Pki, folder: Path, count: int, settings: str = "", *, wait: str = "serving on", **keys: object
) -> Iterator[Any]:
    """The program with some workers, a page, and its admin interface in the file `admin`."""
    files = pki.issue(folder, "localhost")
    (folder / "www").mkdir()
    (folder / "www" / "index.html").write_text("a page")
    pki.root("ca", str(folder / "root.pem"))
    port = free_port()
    site = site_table(files, static=folder / "www", request_rate=0.01, request_burst=2)
    keys = {"workers": count, "admin": "unix:admin", **keys}
    with twistd(folder, "--config", str(write_config(folder, port, site, settings=settings, **keys))) as program:
        program.wait_for(wait)
        yield HTTPServer(program, port, folder)
        assert "Traceback" not in program.output()


@pytest.mark.parametrize("count", [1, 2])
def test_a_server_tells_how_it_is(tmp_path: Path, pki: Pki, count: int) -> None:
    """Its socket is its owner's alone; the first line says it all; what is counted is counted over all workers."""
    with served(pki, tmp_path, count) as server:
        assert stat.S_IMODE((tmp_path / "admin").stat().st_mode) == 0o600
        status, out, _ = asked(server.program, "status", "unix:admin")
        assert (status, out.splitlines()[0]) == (0, "OK - unix:admin: the certificate is stapled")
        assert curl(server.program, "/health") == (200, "ok\n")
        assert judge(look(server.port, "localhost")) == "good"
        answers = [server.curl("/").status for _ in range(4)]
        assert sorted(answers) == [200, 200, 429, 429]
        wait_until(lambda: document(server.program)["requests"]["received"] == 4, "what workers have counted", 20)
        found = document(server.program)
        assert found["requests"]["too_many"] == {"localhost": 2}
        assert (found["workers"]["wanted"], found["workers"]["serving"]) == (count, count)
        pids = workers(server.program.pid) if count > 1 else [server.program.pid]
        assert sorted(one["pid"] for one in found["workers"]["processes"]) == pids
        assert found["handshakes"]["localhost"]["stapled"] == 1
        (certificate,) = found["certificates"]
        assert certificate["sha256"] == pki.fingerprint("localhost")
        assert certificate["seconds_left"] > 0
        samples = metrics(server.program)
        assert samples["staplesrv_requests_refused_total localhost"] == 2
        assert samples["staplesrv_handshakes_total localhost stapled"] == 1
        assert samples["staplesrv_connections_accepted_total"] == 5
        assert samples[f"staplesrv_staple_present localhost {tmp_path}/fullchain.pem"] == 1
        assert server.program.stop(20) == -signal.SIGTERM
        assert not (tmp_path / "admin").exists()
        assert asked(server.program, "status", "unix:admin")[0] == 3


@pytest.mark.parametrize("count", [1, 2])
def test_a_broken_configuration_shows_until_a_good_one_comes(tmp_path: Path, pki: Pki, count: int) -> None:
    """By SIGHUP and by request: service goes on, it is one line, and a warning; the next good one clears it."""
    with served(pki, tmp_path, count) as server:
        config = tmp_path / "staplesrv.toml"
        good = config.read_text()
        config.write_text(f"nonsense = 1\n{good}")
        said = f"{config}: nonsense: unknown key;"
        status, out, err = asked(server.program, "reload", "--config", str(config))
        assert (status, out, len(err.splitlines())) == (1, "", 1)
        assert err.startswith(f"staplesrv reload: {said}")
        assert curl(server.program, "/reload", "--data", "")[0] == 422
        for _ in range(2):
            status, out, _ = asked(server.program, "status", "--config", str(config))
            assert status == 1
            assert out.startswith(f"WARNING - unix:{tmp_path}/admin: the last reload failed: {said}")
            assert metrics(server.program)["staplesrv_last_reload_successful"] == 0
            assert server.curl("/").status in (200, 429)
            times = server.program.output().count(said)
            server.program.signal(signal.SIGHUP)
            wait_until(lambda: server.program.output().count(said) > times, "the signal's reload")  # noqa: B023
        config.write_text(good)
        done = (0, "reloaded: 1 sites, 0 with new certificates, 0 that can't be used\n", "")
        assert asked(server.program, "reload", "--config", str(config)) == done
        assert asked(server.program, "status", "--config", str(config))[0] == 0
        assert metrics(server.program)["staplesrv_last_reload_successful"] == 1


def test_a_certificate_that_can_t_be_used_is_told(tmp_path: Path, pki: Pki) -> None:
    """The configuration is taken over, the old certificate stays; it clears when the file is well again."""
    with served(pki, tmp_path, 1) as server:
        key = tmp_path / "privkey.pem"
        sound = key.read_bytes()
        key.write_text("nonsense")
        status, _, err = asked(server.program, "reload", "unix:admin")
        assert status == 1
        assert "privkey.pem" in err
        status, out, _ = asked(server.program, "status", "unix:admin")
        assert (status, "privkey.pem" in out.splitlines()[0]) == (1, True)
        key.write_bytes(sound)
        wait_until(lambda: document(server.program)["verdict"] == "ok", "the end of the failure")


def test_a_worker_that_dies_is_counted(tmp_path: Path, pki: Pki) -> None:
    """With what it had counted itself."""
    with served(pki, tmp_path, 2) as server:
        assert [server.curl("/").status for _ in range(2)] == [200, 200]
        wait_until(lambda: metrics(server.program)["staplesrv_requests_total"] == 2, "what workers have counted")
        for worker in workers(server.program.pid):
            os.kill(worker, signal.SIGKILL)
        wait_until(lambda: metrics(server.program)["staplesrv_worker_replacements_total"] == 2, "the count")
        wait_until(lambda: document(server.program)["workers"]["serving"] == 2, "their successors")
        assert metrics(server.program)["staplesrv_requests_total"] == 2


def test_a_server_that_starts_says_so(tmp_path: Path, pki: Pki) -> None:
    """The socket answers while the first staple is waited for, and nobody can connect yet."""
    pki.behave("silence")
    with served(pki, tmp_path, 1, "start_wait = 100\ntimeout = 60", wait="admin on ") as server:
        assert curl(server.program, "/health") == (503, "starting: nobody can connect yet\n")
        status, out, _ = asked(server.program, "status", "unix:admin")
        assert status == 1
        assert out.startswith("WARNING - unix:admin: starting: nobody can connect yet (and 1 more)\n")
        assert metrics(server.program)["staplesrv_serving"] == 0
        assert not is_listening(server.port)


@pytest.mark.parametrize("count", [1, 2])
def test_a_dead_responder_shows(tmp_path: Path, pki: Pki, count: int) -> None:
    """With why; clients are served all the same, and that is what the health check is about."""
    pki.down()
    with served(pki, tmp_path, count, "start_wait = 0.1") as server:
        wait_until(lambda: document(server.program)["certificates"][0]["reason"] == "fetch-failed", "the failure")
        status, out, _ = asked(server.program, "status", "unix:admin")
        assert status == 1
        assert re.match(r"WARNING - unix:admin: localhost has no staple: fetch-failed: .*Connection refused\n", out)
        assert curl(server.program, "/health") == (200, "ok\n")
        samples = metrics(server.program)
        assert samples[f"staplesrv_staple_present localhost {tmp_path}/fullchain.pem"] == 0
        assert samples["staplesrv_certificates fetch-failed"] == 1
        assert judge(look(server.port, "localhost")) == "none"


def test_pages_in_browsers_can_t_look_or_steer(tmp_path: Path, pki: Pki) -> None:
    """Over TCP: names that lead here are refused, and whatever a page has sent changes nothing."""
    admin = free_port()
    with served(pki, tmp_path, 1, admin=f"tcp:{admin}:interface=127.0.0.1") as server:
        assert asked(server.program, "status", f"tcp:{admin}")[0] == 0

        def status(method: str, path: str, *fields: str) -> str:
            with socket.create_connection(("127.0.0.1", admin), 20) as connection:
                head = "\r\n".join([f"{method} {path} HTTP/1.1", "Connection: close", *fields, "", ""])
                connection.sendall(head.encode())
                return connection.makefile("rb").read().decode().split(" ", 2)[1]

        here = f"Host: 127.0.0.1:{admin}"
        assert status("GET", "/status", here) == "200"
        assert status("GET", "/status", f"Host: rebound.example:{admin}") == "421"
        assert status("POST", "/reload", here, "Origin: https://evil.example", "Content-Length: 0") == "403"
        assert status("POST", "/reload", here, "Sec-Fetch-Site: cross-site", "Content-Length: 0") == "403"
        assert status("POST", "/reload", here, "Content-Length: 99999999") == "413"
        assert "reloading" not in server.program.output()
        assert status("POST", "/reload", f"Host: localhost:{admin}", "Content-Length: 0") == "200"
        assert status("GET", "/health", here) == "200"


@pytest.mark.parametrize("count", [1, 2])
def test_an_upgrade_keeps_the_interface(tmp_path: Path, pki: Pki, count: int) -> None:
    """At no time is nobody there; in the end it is the new process that answers, and it takes the path along."""
    pid_file = tmp_path / "twistd.pid"
    with served(pki, tmp_path, count) as server:
        old = pid_in(pid_file)
        os.kill(old, signal.SIGUSR2)
        seen: set[int] = set()

        def followed() -> bool:
            seen.add(document(server.program)["pid"])
            return not is_alive(old)

        with ended_at_last(pid_file):
            wait_until(followed, "the end of the old one", 60)
            wait_until(lambda: pid_in(pid_file) not in (0, old), "the new process")
            new = pid_in(pid_file)
            assert seen <= {old, new}
            assert document(server.program)["pid"] == new
            assert stat.S_IMODE((tmp_path / "admin").stat().st_mode) == 0o600
            assert asked(server.program, "status", "unix:admin")[0] == 0
            # Whoever would bind it as well sees that its owner lives.
            assert (tmp_path / "admin.lock").readlink() == Path(str(new))
        assert not list(tmp_path.glob("admin*"))


@pytest.mark.parametrize(("page", "count"), [("docs/operations.md", 5), ("README.md", 2)])
def test_the_commands_that_are_shown(tmp_path: Path, pki: Pki, page: str, count: int) -> None:
    """Each does something for a server whose file is in the same folder."""
    need("curl")
    shown = re.findall(
        r"^(?:staplesrv (?:status|reload)|curl --unix-socket) .*", (ROOT / page).read_text(), re.MULTILINE
    )
    assert len(shown) == count
    with served(pki, tmp_path, 1, admin="unix:admin.sock"):
        for command in shown:
            environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"}
            done = subprocess.run(
                command, shell=True, cwd=tmp_path, env=environment, capture_output=True, timeout=60, check=False
            )
            assert (done.returncode, bool(done.stdout)) == (0, True), command


@pytest.mark.parametrize(
    ("admin", "said"),
    [
        ("tcp:9443", "admin: would be open to everybody, and asks nobody who they are; write tcp:9443:interface=127.0"),
        ("tcp:9443:interface=192.0.2.1", "admin: 192.0.2.1 can be reached from elsewhere"),
        ("unix:no/such/folder", "admin: unix:"),
    ],
)
def test_a_place_that_can_t_be_is_one_line(tmp_path: Path, pki: Pki, admin: str, said: str) -> None:
    """Before anything runs."""
    files = pki.issue(tmp_path, "localhost")
    config = write_config(tmp_path, free_port(), files.table(), admin=admin)
    with twistd(tmp_path, "--config", str(config)) as program:
        assert program.end() == 1
        (line,) = program.output().splitlines()
        assert said in line


@pytest.mark.parametrize("count", [1, 2])
def test_counters_of_a_site_go_on_where_another_one_comes_before_it(tmp_path: Path, pki: Pki, count: int) -> None:
    """A site is known by its name, not by its number in the file; one that has gone is not told of."""
    with served(pki, tmp_path, count) as server:
        config = tmp_path / "staplesrv.toml"
        alone = config.read_text()
        (tmp_path / "other").mkdir()
        other = pki.issue(tmp_path / "other", "other.example").table("other.example")
        assert 429 in [server.curl("/").status for _ in range(2 * count + 1)]
        wait_until(lambda: document(server.program)["requests"]["too_many"], "what workers have counted")
        before = document(server.program)["requests"]["too_many"]
        assert list(before) == ["localhost"]
        for text in (alone.replace("[[sites]]", f"{other}\n[[sites]]"), alone):
            config.write_text(text)
            assert asked(server.program, "reload", "unix:admin")[0] == 0
            assert document(server.program)["requests"]["too_many"] == before
        assert server.curl("/").status == 429
        wait_until(lambda: sum(document(server.program)["requests"]["too_many"].values()) > before["localhost"], "more")
        assert list(document(server.program)["requests"]["too_many"]) == ["localhost"]
