"""The unit under a real systemd: the machine's own, or that of `STAPLESRV_SYSTEMD_ROOT`, the folder of another system."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from functional.harness import ROOT, Pki, free_port, is_listening, judge, look, wait_until
from functional.steady_load import steady_load
from functional.systemd_machine import Machine

UNIT = "staplesrv.service"
EXAMPLES = ROOT / "examples" / "systemd"
OLDER = "[Service]\nType=notify\nExecReload=/bin/kill -HUP $MAINPID\n"
PRIVILEGED = "127.44.3.1"

pytestmark = pytest.mark.soak


class Service:
    """The unit, in a machine."""

    def __init__(self, machine: Machine, port: int) -> None:
        self.machine = machine
        self.port = port

    @property
    def pid(self) -> int:
        """The supervisor, as the machine numbers it."""
        return int(self.machine.show(UNIT, "MainPID"))

    def start(self) -> None:
        """Start it."""
        self.machine.run("systemctl", "start", UNIT)

    def kill(self, number: signal.Signals) -> None:
        """Send the supervisor a signal."""
        self.machine.run("kill", f"-{number.name[3:]}", str(self.pid))

    def host_is_gone(self, pid: int) -> bool:
        """Whether a process of the machine has ended."""
        return not (self.machine.root / f"proc/{pid}").exists()

    def is_good(self) -> bool:
        """Whether it serves, with a staple."""
        return judge(look(self.port, "localhost")) == "good"


@pytest.fixture
def service(tmp_path: Path, pki: Pki, port: int) -> Iterator[Service]:
    """A machine with the unit and a configuration, not started."""
    root = Path(os.environ.get("STAPLESRV_SYSTEMD_ROOT", "/"))
    site = pki.issue(tmp_path, "localhost")
    listen = [f"tcp:{port}:interface=127.0.0.1", f"tcp:443:interface={PRIVILEGED}"]
    config = f"""
workers = 2
user = "staplesrv"
listen = {json.dumps(listen)}

[access_log]
file = "/var/log/staplesrv/access.log"

[[sites]]
certificate = "/etc/ssl/staplesrv/chain.pem"
private_key = "/etc/ssl/staplesrv/key.pem"
static = "/srv/www"
"""
    files = {
        "etc/staplesrv.toml": config,
        "etc/ssl/staplesrv/chain.pem": site.certificate.read_text(),
        "etc/ssl/staplesrv/key.pem": site.private_key.read_text(),
        "srv/www/index.html": "a page",
        "etc/sysusers.d/staplesrv.conf": "u staplesrv - staplesrv\n",
        f"etc/systemd/system/{UNIT}": (EXAMPLES / UNIT).read_text(),
        "etc/systemd/system/machine.target": "[Unit]\nRequires=basic.target\nAfter=basic.target\nAllowIsolate=yes\n",
    }
    with Machine(tmp_path / "machine", root, files) as machine:
        (machine.root / "etc/ssl/staplesrv/key.pem").chmod(0o600)
        (machine.root / "etc/ssl/staplesrv").chmod(0o700)
        if version(machine) < 253:
            older = machine.root / f"etc/systemd/system/{UNIT}.d/older.conf"
            older.parent.mkdir()
            older.write_text(OLDER)
        machine.run("systemd-sysusers")
        machine.run("systemctl", "daemon-reload")
        yield Service(machine, port)


def version(machine: Machine) -> int:
    """The number of systemd."""
    return int(machine.run("systemctl", "--version").split()[1])


def test_the_start_lasts_until_it_serves(service: Service) -> None:
    """Workers of another user included; then the status is what it serves."""
    service.start()
    assert service.is_good()
    assert judge(look(443, "localhost", host=PRIVILEGED)) == "good"
    print(service.machine.run("systemctl", "status", "--no-pager", UNIT))


def configure(service: Service, old: str, new: str) -> None:
    """Change a part of the configuration."""
    file = service.machine.root / "etc/staplesrv.toml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_a_reload_returns_when_it_is_done(service: Service) -> None:
    """With a new listener, and then with a mistake, after which everything goes on."""
    service.start()
    another = free_port()
    configure(service, "listen = [", f'listen = ["tcp:{another}:interface=127.0.0.1", ')
    service.machine.run("systemctl", "reload", UNIT)
    assert judge(look(another, "localhost")) == "good"
    configure(service, "workers", "nonsense")
    service.machine.run("systemctl", "reload", UNIT)
    assert "nonsense" in service.machine.journal(UNIT)
    assert service.machine.show(UNIT, "ActiveState") == "active"
    assert service.is_good()
    print(service.machine.run("systemctl", "status", "--no-pager", UNIT))


def test_the_end_is_waited_for(service: Service) -> None:
    """What is in flight is answered."""
    service.start()
    with steady_load(service.port) as load:
        wait_until(lambda: load.answered > 50, "answers")
        service.machine.run("systemctl", "stop", UNIT)
    assert load.lost == []
    assert service.machine.show(UNIT, "Result") == "success"
    assert not is_listening(service.port)


def test_a_supervisor_that_was_killed_is_started_again(service: Service) -> None:
    service.start()
    before = service.pid
    service.kill(signal.SIGKILL)
    wait_until(lambda: service.pid not in (0, before), "another one")
    wait_until(lambda: service.machine.show(UNIT, "ActiveState") == "active", "its readiness")
    assert service.is_good()


def test_a_supervisor_that_stands_still_is_replaced(service: Service) -> None:
    """By the watchdog."""
    drop_in = service.machine.root / f"etc/systemd/system/{UNIT}.d/soon.conf"
    drop_in.parent.mkdir(exist_ok=True)
    drop_in.write_text("[Service]\nWatchdogSec=3\n")
    service.machine.run("systemctl", "daemon-reload")
    service.start()
    before = service.pid
    service.kill(signal.SIGSTOP)
    wait_until(lambda: service.pid not in (0, before), "another one")
    wait_until(lambda: service.machine.show(UNIT, "ActiveState") == "active", "its readiness")
    assert service.is_good()
    assert "atchdog" in service.machine.journal(UNIT)


def test_an_upgrade_is_followed(service: Service) -> None:
    """The main process is another one, and the service was active all the time."""
    service.start()
    with steady_load(service.port) as load:
        for _ in range(2):
            before = service.pid
            service.kill(signal.SIGUSR2)
            wait_until(lambda: service.pid != before, "another one")  # noqa: B023
            assert service.machine.show(UNIT, "ActiveState") == "active"
            wait_until(lambda: service.host_is_gone(before), "the end of the old one")  # noqa: B023
            assert service.machine.show(UNIT, "ActiveState") == "active"
            service.machine.run("systemctl", "reload", UNIT)
    assert (load.lost, load.failed, load.unstapled) == ([], [], 0)
    assert service.machine.show(UNIT, "NRestarts") == "0"
    print(service.machine.run("systemctl", "status", "--no-pager", UNIT))
    before = service.pid
    service.kill(signal.SIGKILL)
    wait_until(lambda: service.pid not in (0, before), "another one")
