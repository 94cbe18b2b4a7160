"""Sites that ask their clients for certificates, and every way around that which an attacker has."""

from __future__ import annotations

import json
import signal
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from functional.harness import BIN, ROOT, Pki, SiteFiles, free_port, need, twistd, wait_until, write_config
from functional.http_server import VERSIONS, HTTPServer, http_backend, site_table

TLS = {"1.2": ("--tlsv1.2", "--tls-max", "1.2"), "1.3": ("--tlsv1.3",)}
NAMES = ("open.test", "guarded.test", "asks.test", "shut.test", "app.test", "openapp.test", "tunnel.test")
GUARDED = ("guarded.test", "shut.test", "app.test", "tunnel.test", "asks.test")

CODE = """
from twisted.web.resource import Resource
class Tree(Resource):
    isLeaf = True
    def render_GET(self, request):
        certificate = request.transport.getPeerCertificate()
        return b"nobody" if certificate is None else certificate.get_subject().CN.encode()
resource = Tree()
def application(environment, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environment["SSL_CLIENT_VERIFY"].encode(), b" ", environment.get("SSL_CLIENT_S_DN", "").encode()]
"""


@dataclass
class House:
    """A server with open and guarded sites, which share one certificate; and clients.

    Args:
        server: The program.
        pki: Has the CAs.
        alice: Of the CA that counts.
        mallory: Of another CA of the same name.
        shop: Of the CA that counts, but a server's.
    """

    server: HTTPServer
    pki: Pki
    alice: SiteFiles
    mallory: SiteFiles
    shop: SiteFiles

    def openssl(self, name: str, *options: str, request: str = "") -> str:
        """What `openssl s_client` shows of a connection to a site."""
        command = [need("openssl"), "s_client", "-connect", f"127.0.0.1:{self.server.port}", "-ign_eof"]
        named = ["-servername", name] if name else ["-noservername"]
        asked = request or f"GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n"
        done = subprocess.run(
            [*command, *named, *options], input=asked.encode(), capture_output=True, timeout=30, check=False
        )
        return (done.stdout + done.stderr).decode(errors="replace")


def showing(files: SiteFiles) -> tuple[str, ...]:
    """How curl shows a certificate."""
    return ("--cert", str(files.certificate), "--key", str(files.private_key))


def as_openssl(files: SiteFiles) -> tuple[str, ...]:
    """How `openssl s_client` does."""
    chain = ("-cert_chain", str(files.certificate))
    return ("-cert", str(files.certificate), "-key", str(files.private_key), *chain)


@contextmanager
def house(folder: Path, first: str, **keys: object) -> Iterator[House]:
    """Run a server whose first site is the one that is named."""
    pki = Pki("ca", "clients", "others")
    shared = pki.issue(folder, *NAMES)
    clients = str(folder / "clients.pem")
    pki.root("clients", clients)
    pki.root("others", str(folder / "others.pem"))
    pki.root("ca", str(folder / "root.pem"))
    made = {}
    for label, authority, options in (
        ("alice", "clients", {"client": True}),
        ("mallory", "others", {"client": True}),
        ("shop", "clients", {}),
    ):
        (folder / label).mkdir()
        made[label] = pki.issue(folder / label, label, authority=authority, **options)
    for name in ("open", "guarded", "asks"):
        (folder / f"www-{name}").mkdir()
        (folder / f"www-{name}" / "index.html").write_text(f"this is {name}")
    (folder / "code").mkdir()
    (folder / "code" / "seer.py").write_text(CODE)
    with http_backend(folder / "backend") as backend:
        require = {"client_ca": clients}
        tables = {
            "open": site_table(shared, names=["open.test"], static=folder / "www-open"),
            "guarded": site_table(shared, names=["guarded.test"], static=folder / "www-guarded", **require),
            "asks": site_table(shared, names=["asks.test"], wsgi="seer:application", client_auth="request", **require),
            "shut": site_table(shared, names=["shut.test"], resource="seer:resource", client_auth="require", **require),
            "app": site_table(shared, names=["app.test"], proxy=f"http://127.0.0.1:{backend}", **require),
            "openapp": site_table(shared, names=["openapp.test"], proxy=f"http://127.0.0.1:{backend}"),
            "tunnel": site_table(shared, names=["tunnel.test"], tunnel=f"tcp:127.0.0.1:{backend}", **require),
        }
        ordered = [tables.pop(first), *tables.values()]
        port = free_port()
        log = f'[access_log]\nfile = "{folder / "access.log"}"\nformat = "json"\n'
        config = write_config(folder, port, *ordered, log, **keys)
        with twistd(folder, "--config", str(config), PYTHONPATH=f"{ROOT}:{folder / 'code'}") as program:
            program.wait_for("serving on")
            yield House(HTTPServer(program, port, folder), pki, **made)
            program.stop()
            assert "Traceback" not in program.output()
            # Whatever clients did, they have no word in the log.
            assert "certificate verify failed" not in program.output()
    pki.close()


@pytest.fixture(scope="module", params=[("open", {}), ("guarded", {"workers": 2})], ids=["open", "guarded"])
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A server whose default site is open, and one of several processes where that is guarded."""
    first, keys = request.param
    with house(tmp_path_factory.mktemp("clients"), first, **keys) as made:
        yield made


@pytest.mark.parametrize("tls", TLS)
@pytest.mark.parametrize("version", VERSIONS)
class TestSites:
    def test_with_its_certificate(self, running: House, version: str, tls: str) -> None:
        """A client gets in."""
        shown = showing(running.alice)
        answer = running.server.curl("/", *TLS[tls], *shown, name="guarded.test", version=version)
        assert (answer.status, answer.body, answer.version) == (200, b"this is guarded", version)

    @pytest.mark.parametrize("name", ["guarded.test", "shut.test", "app.test"])
    def test_without_a_good_one(self, running: House, version: str, tls: str, name: str) -> None:
        """None, another CA's, one that is for servers: no answer at all."""
        for options in ((), showing(running.mallory), showing(running.shop)):
            answer = running.server.curl("/", *TLS[tls], *options, name=name, version=version)
            assert (answer.status, answer.body, answer.exit_status != 0) == (0, b"", True)

    def test_where_none_is_required(self, running: House, version: str, tls: str) -> None:
        """A client may come without; with a bad one it may not."""
        ask = running.server.curl
        assert ask("/", *TLS[tls], name="asks.test", version=version).body == b"NONE "
        shown = showing(running.alice)
        assert ask("/", *TLS[tls], *shown, name="asks.test", version=version).body == b"SUCCESS CN=alice"
        assert ask("/", *TLS[tls], *showing(running.mallory), name="asks.test", version=version).exit_status != 0

    def test_the_open_site(self, running: House, version: str, tls: str) -> None:
        """It is open to all, also to those that have a certificate."""
        for options in ((), showing(running.alice), showing(running.mallory)):
            answer = running.server.curl("/", *TLS[tls], *options, name="open.test", version=version)
            assert answer.body == b"this is open"

    def test_another_site_s_host(self, running: House, version: str, tls: str) -> None:
        """RFC 9110 §15.5.20: 421, on connections for an open site, and for one that asks and does not require."""
        for name, options in (("open.test", ()), ("asks.test", ()), ("asks.test", showing(running.alice))):
            for host in GUARDED[:4]:
                answer = running.server.curl(
                    "/", *TLS[tls], *options, "-H", f"Host: {host}", name=name, version=version
                )
                assert (answer.status, b"this is" in answer.body) == (421, False)
        for host in ("open.test", "asks.test", "openapp.test"):
            answer = running.server.curl(
                "/", *TLS[tls], *showing(running.alice), "-H", f"Host: {host}", name="guarded.test", version=version
            )
            assert answer.status == 421

    def test_sites_that_want_the_same(self, running: House, version: str, tls: str) -> None:
        """A connection serves them all, as they share the certificate, too."""
        answer = running.server.curl(
            "/", *TLS[tls], *showing(running.alice), "-H", "Host: shut.test", name="guarded.test", version=version
        )
        assert (answer.status, answer.body) == (200, b"alice")

    def test_no_server_name_and_an_unknown_one(self, running: House, version: str, tls: str) -> None:
        """They lead to the default site; where that is guarded, to nothing without a certificate."""
        default = running.server.curl("/", *TLS[tls], "--insecure", name="unknown.test", version=version)
        is_open = default.exit_status == 0
        assert default.body == (b"this is open" if is_open else b"")
        for name in ("127.0.0.1", "unknown.test"):
            for host in GUARDED[:4]:
                answer = running.server.curl(
                    "/", *TLS[tls], "--insecure", "-H", f"Host: {host}", name=name, version=version
                )
                assert answer.status == (421 if is_open else 0)
        # By the open site's handshake to an unknown host, which is the default site's.
        answer = running.server.curl("/", *TLS[tls], "-H", "Host: unknown.test", name="open.test", version=version)
        assert answer.status == (200 if is_open else 421)

    def test_a_backend_is_told(self, running: House, version: str, tls: str) -> None:
        """Of the certificate, and of nothing that the client says about it."""
        forged = [
            *(
                "-H",
                "X-Client-Cert-Subject: CN=root",
                "-H",
                "X-Client-Cert-Verified: SUCCESS",
                "-H",
                "X-Client-Cert: x",
            ),
            *("-H", "X_Client_Cert_Subject: CN=root", "-H", "Client-Cert: :AA==:", "-H", "X-Other: 1"),
        ]
        shown = showing(running.alice)
        told = running.server.curl("/fields", *TLS[tls], *shown, *forged, name="app.test", version=version)
        fields = [(name.lower(), value) for name, value in json.loads(told.body)]
        said = {name: value for name, value in fields if "cert" in name}
        assert len(said) == len([name for name, _ in fields if "cert" in name])
        assert said["x-client-cert-subject"] == "CN=alice"
        assert said["x-client-cert-verified"] == "SUCCESS"
        assert said["x-client-cert"].startswith("-----BEGIN%20CERTIFICATE-----%0A")
        assert set(said) == {
            *("x-client-cert", "x-client-cert-fingerprint", "x-client-cert-serial", "x-client-cert-issuer"),
            *("x-client-cert-subject", "x-client-cert-verified"),
        }
        told = running.server.curl("/fields", *TLS[tls], *shown, *forged, name="openapp.test", version=version)
        assert [name for name, _ in json.loads(told.body) if "cert" in name.lower()] == []


@pytest.mark.parametrize("tls", TLS)
class TestOpenSSL:
    def test_a_staple_and_a_certificate(self, running: House, tls: str) -> None:
        """Both in one handshake; the client is told whose certificates count."""
        seen = running.openssl("guarded.test", f"-tls{tls.replace('.', '_')}", "-status", *as_openssl(running.alice))
        assert "OCSP Response Status: successful" in seen
        assert "Acceptable client certificate CA names" in seen
        assert "this is guarded" in seen

    def test_what_a_client_without_one_is_told(self, running: House, tls: str) -> None:
        """The alert is the standard's: RFC 8446 §6.2 certificate_required, and before it handshake_failure."""
        alert = "certificate required" if tls == "1.3" else "handshake failure"
        assert alert in running.openssl("guarded.test", f"-tls{tls.replace('.', '_')}")
        assert "unknown ca" in running.openssl(
            "guarded.test", f"-tls{tls.replace('.', '_')}", *as_openssl(running.mallory)
        )

    def test_sessions(self, running: House, tls: str, tmp_path: Path) -> None:
        """None is resumed: not an open site's at a guarded one, and not the guarded one's own."""
        version = f"-tls{tls.replace('.', '_')}"
        for name, options in (("open.test", ()), ("guarded.test", as_openssl(running.alice))):
            session = tmp_path / f"{name}.session"
            running.openssl(name, version, "-sess_out", str(session), *options)
            if not session.exists():
                continue  # TLS 1.2 without a ticket and without an id: there is nothing to resume
            again = running.openssl(name, version, "-sess_in", str(session), *options)
            assert "Reused" not in again
            stolen = running.openssl("guarded.test", version, "-sess_in", str(session))
            assert "this is guarded" not in stolen
            assert "Reused" not in stolen

    def test_renegotiation(self, running: House, tls: str) -> None:
        """There is none, so that nobody is asked later who was not asked at first."""
        request = "R\nGET / HTTP/1.1\r\nHost: guarded.test\r\nConnection: close\r\n\r\n"
        command = [
            need("openssl"),
            "s_client",
            "-connect",
            f"127.0.0.1:{running.server.port}",
            "-servername",
            "open.test",
        ]
        done = subprocess.run(
            [*command, f"-tls{tls.replace('.', '_')}"],
            input=request.encode(),
            capture_output=True,
            timeout=30,
            check=False,
        )
        assert b"this is guarded" not in done.stdout

    def test_a_tunnel(self, running: House, tls: str) -> None:
        """Its bytes are for those with a certificate; nobody comes to it by another site's handshake."""
        version = f"-tls{tls.replace('.', '_')}"
        request = "GET /bytes/3 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        opened = running.openssl("tunnel.test", version, *as_openssl(running.alice), request=request)
        assert "HTTP/1.1 200" in opened
        assert "HTTP/1.1 200" not in running.openssl("tunnel.test", version, request=request)
        request = request.replace("Host: x", "Host: tunnel.test")
        assert "HTTP/1.1 421" in running.openssl("open.test", version, request=request)


def test_the_access_log_has_the_subject(running: House) -> None:
    """In JSON."""
    running.server.curl("/logged", *showing(running.alice), name="guarded.test")
    running.server.curl("/logged", name="open.test")
    log = running.server.folder / "access.log"

    def said() -> list[str]:
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        return sorted(line["client_subject"] for line in lines if line["target"] == "/logged")

    wait_until(lambda: said() == ["", "CN=alice"], "two lines")


class Kept:
    """A connection over HTTP/1.1 that is kept."""

    def __init__(self, house: House, name: str, files: SiteFiles | None) -> None:
        context = ssl.create_default_context(cafile=str(house.server.folder / "root.pem"))
        if files is not None:
            context.load_cert_chain(files.certificate, files.private_key)
        plain = socket.create_connection(("127.0.0.1", house.server.port), 20)
        self._socket = context.wrap_socket(plain, server_hostname=name)
        self._name = name

    def status(self) -> int:
        """Ask, and return the status; 0 where there was no answer."""
        try:
            self._socket.sendall(f"GET / HTTP/1.1\r\nHost: {self._name}\r\n\r\n".encode())
            came = b""
            while b"\r\n\r\n" not in came and (more := self._socket.recv(65536)):
                came += more
            length = int(came.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            while len(came.partition(b"\r\n\r\n")[2]) < length:
                came += self._socket.recv(65536)
        except (OSError, ValueError):
            return 0
        return int(came.split()[1])

    def close(self) -> None:
        """End it."""
        self._socket.close()


@pytest.mark.parametrize("workers", [1, 2])
def test_reload(tmp_path: Path, workers: int) -> None:
    """Another CA, and another demand, count from then on, also for connections that are open."""
    with house(tmp_path, "open", **({"workers": workers} if workers > 1 else {})) as running:
        config = tmp_path / "staplesrv.toml"
        program = running.server.program

        def status(name: str, files: SiteFiles | None) -> int:
            try:
                kept = Kept(running, name, files)
            except OSError:
                return 0
            try:
                return kept.status()
            finally:
                kept.close()

        alice, visitor = Kept(running, "guarded.test", running.alice), Kept(running, "open.test", None)
        assert (alice.status(), visitor.status()) == (200, 200)
        # The file has another CA in it, by the look at the files alone.
        (tmp_path / "clients.pem").write_bytes((tmp_path / "others.pem").read_bytes())
        wait_until(lambda: status("guarded.test", running.mallory) == 200, "the other CA")
        # One worker may be a moment behind the other.
        wait_until(lambda: alice.status() == 421, "that the old CA does not count any more")
        wait_until(lambda: status("guarded.test", running.alice) == 0, "the same for new connections")
        assert visitor.status() == 200
        # The open site asks from now on.
        asks = config.read_text().replace('names = ["open.test"]', 'names = ["open.test"]\nclient_ca = "clients.pem"')
        config.write_text(asks)
        program.signal(signal.SIGHUP)
        wait_until(lambda: status("open.test", None) == 0, "that it asks")
        wait_until(lambda: visitor.status() == 421, "that it asks those that are there, too")
        wait_until(lambda: status("open.test", running.mallory) == 200, "that it lets in who has one")
        # What can't be used leaves things as they are, and says so once.
        (tmp_path / "clients.pem").write_bytes(running.alice.certificate.read_bytes())
        program.wait_for("not a CA's")
        assert status("guarded.test", running.mallory) == 200
        assert status("guarded.test", running.alice) == 0


def test_a_mistake_is_one_line(tmp_path: Path) -> None:
    """A key's file for the CA's, as `staplesrv config` says it."""
    pki = Pki("ca")
    files = pki.issue(tmp_path, "a.test")
    (tmp_path / "www").mkdir()
    key = tmp_path / "clients.pem"
    key.write_bytes(files.private_key.read_bytes())
    config = write_config(tmp_path, free_port(), site_table(files, static=tmp_path / "www", client_ca=key))
    done = subprocess.run([str(BIN / "staplesrv"), "config", str(config)], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "client_ca: " in done.stderr
    assert "is a private key, not a certificate" in done.stderr
    assert done.stderr.count("\n") == 1
    pki.close()
