"""The other ways in: options alone, the demo, the endpoint string, the wheel, and who it runs as."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from functional.harness import (
    BIN,
    ROOT,
    Pki,
    free_port,
    is_listening,
    judge,
    look,
    need,
    twistd,
    wait_until,
    write_config,
)


def test_one_site_by_options_alone(pki: Pki, port: int, tmp_path: Path) -> None:
    """The command line of the README serves a site without a configuration file."""
    files = pki.issue(tmp_path, "options.test")
    files.table()
    listen = f"tcp:{port}:interface=127.0.0.1"
    paths = ("--certificate", str(files.certificate), "--private-key", str(files.private_key))
    more = ("--static", "www", "--state-dir", "state")
    with twistd(tmp_path, "--listen", listen, *paths, *more):
        wait_until(lambda: is_listening(port), "the port")
        assert judge(look(port)) == "good"


def test_the_endpoint_string_staples_any_twisted_program(pki: Pki, port: int, tmp_path: Path) -> None:
    """`twistd web --listen staple:...` staples without a line of code."""
    files = pki.issue(tmp_path, "endpoint.test")
    files.table()
    keys = f"certificate={files.certificate}:privateKey={files.private_key}"
    endpoint = f"staple:{port}:interface=127.0.0.1:{keys}:stateDir={tmp_path / 'state'}"
    with twistd(tmp_path, "--path", "www", "--listen", endpoint, plugin="web"):
        wait_until(lambda: is_listening(port), "the port")
        assert judge(look(port)) == "good"


def test_the_demo_does_what_it_says(tmp_path: Path) -> None:
    """`--demo` prints three commands, and each of them works as printed."""
    port = free_port()
    for program in ("openssl", "curl"):
        need(program)
    with twistd(tmp_path, "--demo", "--listen", f"tcp:{port}:interface=127.0.0.1", TMPDIR=str(tmp_path)) as demo:
        wait_until(lambda: is_listening(port), "the port")
        demo.wait_for("staplesrv check")
        commands = [line for line in demo.output().splitlines() if re.search(r"(s_client|--cert-status|check)", line)]
        environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
        for pattern in ("openssl s_client", "curl ", "staplesrv check"):
            line = next(line for line in commands if pattern in line)
            command = line[line.index(pattern) :]
            done = subprocess.run(
                command,
                shell=True,
                cwd=tmp_path,
                env=environment,
                capture_output=True,
                timeout=30,
                check=False,
                input=b"",
            )
            assert done.returncode == 0, (command, done.stdout, done.stderr)
        demo.stop()
        assert "Traceback" not in demo.output()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can shed privileges")
def test_shed_privileges(pki: Pki, tmp_path: Path) -> None:
    """It binds a low port and reads root's key, then runs as nobody, and names the key that a reload can't read."""
    port = next(port for port in range(600, 1000) if not is_listening(port))
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents[:3]:
        parent.chmod(parent.stat().st_mode | 0o055)
    files = pki.issue(tmp_path, "root.test")
    config = write_config(tmp_path, port, files.table())
    server = twistd(tmp_path, "--config", str(config))
    server.arguments[1:1] = ["--uid", "65534", "--gid", "65534"]
    with server:
        wait_until(lambda: is_listening(port), "the port")
        assert judge(look(port, "root.test")) == "good"
        assert server.process is not None
        status = Path(f"/proc/{server.process.pid}/status").read_text()
        assert re.search(r"^Uid:\t65534\t65534", status, re.MULTILINE)
        server.wait_for("privkey.pem")
        wait_until(lambda: list((tmp_path / "state").glob("**/*.der")), "the staple on disk")


def test_the_wheel_brings_the_plugin(pki: Pki, port: int, tmp_path: Path) -> None:
    """Built and installed in a fresh environment, `twistd --help` lists staplesrv, and the plugin starts."""
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--outdir", str(tmp_path), str(ROOT)],
        check=True,
        capture_output=True,
        timeout=180,
    )
    (wheel,) = tmp_path.glob("*.whl")
    home = tmp_path / "venv"
    venv.create(home, with_pip=True, symlinks=True)
    install = [str(home / "bin/python"), "-m", "pip", "install", "--quiet", str(wheel)]
    subprocess.run(install, check=True, capture_output=True, timeout=300)
    clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    helped = subprocess.run(
        [str(home / "bin/twistd"), "--help"],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=home,
        env=clean,
    )
    assert re.search(r"^\s+staplesrv\s", helped.stdout, re.MULTILINE)
    assert "Traceback" not in helped.stdout + helped.stderr
    config = write_config(tmp_path, port, pki.issue(tmp_path, "wheel.test").table())
    server = twistd(tmp_path, "--config", str(config), PYTHONPATH="")
    server.arguments[0] = str(home / "bin/twistd")
    with server:
        wait_until(lambda: is_listening(port), "the port")
        assert judge(look(port, "wheel.test")) == "good"
