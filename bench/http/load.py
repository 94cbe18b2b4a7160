"""The clients: h2load, which is in C and checks that each answer came, and one of Python's that looks at the bytes."""

from __future__ import annotations

import hashlib
import re
import ssl
import subprocess
import tempfile
from collections.abc import Mapping
from http.client import HTTPSConnection
from pathlib import Path
from time import sleep
from typing import Any

CLIENTS = 16
SUITE = "TLS_AES_128_GCM_SHA256"
GROUP = "X25519"
GENERATORS = 8
"""How many h2loads share the work where their pace is given: the clients of one all ask at the same moment."""


class WrongAnswer(Exception):
    """A server did not do what is measured."""


class Load:
    """Does work with one server.

    Args:
        ports: Where each of its sites is, on 127.0.0.1.
        root: The certificate that is trusted.
    """

    def __init__(self, ports: Mapping[str, int], root: Path) -> None:
        self._ports = ports
        self._context = ssl.create_default_context(cafile=root)
        self._asked = 0

    def knock(self) -> None:
        """Do a handshake for each site."""
        for site in self._ports:
            connection = self._connection(site)
            connection.connect()
            connection.close()

    def digest(self, site: str, path: str) -> bytes:
        """Ask for a path once, and return the SHA-256 of what comes."""
        connection = self._connection(site)
        connection.request("GET", path)
        with connection.getresponse() as answer:
            if answer.status != 200:  # noqa: PLR2004
                raise WrongAnswer(f"{site}{path}: {answer.status}")
            digest = hashlib.file_digest(answer, "sha256").digest()
        connection.close()
        return digest

    def ask(
        self,
        site: str,
        path: str,
        size: int,
        count: int,
        *,
        clients: int = CLIENTS,
        http2: bool = False,
        streams: int = 1,
    ) -> None:
        """Ask for a path many times over some connections that are kept.

        Args:
            site: Which one.
            path: On it.
            size: Bytes of the body.
            count: How often in all.
            clients: How many connections.
            http2: Which version.
            streams: How many requests each connection has at once.
        """
        said = subprocess.run(
            [*self._h2load(site, path, count, clients, http2=http2), f"-m{streams}"],
            check=True,
            capture_output=True,
            text=True,
            timeout=600,
        ).stdout
        _check(said, count, size, http2=http2)

    def ask_anew(self, site: str, path: str, size: int, count: int) -> None:
        """Ask for a path with another query each time, so that no request is like one before it.

        Args:
            site: Which one.
            path: On it.
            size: Bytes of the body.
            count: How often in all.
        """
        each = count // CLIENTS
        with tempfile.TemporaryDirectory(prefix="staplesrv-bench-") as folder:
            running = []
            for client in range(CLIENTS):
                # Of one h2load, every client begins with the first target.
                targets = Path(folder) / str(client)
                url = self._url(site, path)
                targets.write_text("".join(f"{url}?{client}-{self._asked + number}\n" for number in range(each)))
                command = [*self._options(site, each, 1, http2=False), f"--input-file={targets}"]
                running.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
            for one in running:
                _check(one.communicate(timeout=600)[0], each, size, http2=False)
        self._asked += each

    def latency(self, site: str, path: str, rate: float, seconds: float) -> float:
        """Ask at a pace, whether the answers come or not; return the 99th percentile of their time in ms.

        Args:
            site: Which one.
            path: On it.
            rate: Requests per second in all.
            seconds: For how long; the first quarter does not count.
        """
        clients = CLIENTS // GENERATORS
        count = int(rate * seconds / GENERATORS / clients) * clients
        with tempfile.TemporaryDirectory(prefix="staplesrv-bench-") as folder:
            logs = [Path(folder) / str(number) for number in range(GENERATORS)]
            running = []
            for log in logs:
                command = self._h2load(site, path, count, clients, http2=False)
                command += [f"--rps={rate / GENERATORS / clients:.3f}", f"--log-file={log}"]
                running.append(subprocess.Popen(command, stdout=subprocess.DEVNULL))
                # Apart by a part of a millisecond, which is what h2load's timers go by.
                sleep(0.0203)
            for one in running:
                if one.wait(600):
                    raise WrongAnswer("h2load failed")
            times = sorted(time for log in logs for time in _times(log, seconds / 4))
        return times[int(len(times) * 0.99)] / 1e3

    def _connection(self, site: str) -> HTTPSConnection:
        return _Here(f"{site}.example", self._ports[site], timeout=60, context=self._context)

    def _h2load(self, site: str, path: str, count: int, clients: int, *, http2: bool) -> list[str]:
        return [*self._options(site, count, clients, http2=http2), self._url(site, path)]

    def _options(self, site: str, count: int, clients: int, *, http2: bool) -> list[str]:
        command = ["h2load", "-t1", f"-c{clients}", f"-n{count}", f"--connect-to=127.0.0.1:{self._ports[site]}"]
        command += [f"--tls13-ciphers={SUITE}", f"--groups={GROUP}"]
        return command if http2 else [*command, "--h1"]

    def _url(self, site: str, path: str) -> str:
        return f"https://{site}.example:{self._ports[site]}{path}"


class _Here(HTTPSConnection):
    """Goes to this machine, whatever the name."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        connect = self._create_connection  # type: ignore[has-type]
        self._create_connection = lambda address, *rest: connect(("127.0.0.1", address[1]), *rest)


def _check(said: str, count: int, size: int, *, http2: bool) -> None:
    """See that every answer came whole."""
    data = re.search(r"\((\d+)\) data", said)
    good = f" {count} succeeded" in said and f"{count} 2xx" in said and ("protocol: h2" in said) == http2
    if not good or data is None or int(data[1]) != count * size:
        raise WrongAnswer(said)


def _times(log: Path, skipped: float) -> list[int]:
    """Return the microseconds that each answer took, but for those of the first seconds."""
    rows = [tuple(map(int, line.split("\t"))) for line in log.read_text().splitlines()]
    if any(status != 200 for _start, status, _time in rows):  # noqa: PLR2004
        raise WrongAnswer(f"{log}: not every status is 200")
    first = min(row[0] for row in rows)
    return [time for start, _status, time in rows if start - first > skipped * 1e6]
