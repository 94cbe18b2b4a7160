"""`twistd staplesrv` as a process: what it says and how it ends, before anything listens."""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from twisted.application.service import IServiceMaker
from twisted.logger import LogEvent, formatEvent, globalLogPublisher
from twisted.plugin import getPlugins

from staplesrv.errors import OperatorError
from staplesrv.server import tap
from staplesrv.testing import LeafFiles

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path, files: LeafFiles) -> Run:
    """Runs twistd in a folder with a certificate, until it ends by itself."""

    def running(*arguments: str, before: tuple[str, ...] = (), first: str = "") -> subprocess.CompletedProcess[str]:
        code = f"{first}from twisted.scripts.twistd import run; run()"
        command = [sys.executable, "-c", code, "-n", "--pidfile=", *before, "staplesrv", *arguments]
        return subprocess.run(
            command, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False
        )

    return running


def assert_one_line(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """It ended with status 1 and one line on stderr, in which these words stand."""
    assert done.returncode == 1, done
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("staplesrv: ")
    for word in words:
        assert word in line


def test_nothing_to_serve_is_one_line(run: Run) -> None:
    """With what to give."""
    assert_one_line(run(), "--config", "--demo")


def test_an_unknown_option_is_one_line(run: Run) -> None:
    """Not a page of help."""
    assert_one_line(run("--nope"), "--nope", "--help")


def test_a_bad_configuration_is_one_line(run: Run, tmp_path: Path) -> None:
    """With file and key."""
    (tmp_path / "a.toml").write_text("lisen = 1")
    assert_one_line(run("--config", "a.toml"), "a.toml: lisen: unknown key; did you mean listen?")


def test_a_certificate_that_is_none_is_one_line(run: Run, tmp_path: Path) -> None:
    """With the option that named it."""
    (tmp_path / "fullchain.pem").write_text("nonsense")
    assert_one_line(run("--certificate", "fullchain.pem", "--static", "www"), "--certificate: ", "fullchain.pem")


def test_a_state_dir_that_can_t_be_is_one_line(run: Run, tmp_path: Path) -> None:
    """It was asked for, so that a warning would be too little."""
    (tmp_path / "file").write_text("")
    options = ("--certificate", "fullchain.pem", "--private-key", "privkey.pem", "--static", "www")
    assert_one_line(run(*options, "--state-dir", "file/state"), "file/state", "Not a directory")


def test_a_user_that_is_none_is_one_line(run: Run) -> None:
    """Whether root asks for nobody, or somebody for root."""
    assert_one_line(run("--demo", before=("--uid", "54321")), "--uid")


def test_memory_that_callbacks_can_t_have_is_one_line(run: Run) -> None:
    """With the setting of systemd that takes it away; here the kernel does, which can since Linux 6.3."""
    deny = "__import__('ctypes').CDLL(None).prctl(65, 1, 0, 0, 0)"
    if subprocess.run([sys.executable, "-c", f"raise SystemExit(-{deny})"], check=False).returncode:
        pytest.skip("the kernel can't deny a process such memory")
    options = ("--certificate", "fullchain.pem", "--private-key", "privkey.pem", "--static", "www")
    assert_one_line(run(*options, first=f"{deny}; "), "MemoryDenyWriteExecute=")


def test_the_version_is_ours(run: Run) -> None:
    """And ends well."""
    done = run("--version")
    assert done.returncode == 0
    assert done.stdout.startswith("staplesrv 0.")


def test_the_help_names_the_options(run: Run) -> None:
    """Below how twistd is called."""
    done = run("--help")
    assert done.returncode == 0
    assert "staplesrv [--config FILE" in done.stdout
    assert "--must-staple" in done.stdout


def test_what_goes_wrong_late_ends_with_status_1(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twistd ends with 0 whenever the reactor was stopped; so the end of the process sees to it."""
    at_exit: list[Callable[[], None]] = []
    statuses: list[int] = []
    monkeypatch.setattr(atexit, "register", at_exit.append)
    monkeypatch.setattr(os, "_exit", statuses.append)
    stopped: list[bool] = []

    class Reactor:
        def stop(self) -> None:
            stopped.append(True)

    events: list[LogEvent] = []
    globalLogPublisher.addObserver(events.append)
    try:
        tap._Failure(Reactor()).report(OperatorError("tcp:443", "port 443 is in use", "stop the other one"))
    finally:
        globalLogPublisher.removeObserver(events.append)
    assert [formatEvent(event) for event in events] == ["tcp:443: port 443 is in use; stop the other one"]
    assert stopped == [True]
    assert statuses == []
    at_exit[0]()
    assert statuses == [1]


def test_twistd_lists_the_command() -> None:
    """A dropin that fails to import leaves the exit status at 0, and is only missed here."""
    found = {plugin.tapname: plugin for plugin in getPlugins(IServiceMaker)}
    assert found["staplesrv"].module == "staplesrv.server.tap"
    assert "staple" in found["staplesrv"].description


def test_the_choice_of_the_reactor_is_left_to_twistd() -> None:
    """Neither the dropin nor the module behind it installs one."""
    code = (
        "import sys, twisted.plugins.staplesrv_plugin as plugin\n"
        "assert not any(name.startswith('staplesrv.') for name in sys.modules), 'the dropin imports too much'\n"
        "plugin.staplesrv_command.options()\n"
        "import staplesrv.server.tap\n"
        "assert 'twisted.internet.reactor' not in sys.modules, 'a reactor is installed'\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=ENVIRONMENT, cwd="/", capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["epoll", "poll", "select", "asyncio"])
def test_a_server_under_every_reactor(files: LeafFiles, name: str) -> None:
    """Its timers count from the monotonic clock, its connections fit its descriptors, and it starts and stops."""
    room = 1024 - 128 if name == "select" else 1500 - 128
    code = f"""
import resource, sys, time
resource.setrlimit(resource.RLIMIT_NOFILE, (300, 1500))
from twisted.application.reactors import installReactor
installReactor({name!r})
from twisted.internet import reactor
from staplesrv.server import tap
options = tap.Options()
options.parseOptions(["--certificate", {str(files.certificate)!r}, "--private-key", {str(files.private_key)!r},
    "--static", ".", "--state-dir", "state", "--listen", "tcp:0:interface=127.0.0.1", "--responder", ""])
service = tap.makeService(options)
assert abs(reactor.seconds() - time.monotonic()) < 1
assert service.premises.connections.limits.connections == {room}
service.privilegedStartService()
service.startService()
def listening():
    if service.stapler.running and service.doors[0].ports._ports:
        reactor.stop()
    else:
        reactor.callLater(0.05, listening)
reactor.callLater(0, listening)
reactor.callLater(20, lambda: sys.exit(2))
reactor.addSystemEventTrigger("before", "shutdown", service.stopService)
reactor.run()
print("stopped")
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=ENVIRONMENT,
        cwd=files.certificate.parent,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "stopped\n"), done.stderr
