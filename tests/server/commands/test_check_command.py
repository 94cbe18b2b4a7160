"""`staplesrv check` against real servers on loopback."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from OpenSSL import SSL
from ops.tls_server import close_early, hang, say, serve, tls

from staplesrv.server.cli import main
from staplesrv.testing import CertificateAuthority, Leaf

CA = CertificateAuthority()
URLS = ["http://ocsp.invalid/"]
LEAF = CA.issue("example.org", "localhost", "127.0.0.1", responder_urls=URLS)
GOOD = CA.respond(LEAF, next_update=timedelta(days=4))
OLD = CA.respond(LEAF, this_update=CA.now() - timedelta(days=4), next_update=timedelta(days=5))
TLS12 = (SSL.TLS1_2_VERSION, SSL.TLS1_2_VERSION)


@pytest.fixture
def ca_file(tmp_path: Path) -> str:
    """The CA of every leaf here."""
    path = tmp_path / "ca.pem"
    path.write_bytes(CA.pem)
    return str(path)


def check(port: int, *options: str, host: str = "127.0.0.1") -> Result:
    """Run the command against a port on loopback."""
    return CliRunner().invoke(main, ["check", f"{host}:{port}", *options], prog_name="staplesrv")


def first(result: Result) -> str:
    """The first line on stdout."""
    return result.stdout.splitlines()[0]


def test_a_good_staple_is_well_and_told_at_a_glance(ca_file: str) -> None:
    """The verdict in the first line, as monitoring wants it; then aligned lines, one block for both versions."""
    with serve(tls(LEAF, GOOD)) as port:
        result = check(port, "--ca-file", ca_file)
    assert result.exit_code == 0
    assert first(result).startswith(f"OK - 127.0.0.1:{port}: good staple, 3 d 23 h left of 4 d")
    labels = [line.split()[0] for line in result.stdout.splitlines()[2:]]
    assert labels == [*("TLSv1.3", "TLSv1.2", "certificate", "issuer", "staple", "signer", "thisUpdate", "nextUpdate")]
    starts = {len(line) - len(line[15:].lstrip()) for line in result.stdout.splitlines()[2:]}
    assert starts == {16}


def test_none_where_one_was_to_be_had_is_a_warning(ca_file: str) -> None:
    """The line names whom the server should have asked."""
    with serve(tls(LEAF)) as port:
        result = check(port, "--ca-file", ca_file)
    assert result.exit_code == 1
    assert first(result) == f"WARNING - 127.0.0.1:{port}: no staple, though one is to be had from {URLS[0]}"


@pytest.mark.parametrize(
    ("leaf", "staple", "status", "says"),
    [
        (LEAF, OLD, 1, "the staple is old"),
        (LEAF, CA.respond(LEAF, "revoked"), 2, "revoked since"),
        (LEAF, CA.respond(LEAF, "unknown"), 2, "does not know"),
        (LEAF, CA.respond(LEAF, corrupt_signature=True), 2, "bad-signature"),
        (LEAF, CA.respond(LEAF, this_update=CA.now() - timedelta(9), next_update=timedelta(8)), 2, "expired"),
        (CA.issue("localhost", must_staple=True), b"", 2, "must-staple"),
        (CA.issue("localhost"), b"", 0, "none to be had"),
    ],
    ids=["old", "revoked", "unknown", "bad", "expired", "must-staple", "none"],
)
def test_the_exit_status_tells_what_is_stapled(leaf: Leaf, staple: bytes, status: int, says: str) -> None:
    """0 well, 1 warning, 2 critical; whoever the CA is."""
    with serve(tls(leaf, staple)) as port:
        result = check(port)
    assert result.exit_code == status
    assert says in first(result)


def test_an_untrusted_chain_is_a_note_without_a_ca_file() -> None:
    """The system's store does not know the CA; it is the staple that is looked at."""
    with serve(tls(LEAF, GOOD)) as port:
        result = check(port)
    assert result.exit_code == 0
    assert "  note          the chain does not verify: self signed cert" in result.stdout


def test_with_a_ca_file_a_foreign_chain_is_critical(tmp_path: Path) -> None:
    """Whoever names a CA insists on it."""
    other = tmp_path / "other.pem"
    other.write_bytes(CertificateAuthority("other").pem)
    with serve(tls(LEAF, GOOD)) as port:
        result = check(port, "--ca-file", str(other))
    assert result.exit_code == 2
    assert "CRITICAL" in first(result)
    assert "the chain does not verify" in first(result)


def test_with_a_ca_file_a_name_that_does_not_match_is_critical(ca_file: str) -> None:
    """--servername asks for another name, and the certificate should be for that one."""
    with serve(tls(LEAF, GOOD)) as port:
        assert check(port, "--ca-file", ca_file, "--servername", "example.org").exit_code == 0
        assert check(port, "--ca-file", ca_file, host="localhost").exit_code == 0
        result = check(port, "--ca-file", ca_file, "--servername", "bücher.example")
    assert result.exit_code == 2
    assert "not for xn--bcher-kva.example" in first(result)


def test_the_server_name_is_what_the_server_is_asked_for() -> None:
    """One address may serve many names."""
    asked: list[bytes | None] = []
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.use_certificate(LEAF.certificate)
    context.use_privatekey(LEAF.key)
    context.set_tlsext_servername_callback(lambda connection: asked.append(connection.get_servername()))

    def handle(connection: socket.socket) -> None:
        server = SSL.Connection(context, connection)
        server.set_accept_state()
        with contextlib.suppress(SSL.Error):
            server.do_handshake()

    with serve(handle) as port:
        check(port, "--servername", "Bücher.example")
        check(port)
    assert asked == [b"xn--bcher-kva.example"] * 2 + [None] * 2


def test_an_issuer_that_is_not_sent_is_taken_from_the_ca_file(ca_file: str) -> None:
    """Without it the staple can't be judged, and nothing is fetched."""
    with serve(tls(LEAF, GOOD, chain=False)) as port:
        assert check(port, "--ca-file", ca_file).exit_code == 0
        result = check(port)
    assert result.exit_code == 2
    assert "was not sent" in first(result)
    assert "  issuer        not sent, not among the trusted" in result.stdout


def test_versions_that_differ_are_told_apart() -> None:
    """The worst counts; each has a block of its own."""
    with serve(tls(LEAF, {"TLSv1.3": GOOD})) as port:
        result = check(port)
    assert result.exit_code == 1
    assert first(result).endswith("(TLSv1.2)")
    assert [line.split()[0] for line in result.stdout.splitlines() if "TLSv1." in line[:12]] == ["TLSv1.3", "TLSv1.2"]
    assert result.stdout.count("\n\n") == 2


def test_a_version_that_is_not_spoken_is_information() -> None:
    """Many servers have one of the two."""
    with serve(tls(LEAF, GOOD, versions=TLS12)) as port:
        result = check(port)
    assert result.exit_code == 0
    assert "TLSv1.3       not spoken: the server refused with the alert protocol_version" in result.stdout


def test_no_version_in_common_is_not_reached() -> None:
    """A server of the year 2005."""
    with serve(say(b"\x15\x03\x01\x00\x02\x02\x46")) as port:
        result = check(port)
    assert result.exit_code == 3
    assert first(result).startswith("UNKNOWN - ")


@pytest.mark.parametrize("handler", [hang, close_early, say(b"220 ready\r\n")], ids=["hangs", "closes", "garbage"])
def test_a_server_that_does_not_shake_hands_is_not_reached(handler: Any) -> None:
    """Within the time-out, in one line per version, without a traceback."""
    with serve(handler) as port:
        result = check(port, "--timeout", "0.3")
    assert result.exit_code == 3
    assert "no handshake" in first(result)
    assert result.stderr == ""


def test_a_dead_port_is_not_reached() -> None:
    """Nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    result = check(port)
    assert result.exit_code == 3
    assert first(result) == f"UNKNOWN - 127.0.0.1:{port}: no connection to 127.0.0.1: connection refused"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "Missing argument"),
        (["https://example.org/"], "leave the scheme"),
        (["::1"], "brackets"),
        (["a", "b"], "unexpected extra argument"),
        (["a", "--ca-file", "none.pem"], "none.pem: can't be read"),
        (["a", "--ca-file", "/dev/null"], "/dev/null: it holds no certificate"),
        (["a", "--timeout", "0"], "--timeout"),
        (["a", "--timeout", "nan"], "--timeout"),
        (["a", "--servername", "a b"], "--servername"),
        (["a", "--servername", ""], "--servername"),
    ],
)
def test_wrong_use_is_one_line_and_status_3(arguments: list[str], says: str) -> None:
    """Before anything is connected to."""
    result = CliRunner().invoke(main, ["check", *arguments])
    assert (result.exit_code, result.stdout) == (3, "")
    assert says in result.stderr
    assert len(result.stderr.splitlines()) == 1


def keys(found: Any, at: str = "") -> set[str]:
    """The paths of all keys in a JSON value."""
    if isinstance(found, list):
        return set().union(*(keys(each, at) for each in found))
    if not isinstance(found, dict):
        return set()
    return set().union(*({f"{at}{key}"} | keys(value, f"{at}{key}.") for key, value in found.items()))


def test_the_json_object_says_all_of_it(ca_file: str) -> None:
    """As docs/checking.md lists it."""
    with serve(tls(LEAF, GOOD)) as port:
        found = json.loads(check(port, "--ca-file", ca_file, "--json", "--servername", "example.org").stdout)
    assert (found["host"], found["port"], found["server_name"]) == ("127.0.0.1", port, "example.org")
    assert (found["verdict"], found["exit_status"]) == ("ok", 0)
    newest = found["versions"][0]
    assert (newest["version"], newest["spoken"], newest["stapled"]) == ("TLSv1.3", True, True)
    assert newest["certificate"]["responder_urls"] == URLS
    assert newest["response"]["verdict"] == "good"
    assert newest["response"]["signer"] == newest["issuer"] == "CN=staplesrv test CA"
    assert newest["life_left"] == pytest.approx(1, abs=0.01)
    documented = (Path(__file__).parents[3] / "docs" / "checking.md").read_text()
    assert {key for key in keys(found) if f"`{key.rpartition('.')[2]}`" not in documented} == set()


def test_the_json_object_of_what_was_not_reached_has_the_same_outer_keys() -> None:
    """What is not known is null."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    result = check(port, "--json")
    found = json.loads(result.stdout)
    assert result.exit_code == found["exit_status"] == 3
    assert found["versions"][0]["certificate"] is None
    assert found["versions"][0]["response"] is None
    assert found["versions"][0]["life_left"] is None


def test_a_rejected_staple_is_told_in_json_too() -> None:
    """With the server's own reason."""
    with serve(tls(LEAF, CA.respond(LEAF, corrupt_signature=True))) as port:
        found = json.loads(check(port, "--json").stdout)
    assert found["versions"][0]["response"]["reason"] == "bad-signature"


def test_the_rules_may_be_loosened_as_in_the_server() -> None:
    """A private CA may not know better."""
    with serve(tls(LEAF, CA.respond(LEAF, signature="sha1"))) as port:
        assert check(port).exit_code == 2
        assert check(port, "--allow-sha1").exit_code == 0


def test_what_a_server_says_cannot_steer_the_terminal_or_the_monitoring() -> None:
    """Names are shown as escapes; a bar would begin performance data."""
    leaf = CA.issue("localhost", common_name="\x1b[2J|", responder_urls=["http://a/|b"])
    with serve(tls(leaf)) as port:
        result = check(port)
    assert "\x1b" not in result.stdout
    assert "|" not in first(result)


@contextlib.contextmanager
def openssl_server(directory: Path, *options: str) -> Iterator[int]:
    """`openssl s_server`, which knows nothing of us, on a port of its own choice."""
    program = shutil.which("openssl")
    if program is None:
        if os.environ.get("STAPLESRV_REQUIRE_ALL") == "1":
            pytest.fail("openssl is not installed")
        pytest.skip("openssl is not installed")
    files = LEAF.write(directory)
    shown = ["-cert", str(files.certificate), "-cert_chain", str(files.certificate), "-key", str(files.private_key)]
    command = [program, "s_server", "-accept", "127.0.0.1:0", *shown, *options]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as running:
        try:
            assert running.stdout is not None
            line = next(line for line in running.stdout if line.startswith(b"ACCEPT"))
            yield int(line.rsplit(b":", 1)[1])
        finally:
            running.kill()


def test_openssls_own_server_is_looked_at_too(tmp_path: Path, ca_file: str) -> None:
    """It sends what is in the file without a look at it."""
    staple = tmp_path / "staple.der"
    staple.write_bytes(GOOD)
    with openssl_server(tmp_path, "-status_file", str(staple)) as port:
        assert check(port, "--ca-file", ca_file).exit_code == 0
        staple.write_bytes(CA.respond(LEAF, "revoked"))
        result = check(port, "--ca-file", ca_file)
    assert result.exit_code == 2
    assert "revoked" in first(result)


def test_openssls_own_server_without_a_staple_is_a_warning(tmp_path: Path, ca_file: str) -> None:
    """And with one version alone."""
    with openssl_server(tmp_path, "-tls1_3") as port:
        result = check(port, "--ca-file", ca_file)
    assert result.exit_code == 1
    assert "TLSv1.2       not spoken" in result.stdout


def test_judged_times_are_those_of_the_wall_clock(ca_file: str) -> None:
    """As everything in the server."""
    before = datetime.now(UTC).replace(microsecond=0)
    with serve(tls(LEAF, GOOD)) as port:
        found = json.loads(check(port, "--ca-file", ca_file, "--json").stdout)
    assert before <= datetime.fromisoformat(found["checked_at"]) <= datetime.now(UTC)
