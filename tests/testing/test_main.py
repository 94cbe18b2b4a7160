"""The responder for a terminal, run as a person runs it."""

from __future__ import annotations

import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID

from staplesrv.ocsp.certid import Target
from staplesrv.ocsp.request import encode_request

DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Whatever proxy the environment names, the responder is asked without."""


@dataclass
class Running:
    """The program, and what it wrote."""

    process: subprocess.Popen[str]
    url: str
    directory: Path

    def fetch(self, path: str, data: bytes | None = None) -> bytes:
        """Ask something of it by HTTP."""
        with DIRECT.open(self.url + path, data, timeout=10) as answer:
            return bytes(answer.read())

    def status(self) -> ocsp.OCSPCertStatus:
        """Ask about the leaf that it wrote."""
        leaf, issuer = x509.load_pem_x509_certificates((self.directory / "fullchain.pem").read_bytes())
        request_der = encode_request(Target.for_leaf(leaf, issuer).cert_id("sha1"))
        return ocsp.load_der_ocsp_response(self.fetch("", request_der)).certificate_status


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    """The program, listening."""
    command = [sys.executable, "-m", "staplesrv.testing", "--directory", str(tmp_path), "--must-staple"]
    process = subprocess.Popen([*command, "--behaviour", "unknown", "good"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    yield Running(process, process.stdout.readline().strip(), tmp_path)
    process.send_signal(signal.SIGTERM)
    process.wait(10)
    process.stdout.close()


def test_it_writes_a_leaf_that_knows_its_responder(running: Running) -> None:
    """The leaf is for localhost, must be stapled, and names the URL that was printed."""
    leaf, issuer = x509.load_pem_x509_certificates((running.directory / "fullchain.pem").read_bytes())
    assert (running.directory / "ca.pem").read_bytes() in (running.directory / "fullchain.pem").read_bytes()
    leaf.verify_directly_issued_by(issuer)
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    assert x509.TLSFeatureType.status_request in leaf.extensions.get_extension_for_class(x509.TLSFeature).value
    access = leaf.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    urls = {entry.access_method: entry.access_location.value for entry in access}
    assert urls[AuthorityInformationAccessOID.OCSP] == running.url
    assert running.fetch("issuer.pem") == (running.directory / "ca.pem").read_bytes()


def test_it_is_switched_on_its_own_port(running: Running) -> None:
    """The behaviours of the command line come first; a POST to /behaviour sets others, and a GET tells."""
    assert running.fetch("behaviour") == b"unknown\n"
    assert [running.status(), running.status()] == [ocsp.OCSPCertStatus.UNKNOWN, ocsp.OCSPCertStatus.GOOD]
    assert running.fetch("behaviour", b"revoked, good") == b"revoked\n"
    assert [running.status(), running.status()] == [ocsp.OCSPCertStatus.REVOKED, ocsp.OCSPCertStatus.GOOD]
    assert running.fetch("behaviour") == b"good\n"


@pytest.mark.parametrize("body", [b"goood", b"", b"\xff"])
def test_a_switch_that_is_none_changes_nothing(running: Running, body: bytes) -> None:
    """An unknown behaviour is answered with 400 and a line, and what was set stays."""
    with pytest.raises(urllib.error.HTTPError) as caught:
        running.fetch("behaviour", body)
    assert caught.value.code == 400
    assert caught.value.read().count(b"\n") == 1
    caught.value.close()
    assert running.fetch("behaviour") == b"unknown\n"


@pytest.mark.parametrize(
    "options", [[], ["--directory", ".", "--behaviour", "goood"], ["--directory", ".", "--port", "x"]]
)
def test_a_wrong_option_is_told_in_a_line(options: list[str]) -> None:
    """A wrong option ends the program with status 2 and what is wrong, without a traceback."""
    ran = subprocess.run(
        [sys.executable, "-m", "staplesrv.testing", *options], check=False, capture_output=True, text=True, timeout=30
    )
    assert ran.returncode == 2
    assert "error: " in ran.stderr
    assert "Traceback" not in ran.stderr
