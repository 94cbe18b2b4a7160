"""The access log of the whole program."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from functional.harness import Pki, wait_until
from functional.http_server import VERSIONS, HTTPServer, http_server, site_table

COMBINED = re.compile(
    r'127\.0\.0\.1 - - \[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "(?P<request>[^"]*)" '
    r'(?P<status>\d{3}) (?P<bytes>\d+|-) "(?P<referer>[^"]*)" "(?P<agent>(?:[^"\\]|\\.)*)".*'
)


@contextmanager
def logging(folder: Path, form: str) -> Iterator[HTTPServer]:
    """Run a site of one file that logs to `access.log`."""
    (folder / "www").mkdir()
    (folder / "www" / "page.html").write_text("a page")
    pki = Pki("ca")
    site = site_table(pki.issue(folder, "localhost"), static=folder / "www")
    log = f'[access_log]\nfile = "{folder / "access.log"}"\nformat = "{form}"\n'
    with http_server(pki, folder, site, log) as running:
        yield running
        running.program.stop()
        assert "Traceback" not in running.program.output()
    pki.close()


def lines(path: Path, count: int) -> list[str]:
    """Wait for so many lines."""
    wait_until(lambda: path.exists() and path.read_text().count("\n") >= count, f"{count} lines")
    found = path.read_text().splitlines()
    assert len(found) == count
    return found


def test_combined(tmp_path: Path) -> None:
    """A line for each request, in the form that programs for logs read; what a client says forges no second one."""
    with logging(tmp_path, "combined") as server:
        for version in VERSIONS:
            server.curl(
                "/page.html?a=b", "-A", 'agent "quoted" \\ \t end', "-e", "https://example.org/", version=version
            )
        server.curl("/none%0a127.0.0.1", "--head")
        found = [COMBINED.fullmatch(line) for line in lines(tmp_path / "access.log", 3)]
        first, second, third = (line.groupdict() for line in found if line)
        assert first["request"] == "GET /page.html?a=b HTTP/1.1"
        assert second["request"] == "GET /page.html?a=b HTTP/2.0"
        assert (first["status"], first["bytes"], first["referer"]) == ("200", "6", "https://example.org/")
        assert "quoted" in first["agent"]
        assert '"quoted"' not in first["agent"].replace('\\"', "")
        assert (third["status"], third["request"]) == ("404", "HEAD /none%0a127.0.0.1 HTTP/1.1")


def test_json(tmp_path: Path) -> None:
    """A JSON object for each request, with what only this server knows: TLS version, group, staple."""
    with logging(tmp_path, "json") as server:
        server.curl("/page.html", "-A", 'a "quoted"\t agent', "--cert-status", version="2")
        (line,) = map(json.loads, lines(tmp_path / "access.log", 1))
        text = json.dumps(line)
        assert line["status"] == 200
        for said in ("TLSv1.3", "stapled", "/page.html", "quoted", "127.0.0.1", "localhost"):
            assert said in text


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGHUP])
def test_a_log_that_is_rotated(tmp_path: Path, number: signal.Signals) -> None:
    """After a rename and a signal the next lines go to a new file, and no line is lost."""
    log, old = tmp_path / "access.log", tmp_path / "access.log.1"
    with logging(tmp_path, "combined") as server:
        server.curl("/page.html?one")
        log.rename(old)
        server.curl("/page.html?two")
        server.program.signal(number)
        wait_until(log.exists, "the new file")
        server.curl("/page.html?three")
        assert "?three" in lines(log, 1)[0]
        assert "?two" in lines(old, 2)[1]


def test_the_last_lines(tmp_path: Path) -> None:
    """What is still in the buffer when the program ends is written."""
    with logging(tmp_path, "combined") as server:
        for number in range(20):
            server.curl(f"/page.html?{number}")
        server.program.stop()
        assert "?19" in lines(tmp_path / "access.log", 20)[-1]


def test_a_full_disk(tmp_path: Path) -> None:
    """Requests are served on where the log can't be written; the program's own log has a line about it, not many."""
    log = tmp_path / "access.log"
    with logging(tmp_path, "combined") as server:
        server.curl("/page.html")
        lines(log, 1)
        log.unlink()
        log.symlink_to("/dev/full")
        server.program.signal(signal.SIGUSR1)
        for number in range(10):
            assert server.curl(f"/page.html?{number}").body == b"a page"
        server.program.wait_for("access.log")
        said = [line for line in server.program.output().splitlines() if "access.log" in line]
        assert len(said) < 4


def test_what_is_no_request(tmp_path: Path) -> None:
    """It has a line all the same, and so has one that HTTP/2 refuses."""
    with logging(tmp_path, "combined") as server:
        server.curl("/page.html", "-H", "Host: a b")
        server.curl("/page.html", "-H", "Expect: nothing", "-d", "x", version="2")
        found = [COMBINED.fullmatch(line) for line in lines(tmp_path / "access.log", 2)]
        assert [(line["request"], line["status"]) for line in found if line] == [
            ("GET /page.html HTTP/1.1", "400"),
            ("POST /page.html HTTP/2.0", "417"),
        ]
