"""`staplesrv status` and `staplesrv reload`, and a server that says what the test wants."""

from __future__ import annotations

import json
import os
import re
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from ops.statuses import certificate, reloaded, status

from staplesrv.ops.status_document import document
from staplesrv.server.cli import main
from staplesrv.server.privileges import Identity
from staplesrv.staples.cache import Reason

TRICKLE = b"HTTP/1.1 100 Continue\r\n\r\n"
WELL = json.dumps(document(status()))


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that everything counts from."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


class Teller:
    """Says one thing to whoever asks, on a socket.

    Args:
        listening: The socket.
        said: Bytes; None says nothing at all, and `TRICKLE` never ends.
    """

    def __init__(self, listening: socket.socket, said: bytes | None) -> None:
        self.heard: list[str] = []
        self._listening = listening
        self._said = said
        self._thread = threading.Thread(target=self._tell)
        self._thread.start()

    def _tell(self) -> None:
        self._listening.settimeout(20)
        with self._listening, self._listening.accept()[0] as connection:
            connection.settimeout(20)
            self.heard.append(connection.recv(65536).decode().split("\r\n")[0])
            if self._said is None:
                connection.recv(1)
            elif self._said == TRICKLE:
                self._trickle(connection)
            else:
                connection.sendall(self._said)

    def _trickle(self, connection: socket.socket) -> None:
        connection.settimeout(0.02)
        with suppress(BrokenPipeError, ConnectionResetError):
            while True:
                connection.sendall(TRICKLE)
                with suppress(TimeoutError):
                    connection.recv(1)

    def end(self) -> None:
        """Wait for its end."""
        self._thread.join(20)


def response(code: int, body: str) -> bytes:
    """An answer of HTTP."""
    return f"HTTP/1.1 {code} X\r\nContent-Length: {len(body.encode())}\r\n\r\n{body}".encode()


@pytest.fixture
def tellers() -> Iterator[list[Teller]]:
    """Those that there are, which end with the test."""
    made: list[Teller] = []
    yield made
    for one in made:
        one.end()


def ask(tellers: list[Teller], said: bytes | None, *arguments: str) -> Result:
    """Run a command beside a server at `a.sock` that says something."""
    listening = socket.socket(socket.AF_UNIX)
    listening.bind("a.sock")
    listening.listen()
    tellers.append(Teller(listening, said))
    return CliRunner().invoke(main, [*arguments])


@pytest.mark.parametrize(
    ("text", "exit_status", "first"),
    [
        (WELL, 0, "OK - unix:a.sock: the certificate is stapled"),
        (
            json.dumps(document(status(reload=reloaded("a.toml: bad", good=False)))),
            1,
            "WARNING - unix:a.sock: the last reload failed: a.toml: bad",
        ),
        (
            json.dumps(document(status(certificate(reason=Reason.REVOKED)))),
            2,
            "CRITICAL - unix:a.sock: a.example has no staple: revoked",
        ),
    ],
)
def test_the_exit_status_is_the_verdict(tellers: list[Teller], text: str, exit_status: int, first: str) -> None:
    """The first line says why."""
    done = ask(tellers, response(200, text), "status", "unix:a.sock")
    assert (done.exit_code, done.stdout.splitlines()[0], done.stderr) == (exit_status, first, "")
    assert tellers[0].heard == ["GET /status HTTP/1.1"]


def test_the_whole_document(tellers: list[Teller]) -> None:
    """As it came."""
    done = ask(tellers, response(200, WELL), "status", "unix:a.sock", "--json")
    assert (done.exit_code, json.loads(done.stdout)) == (0, json.loads(WELL))


def test_a_configuration_tells_where(tellers: list[Teller], here: Path) -> None:
    """Whatever else is wrong in it; a relative path counts from its folder."""
    (here / "etc").mkdir()
    (here / "etc" / "a.toml").write_text('admin = "unix:../a.sock"\nnonsense = 1')
    assert ask(tellers, response(200, WELL), "status", "--config", "etc/a.toml").exit_code == 0


def test_over_tcp(tellers: list[Teller]) -> None:
    """By its port."""
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    tellers.append(Teller(listening, response(200, WELL)))
    assert CliRunner().invoke(main, ["status", f"tcp:{port}"]).exit_code == 0


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        (b"nonsense\r\n\r\n", "speaks no HTTP: BadStatusLine"),
        (b"", "can't be reached: Remote end closed connection without response"),
        (response(200, "nonsense"), "is no staplesrv of this version; see what listens there"),
        (response(200, "[]"), "is no staplesrv of this version"),
        (response(200, "{}"), "is no staplesrv of this version"),
        (response(200, '{"verdict": "fine"}'), "is no staplesrv of this version"),
        (response(200, '{"verdict": []}'), "is no staplesrv of this version"),
        (response(404, "nothing here"), "is no staplesrv of this version"),
        (response(200, WELL.replace('{"a.example": 4}', "[]")), "is no staplesrv of this version"),
        (response(200, "[" * 100_000), "is no staplesrv of this version"),
        (
            response(200, re.sub('"stapled_until": "[^"]*"', '"stapled_until": "0001-01-01T00:00:00+23:59"', WELL)),
            "is no staplesrv of this version",
        ),
        (None, "does not answer within 0.2 s; try again, with a longer --timeout"),
        (TRICKLE, "does not answer within 0.2 s; try again, with a longer --timeout"),
        (response(200, WELL)[:-1], "speaks no HTTP: IncompleteRead"),
    ],
)
def test_somebody_else_is_there(tellers: list[Teller], said: bytes | None, problem: str) -> None:
    """One line, and exit status 3."""
    done = ask(tellers, said, "status", "unix:a.sock", "--timeout", "0.2" if said in (None, TRICKLE) else "10")
    assert (done.exit_code, done.stdout) == (3, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"staplesrv: unix:a.sock: {problem}")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody who may not")
@pytest.mark.parametrize("command", ["status", "reload"])
def test_somebody_else_s_socket(command: str) -> None:
    """Says who may ask."""
    with tempfile.TemporaryDirectory() as name, socket.socket(socket.AF_UNIX) as listening:
        Path(name).chmod(0o755)
        listening.bind(f"{name}/s")
        Path(name, "s").chmod(0o600)
        with Identity(65534, 65534, ()).assumed():
            done = CliRunner().invoke(main, [command, f"unix:{name}/s"])
    assert done.exit_code == 3
    assert done.stderr == (
        f"staplesrv: unix:{name}/s: permission denied; "
        "ask as the user whose socket it is, or let others by :mode=660 in the key admin\n"
    )


@pytest.mark.parametrize("command", ["status", "reload"])
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["unix:gone.sock"],
            "unix:gone.sock: can't be reached: No such file or directory; see whether the server runs",
        ),
        (["tcp:1"], "127.0.0.1:1: can't be reached: Connection refused"),
        ([f"unix:{'x' * 200}"], "can't be reached: AF_UNIX path too long"),
        ([], "give either an ADDRESS or --config FILE"),
        (["tcp:1", "--config", "a.toml"], "give either an ADDRESS or --config FILE"),
        (["example.org:443"], "'example.org' is no address; use 127.0.0.1, or ::1"),
        (["--config", "gone.toml"], "gone.toml: does not exist"),
        (["--config", "bad.toml"], "bad.toml: "),
        (["--config", "none.toml"], "none.toml: admin: names no place; add one, as in admin ="),
        (["--config", "odd.toml"], "odd.toml: admin: would be open to everybody"),
        (["tcp:1", "--timeout", "never"], "--timeout"),
    ],
)
def test_nobody_is_there(here: Path, command: str, arguments: list[str], said: str) -> None:
    """Or nobody knows where: one line, and exit status 3."""
    (here / "bad.toml").write_text("[[")
    (here / "none.toml").write_text("workers = 1")
    (here / "odd.toml").write_text('admin = "tcp:9443"')
    done = CliRunner().invoke(main, [command, *arguments])
    assert (done.exit_code, done.stdout) == (3, "")
    (line,) = done.stderr.splitlines()
    assert said in line


def test_a_reload_that_is_done(tellers: list[Teller]) -> None:
    """Is one line."""
    done = ask(tellers, response(200, "reloaded: 3 sites\n"), "reload", "unix:a.sock")
    assert (done.exit_code, done.stdout, done.stderr) == (0, "reloaded: 3 sites\n", "")
    assert tellers[0].heard == ["POST /reload HTTP/1.1"]


@pytest.mark.parametrize("code", [409, 422, 500])
def test_a_reload_that_is_not(tellers: list[Teller], code: int) -> None:
    """A line for what is wrong, without what would steer a terminal."""
    done = ask(tellers, response(code, "a.toml: \x1b[31mbad\nb.pem: gone\n"), "reload", "unix:a.sock")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == "main reload: a.toml: \\x1b[31mbad\nmain reload: b.pem: gone\n"


def test_a_reload_by_somebody_else(tellers: list[Teller]) -> None:
    """Is none."""
    done = ask(tellers, response(403, "no\n"), "reload", "unix:a.sock")
    assert (done.exit_code, done.stderr) == (3, "staplesrv: unix:a.sock: answers 403; see what listens there\n")
