"""Running the real program, real clients and a real responder, and waiting on conditions rather than guesses."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, NoReturn, Self, TypeVar

import pytest

from staplesrv.ocsp.certid import Target
from staplesrv.ocsp.response import ResponseRejected, verify_response
from staplesrv.tls.client import Seen, StapleClient

T = TypeVar("T")
BIN = Path(sys.executable).parent
ROOT = Path(__file__).parents[2]
MIB = 1 << 20


def need(program: str) -> str:
    """The path of a system program; a skip where it is missing, a failure where everything is required."""
    return shutil.which(program) or not_here(f"{program} is not installed")


def not_here(reason: str) -> NoReturn:
    """Skip what can't be done here; fail where everything is required."""
    if os.environ.get("STAPLESRV_REQUIRE_ALL") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def wait_until(condition: Callable[[], T], what: str, timeout: float = 20) -> T:
    """Call `condition` until it is true, and return what it returned."""
    deadline = time.monotonic() + timeout
    while True:
        if result := condition():
            return result
        if time.monotonic() > deadline:
            pytest.fail(f"waited {timeout} s in vain for {what}")
        time.sleep(0.02)


def free_port() -> int:
    """A TCP port that nobody listens on, on IPv4 and IPv6 loopback alike."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_listening(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a TCP connection to the port is accepted."""
    try:
        socket.create_connection((host, port), 1).close()
    except OSError:
        return False
    return True


@dataclass
class Program:
    """One run of a program, its output in a file.

    Args:
        arguments: The command and its arguments.
        folder: Where it runs and where its output and pid file go.
    """

    arguments: list[str]
    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process is not None:
            # The group: `openssl ocsp -multi` leaves its worker behind.
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        if error is not None:
            sys.stderr.write(f"--- output of {self.arguments[0]}\n{self.output()}\n")

    def start(self) -> None:
        """Start it; an earlier output is kept and added to."""
        with (self.folder / "output.txt").open("ab") as output:
            self.process = subprocess.Popen(
                self.arguments,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONPATH": str(ROOT), **self.environment},
                process_group=0,
            )

    def output(self) -> str:
        """All it has written so far."""
        return (self.folder / "output.txt").read_text(errors="replace")

    def wait_for(self, text: str, timeout: float = 20) -> None:
        """Wait until it has written a text."""

        def written() -> bool:
            assert self.process is not None
            if text not in self.output() and self.process.poll() is not None:
                pytest.fail(f"ended with {self.process.returncode} before it said {text!r}:\n{self.output()}")
            return text in self.output()

        wait_until(written, f"{text!r} in the output", timeout)

    @property
    def pid(self) -> int:
        """Its process."""
        assert self.process is not None
        return self.process.pid

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self, timeout: float = 10) -> int:
        """Ask it to end, and return its exit status: twistd ends by the signal that it got."""
        self.signal(signal.SIGTERM)
        assert self.process is not None
        return self.process.wait(timeout)

    def end(self, timeout: float = 20) -> int:
        """Wait until it ends by itself, and return its exit status."""
        assert self.process is not None
        return self.process.wait(timeout)


def twistd(folder: Path, *arguments: str, plugin: str = "staplesrv", **environment: str) -> Program:
    """`twistd -n` with a plugin, as a person starts it."""
    pid_file = folder / "twistd.pid"
    command = [str(BIN / "twistd"), "--nodaemon", f"--pidfile={pid_file}", plugin, *arguments]
    return Program(command, folder, environment)


TLS12: Mapping[str, Any] = {"max_version": "TLSv1.2"}
TLS13: Mapping[str, Any] = {"min_version": "TLSv1.3"}


def look(
    port: int,
    server_name: str | None = None,
    *,
    host: str = "127.0.0.1",
    timeout: float = 10,
    options: Mapping[str, Any] | None = None,
) -> Seen:
    """One handshake over a real socket that asks for a staple; what the client saw."""
    client = StapleClient(server_name=server_name, **(options or {}))
    with socket.create_connection((host, port), timeout) as connection:
        connection.settimeout(timeout)
        while True:
            connection.sendall(client.outgoing())
            if client.done:
                return client.seen
            client.incoming(connection.recv(65536))


class Talk:
    """A well-behaved client over a socket, up to the point where the test does something else.

    Args:
        port: On loopback.
        options: For `StapleClient`.
    """

    def __init__(self, port: int, **options: object) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 20)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.client = StapleClient(server_name="localhost", **options)  # type: ignore[arg-type]

    def shake_hands(self, send: Callable[[bytes], object] | None = None) -> None:
        """Do the handshake; the last bytes of it are left in `client`."""
        send = send or self.socket.sendall
        while not self.client.done:
            send(self.client.outgoing())
            self.client.incoming(self.socket.recv(1 << 16))

    def ask(self, request: bytes) -> bytes:
        """Shake hands, ask, and read up to the end."""
        self.shake_hands()
        self.client.send(request)
        self.socket.sendall(self.client.outgoing())
        return self.rest()

    def rest(self) -> bytes:
        """Read up to close_notify."""
        answer = bytearray()
        with self.socket:
            while not self.client.closed:
                data = self.socket.recv(1 << 16)
                self.client.incoming(data)
                answer += self.client.received()
                if not data:
                    break
        return bytes(answer)


class Pki:
    """CAs and their one responder, in a process of their own; see `pki_process.Control` for what may be called.

    Args:
        names: What the CAs are called.
    """

    def __init__(self, *names: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("pki_process.py")), *names],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            text=True,
        )
        assert self.process.stdout is not None
        port = int(self.process.stdout.readline())
        self.control = xmlrpc.client.ServerProxy(f"http://127.0.0.1:{port}/", allow_none=True)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return getattr(self.control, name)

    def issue(self, folder: Path, *names: str, authority: str = "ca", **options: Any) -> SiteFiles:
        """Issue a leaf and write it down."""
        return SiteFiles(*map(Path, self.control.issue(authority, str(folder), list(names), options)))

    def close(self) -> None:
        """End the process."""
        self.process.communicate(timeout=10)


class SiteFiles(NamedTuple):
    """A site's chain and key."""

    certificate: Path
    private_key: Path

    def table(self, *names: str, **keys: str) -> str:
        """The `[[sites]]` table that serves it, with a page of its own."""
        www = self.certificate.parent / "www"
        www.mkdir(exist_ok=True)
        (www / "index.html").write_text("<!doctype html><title>a page</title>")
        values = {"certificate": self.certificate, "private_key": self.private_key, "static": www, **keys}
        lines = [f"{key} = {json.dumps(str(value))}" for key, value in values.items()]
        if names:
            lines.append(f"names = {json.dumps(names)}")
        return "\n".join(["[[sites]]", *lines, ""])


def write_config(folder: Path, port: int, *tables: str, settings: str = "", **keys: object) -> Path:
    """Write a configuration that listens on loopback and keeps its state in the folder."""
    keys = {"listen": [f"tcp:{port}:interface=127.0.0.1"], "state_dir": str(folder / "state"), **keys}
    lines = [f"{key} = {json.dumps(value)}" for key, value in keys.items()]
    path = folder / "staplesrv.toml"
    path.write_text("\n".join([*lines, "[staples]", settings, *tables]))
    return path


def turned_round(chain: str) -> str:
    """A chain in PEM with the leaf at its end."""
    end = "-----END CERTIFICATE-----\n"
    leaf, *rest = [f"{block}{end}" for block in chain.split(end) if block.strip()]
    return "".join([*rest, leaf])


def judge(seen: Seen, now: datetime | None = None) -> str:
    """What the staple in a handshake is worth to a careful client: `none`, `good`, or why it is bad."""
    if not seen.staple:
        return "none"
    target = Target.for_leaf(seen.leaf, seen.peer_chain[1])
    try:
        response = verify_response(seen.staple, target, now=now or datetime.now(UTC))
    except ResponseRejected as error:
        return str(error)
    return response.status


@contextmanager
def patience(seconds: float) -> Iterator[Callable[[], bool]]:
    """A bounded span: yields a callable that is true until `seconds` have passed."""
    end = time.monotonic() + seconds
    yield lambda: time.monotonic() < end


def resident_kib(pid: int, what: str = "VmRSS") -> int:
    """The resident size of a process; the most that it ever was with `VmHWM`, which `forget_peak` resets."""
    return int(Path(f"/proc/{pid}/status").read_text().split(f"{what}:")[1].split()[0])


def forget_peak(pid: int) -> None:
    """Have `VmHWM` begin anew from what is resident now."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


@contextmanager
def little_growth(pid: int, most: int) -> Iterator[None]:
    """See that a process never grows by so many KiB meanwhile."""
    forget_peak(pid)
    before = resident_kib(pid)
    yield
    assert resident_kib(pid, "VmHWM") - before < most


def descriptors(pid: int) -> int:
    """How many file descriptors a process has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208 - a name that vanishes meanwhile is no matter


def waiting(port: int) -> int:
    """How many connections to a port on IPv4 nobody has accepted yet, as the system counts them."""
    listening = f":{port:04X} 00000000:0000 0A "
    lines = Path("/proc/net/tcp").read_text().splitlines()
    return sum(int(line.split()[4].partition(":")[2], 16) for line in lines if listening in line)


def write_large(path: Path, size: int) -> None:
    """Write a file in which no two blocks are the same."""
    block = random.Random(size).randbytes(MIB - 8)
    with path.open("wb") as file:
        for number in range(size // MIB):
            file.write(number.to_bytes(8) + block)


def rests(pid: int) -> bool:
    """Whether a process does nothing for a quarter of a second."""
    clock = Path(f"/proc/{pid}/schedstat")
    before = clock.read_text().split()[0]
    time.sleep(0.25)
    return clock.read_text().split()[0] == before


def digest(path: Path) -> bytes:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
