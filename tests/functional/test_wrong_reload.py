"""Every mistake that a start refuses, made while the program runs and told by SIGHUP: it is one line, and no more."""

from __future__ import annotations

import signal
import socket
from collections.abc import Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from functional.admin_client import document
from functional.harness import (
    Pki,
    Program,
    SiteFiles,
    free_port,
    judge,
    look,
    turned_round,
    twistd,
    wait_until,
    write_config,
)

from staplesrv.testing import CertificateAuthority


def last_reload(program: Program) -> dict[str, Any]:
    """What `staplesrv status` says of it."""
    return document(program)["last_reload"] or {}


def another(program: Program, before: dict[str, Any]) -> dict[str, Any] | None:
    """The same, where it is another one by now."""
    told = last_reload(program)
    return None if told == before else told


def wrong_sites(folder: Path, files: SiteFiles) -> Mapping[str, str]:
    """Tables of sites, each by what is to be said of it."""
    stranger, locked = (CertificateAuthority().issue(f"{name}.test") for name in ("stranger", "locked"))
    strangers = stranger.write(folder, prefix="stranger-")
    lockeds = locked.write(folder, prefix="locked-", passphrase=b"secret")
    turned = folder / "turned.pem"
    turned.write_text(turned_round(files.certificate.read_text()))
    key = files.private_key
    return {
        "gone.pem": SiteFiles(folder / "gone.pem", key).table(),
        "directory": SiteFiles(files.certificate, folder).table(),
        "does not fit": SiteFiles(files.certificate, strangers.private_key).table(),
        "encrypted": SiteFiles(*lockeds).table(),
        "turned.pem": SiteFiles(turned, key).table(),
        "unknown key": files.table(certificat="x"),
        "private_key": files.table(privatekey="x"),
        "staple_file": files.table(staplefile="x"),
        "right.test": files.table("right.test") + files.table("right.test"),
    }


@contextmanager
def taken_port() -> Any:
    """A port that somebody else listens on."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        yield taken.getsockname()[1]


@pytest.mark.parametrize("count", [1, 2])
def test_mistakes_by_signal(pki: Pki, tmp_path: Path, count: int) -> None:
    """Each is told in one line of the log and by `staplesrv status`; the good staple goes on, and so does service."""
    files, port = pki.issue(tmp_path, "right.test"), free_port()
    keys = {"workers": count, "admin": "unix:admin"}
    config = write_config(tmp_path, port, files.table(), **keys)
    good = config.read_text()
    wrong = {
        said: write_config(tmp_path, port, table, **keys).read_text()
        for said, table in wrong_sites(tmp_path, files).items()
    }
    wrong["start_wait"] = write_config(
        tmp_path, port, files.table(), settings='start_wait = "soon"', **keys
    ).read_text()
    wrong["line 1"] = f"[[{good}"
    config.write_text(good)
    with taken_port() as taken, twistd(tmp_path, "--config", str(config)) as program:
        program.wait_for("serving on")
        wrong[f"port {taken} is in use"] = good.replace(
            f'"tcp:{port}', f'"tcp:{taken}:interface=127.0.0.1", "tcp:{port}'
        )
        told = last_reload(program)
        for said, text in wrong.items():
            config.write_text(text)
            program.signal(signal.SIGHUP)
            told = wait_until(lambda: another(program, told), said, 60)  # noqa: B023
            problem = "\n".join([told["line"], *told["failures"]])
            assert said in problem
            assert told["failures"] or not told["good"]
            assert [line for line in program.output().splitlines() if said in line]
            assert judge(look(port, "right.test")) == "good"
        assert "Traceback" not in program.output()
        config.write_text(good)
        program.signal(signal.SIGHUP)
        assert wait_until(lambda: another(program, told), "the last reload", 60)["good"]
