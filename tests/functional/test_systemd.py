"""The unit under a real systemd: this machine's, or that of STAPLESRV_SYSTEMD_ROOT, the folder of another system."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from functional.harness import (
    ROOT,
    Pki,
    SiteFiles,
    free_port,
    is_listening,
    judge,
    look,
    need,
    twistd,
    wait_until,
)
from functional.steady_load import Load, steady_load
from functional.systemd_machine import Machine

pytestmark = pytest.mark.soak

UNIT = "staplesrv.service"
UNITS = "etc/systemd/system"
EXAMPLES = ROOT / "examples" / "systemd"
MACHINE = "[Unit]\nRequires=basic.target\nAfter=basic.target\nAllowIsolate=yes\n"
# The network is the host's: another address for each process of the tests.
PRIVILEGED = f"127.44.{os.getpid() >> 8 & 255}.{os.getpid() % 255 + 1}"
KEYS = "etc/ssl/staplesrv"
SITE = f"""
[[sites]]
certificate = "/{KEYS}/chain.pem"
private_key = "/{KEYS}/key.pem"
{{content}}
{{names}}
"""


class Service:
    """The unit in a machine, not started.

    Args:
        machine: The machine, booted.
        port: Where it listens, on 127.0.0.1.
    """

    def __init__(self, machine: Machine, port: int) -> None:
        self.machine = machine
        self.port = port

    @property
    def pid(self) -> int:
        """The supervisor, as the machine numbers it."""
        return int(self.show("MainPID"))

    def show(self, name: str) -> str:
        """A property of the unit."""
        return self.machine.show(UNIT, name)

    def do(self, verb: str) -> None:
        """Have systemd do something with the unit; returns when that is done."""
        self.machine.run("systemctl", verb, UNIT)

    def kill(self, number: signal.Signals) -> None:
        """Send the supervisor a signal."""
        self.machine.run("kill", f"-{number.name[3:]}", str(self.pid))

    def is_good(self, port: int | None = None, host: str = "127.0.0.1") -> bool:
        """Whether it serves, with a staple."""
        return judge(look(port or self.port, "localhost", host=host)) == "good"

    def configure(self, old: str, new: str) -> None:
        """Change a part of the configuration."""
        file = self.machine.root / "etc/staplesrv.toml"
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))

    def install(self, files: SiteFiles) -> None:
        """Put a certificate and its key in place of the earlier ones."""
        for source, name in ((files.certificate, "chain.pem"), (files.private_key, "key.pem")):
            (self.machine.root / KEYS / name).write_text(source.read_text())
            (self.machine.root / KEYS / name).chmod(0o600)

    def adapt(self, text: str, unit: str = UNIT) -> None:
        """Change a unit, as `systemctl edit` does."""
        folder = self.machine.root / UNITS / f"{unit}.d"
        folder.mkdir(exist_ok=True)
        (folder / f"{len(list(folder.iterdir()))}.conf").write_text(text)
        self.machine.run("systemctl", "daemon-reload")

    def wait_for_another(self, before: int) -> None:
        """Wait until another process is ready."""
        wait_until(lambda: self.pid not in (0, before) and self.show("ActiveState") == "active", "another process")

    def upgrade(self) -> None:
        """Have it replaced, and wait until the old process has gone."""
        before = self.pid
        self.kill(signal.SIGUSR2)
        wait_until(lambda: self.pid != before, "the new process")
        assert self.show("ActiveState") == "active"
        wait_until(lambda: not (self.machine.root / f"proc/{before}").exists(), "the end of the old process")
        assert self.show("ActiveState") == "active"
        assert self.show("NRestarts") == "0"


@pytest.fixture
def service(tmp_path: Path, pki: Pki, port: int) -> Iterator[Service]:
    """A machine with the unit, and a configuration with workers of another user."""
    site = pki.issue(tmp_path, "localhost")
    listen = [f"tcp:{port}:interface=127.0.0.1", f"tcp:443:interface={PRIVILEGED}"]
    config = f"""
workers = 2
user = "staplesrv"
listen = {json.dumps(listen)}

[access_log]
file = "/var/log/staplesrv/access.log"

{SITE.format(names="", content='static = "/srv/www"')}"""
    files = {
        "etc/staplesrv.toml": config,
        "srv/www/index.html": "a page",
        "etc/sysusers.d/staplesrv.conf": (EXAMPLES / "sysusers.conf").read_text(),
        f"{UNITS}/{UNIT}": (EXAMPLES / UNIT).read_text(),
        f"{UNITS}/machine.target": MACHINE,
    }
    with Machine(tmp_path / "machine", Path(os.environ.get("STAPLESRV_SYSTEMD_ROOT", "/")), files) as machine:
        machine.run("systemd-sysusers")
        service = Service(machine, port)
        # Nobody but root can read what is in there.
        (machine.root / KEYS).mkdir(mode=0o700)
        service.install(site)
        if machine.version < 253:
            service.adapt((EXAMPLES / "before-253.conf").read_text())
        yield service


def nothing_is_lost(load: Load) -> bool:
    """Whether every request was answered, over connections that were never refused and always stapled."""
    return (load.lost, load.failed, load.unstapled) == ([], [], 0)


def test_the_start_lasts_until_it_serves(service: Service) -> None:
    """On a privileged port, with a key of root's, and with an access log that workers of another user write."""
    service.do("start")
    assert service.is_good()
    assert service.is_good(443, PRIVILEGED)
    assert service.show("StatusText").startswith(f"serving on 127.0.0.1:{service.port}, {PRIVILEGED}:443: localhost")
    with steady_load(service.port) as load:
        wait_until(lambda: load.answered > 20, "answers")
    log = service.machine.root / "var/log/staplesrv/access.log"
    wait_until(lambda: log.read_text().count('"GET / HTTP/1.1" 200') >= load.answered, "the log")
    assert list((service.machine.root / "var/lib/staplesrv").iterdir())


def test_a_server_can_ask_others(service: Service, pki: Pki, tmp_path: Path) -> None:
    """A responder whose name DNS knows, and a backend whose certificate one of the system's roots has signed."""
    (tmp_path / "hosts").write_text("127.0.0.1 responder.test\n")
    options = ["--port=53", f"--interface={PRIVILEGED}", f"--hosts-file={tmp_path}/hosts"]
    for folder in ("dns", "backend", "www"):
        (tmp_path / folder).mkdir()
    (tmp_path / "www" / "index.html").write_text("from the backend")
    behind = free_port()
    resolver = service.machine.root / "etc/resolv.conf"
    resolver.unlink(missing_ok=True)
    resolver.write_text(f"nameserver {PRIVILEGED}\n")
    url = pki.url().replace("127.0.0.1", "responder.test")
    files = pki.issue(tmp_path, "localhost", "proxy.test", responder_urls=[url])
    service.install(files)
    with (service.machine.root / "etc/ssl/certs/ca-certificates.crt").open("a") as roots:
        roots.write(Path(pki.root("ca", str(tmp_path / "root.pem"))).read_text())
    with (service.machine.root / "etc/staplesrv.toml").open("a") as config:
        config.write(SITE.format(names='names = ["proxy.test"]', content=f'proxy = "https://localhost:{behind}"'))
    service.configure('static = "/srv/www"', 'static = "/srv/www"\nnames = ["localhost"]')
    backend = [f"--listen=tcp:{behind}:interface=127.0.0.1", f"--certificate={files.certificate}", "--responder="]
    backend += [f"--private-key={files.private_key}", f"--static={tmp_path}/www"]
    with (
        twistd(tmp_path / "dns", *options, plugin="dns") as dns,
        twistd(tmp_path / "backend", *backend) as serving,
    ):
        dns.wait_for("starting on 53")
        serving.wait_for("serving on")
        service.do("start")
        assert service.is_good()
        where = f"proxy.test:443:127.0.0.1:{service.port}"
        asking = [need("curl"), "-s", "--cacert", f"{tmp_path}/root.pem", "--connect-to", where, "https://proxy.test/"]
        assert subprocess.run(asking, capture_output=True, timeout=20, check=True).stdout == b"from the backend"


def test_a_reload_returns_when_it_is_done(service: Service, pki: Pki, tmp_path: Path) -> None:
    """Also one that takes seconds, and one that fails, after which everything goes on."""
    service.do("start")
    another = free_port()
    service.configure("listen = [", f'listen = ["tcp:{another}:interface=127.0.0.1", ')
    service.do("reload")
    assert service.is_good(another)
    pki.set("delay", 3.0)
    service.install(pki.issue(tmp_path, "localhost"))
    before = look(another, "localhost").leaf
    service.do("reload")
    assert look(another, "localhost").leaf != before
    assert service.is_good()
    service.configure("workers", "nonsense")
    service.do("reload")
    assert "nonsense" in service.show("StatusText")
    assert service.show("ActiveState") == "active"
    assert service.is_good()


@pytest.mark.parametrize("upgrades", [0, 1])
def test_the_end_is_waited_for(service: Service, upgrades: int) -> None:
    """What is in flight is answered; also by a process that has replaced another."""
    service.do("start")
    for _ in range(upgrades):
        service.upgrade()
    with steady_load(service.port) as load:
        wait_until(lambda: load.answered > 50, "answers")
        service.do("stop")
    assert load.lost == []
    assert service.show("Result") == "success"
    assert not is_listening(service.port)


def test_a_supervisor_that_was_killed_is_started_again(service: Service) -> None:
    """Its workers are no hindrance."""
    service.do("start")
    before = service.pid
    service.kill(signal.SIGKILL)
    service.wait_for_another(before)
    assert service.is_good()


def test_a_supervisor_that_stands_still_is_replaced(service: Service) -> None:
    """By the watchdog; also after an upgrade."""
    service.adapt("[Service]\nWatchdogSec=3\n")
    service.do("start")
    service.upgrade()
    before = service.pid
    service.kill(signal.SIGSTOP)
    service.wait_for_another(before)
    assert service.is_good()
    assert "Watchdog timeout" in service.machine.journal(UNIT)


def test_an_upgrade_is_followed(service: Service) -> None:
    """The main process is another one, which is reloaded, and started again if it is killed; nobody is refused."""
    service.do("start")
    with steady_load(service.port) as load:
        for _ in range(2):
            service.upgrade()
            service.do("reload")
    assert nothing_is_lost(load)
    assert service.show("StatusText").startswith("serving on")
    before = service.pid
    service.kill(signal.SIGKILL)
    service.wait_for_another(before)


def test_sockets_of_systemd(service: Service) -> None:
    """Over restarts and upgrades nobody is refused, on IPv4 and IPv6; a privileged port takes no privilege then."""
    socket_unit = (EXAMPLES / "staplesrv.socket").read_text()
    first = socket_unit.replace("0.0.0.0:443", f"127.0.0.1:{service.port}").replace("[::]:443", f"[::1]:{service.port}")
    (service.machine.root / UNITS / "staplesrv.socket").write_text(first)
    second = f"[Socket]\nFileDescriptorName=more\nService={UNIT}\nListenStream={PRIVILEGED}:443\n"
    (service.machine.root / UNITS / "staplesrv-more.socket").write_text(second)
    sockets = "Sockets=staplesrv.socket staplesrv-more.socket"
    service.adapt(f"[Service]\n{sockets}\nCapabilityBoundingSet=~CAP_NET_BIND_SERVICE\n")
    service.configure(f"tcp:{service.port}:interface=127.0.0.1", "systemd:name=https")
    service.configure(f', "tcp:443:interface={PRIVILEGED}"', "")
    service.machine.run("systemctl", "start", "staplesrv.socket", "staplesrv-more.socket")
    assert service.show("ActiveState") == "inactive"
    assert service.is_good()
    assert service.is_good(host="::1")
    with steady_load(service.port) as load:
        wait_until(lambda: load.answered > 50, "answers")
        service.do("restart")
        service.upgrade()
        service.upgrade()
        service.configure('"systemd:name=https"', '"systemd:name=https", "systemd:domain=INET:name=more"')
        service.do("reload")
        assert service.is_good(443, PRIVILEGED)
        service.do("restart")
    assert nothing_is_lost(load)
    assert service.is_good(host="::1")
    assert service.is_good(443, PRIVILEGED)
    assert service.show("NRestarts") == "0"
