"""`staplesrv verify` over real files."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from staplesrv.server.cli import main
from staplesrv.testing import CertificateAuthority, make_error

CA = CertificateAuthority()
OTHER = CertificateAuthority("other CA")
LEAF = CA.issue("example.org")
THEN = CA.now() - timedelta(days=3)
GOOD = CA.respond(LEAF, this_update=THEN, next_update=timedelta(days=7))
SERIAL = f"{LEAF.certificate.serial_number:x}"

KEYS = [
    *("verdict", "reason", "detail", "serial_number", "cert_id_hash", "signer", "produced_at", "this_update"),
    *("next_update", "expires", "cut_off", "revoked_at", "revocation_reason", "judged_at"),
]


@dataclass
class Files:
    """A directory with a leaf, an issuer and a response, and the command over them."""

    directory: Path

    def __post_init__(self) -> None:
        self.write("leaf.pem", LEAF.certificate.public_bytes(Encoding.PEM))
        self.write("issuer.pem", CA.pem)
        self.write("response.der", GOOD)

    def write(self, name: str, content: bytes) -> str:
        """Write a file; returns its path."""
        path = self.directory / name
        path.write_bytes(content)
        return str(path)

    def path(self, name: str) -> str:
        """The path of a file."""
        return str(self.directory / name)

    def verify(self, *options: str, response: str | None = None, stdin: bytes | None = None) -> Result:
        """Run the command with the leaf and the issuer; `options` come later, so that they win."""
        about = [] if "--serial" in options else ["--certificate", self.path("leaf.pem")]
        arguments = ["verify", *about, "--issuer", self.path("issuer.pem"), *options]
        return CliRunner().invoke(
            main, [*arguments, response or self.path("response.der")], input=stdin, prog_name="staplesrv"
        )

    def judge(self, response: bytes, *options: str) -> Result:
        """Run the command over the bytes of a response."""
        return self.verify(*options, response=self.write("response", response))


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """The files of a good response."""
    return Files(tmp_path)


def first(result: Result) -> str:
    """The first line on stdout."""
    return result.stdout.splitlines()[0] if result.stdout else ""


def test_a_good_response_is_good(files: Files) -> None:
    """The first line is the verdict; who signed and from when to when stands below."""
    result = files.verify()
    assert (first(result), result.exit_code, result.stderr) == ("good", 0, "")
    below = {line.split()[0]: line for line in result.stdout.splitlines()[1:]}
    assert list(below) == [
        *("serial", "signer", "produced", "thisUpdate", "nextUpdate", "expires", "cut-off", "judged")
    ]
    assert below["signer"].endswith("CN=staplesrv test CA")
    assert "3 d ago" in below["thisUpdate"]
    assert SERIAL in below["serial"]


def test_a_revoked_certificate_is_status_1(files: Files) -> None:
    """With the date and the reason."""
    result = files.judge(CA.respond(LEAF, "revoked", revocation_reason="superseded", signer=CA.delegate("Signer 7")))
    assert (first(result), result.exit_code) == ("revoked", 1)
    assert "superseded" in result.stdout
    assert "CN=Signer 7" in result.stdout


def test_an_unknown_certificate_is_status_1(files: Files) -> None:
    """As the issue has it."""
    result = files.judge(CA.respond(LEAF, "unknown"))
    assert (first(result), result.exit_code) == ("unknown", 1)


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (b"", "malformed"),
        (b"no response", "malformed"),
        (GOOD + b"\0", "malformed"),
        (GOOD + bytes(65536), "too-large"),
        (make_error("try-later"), "try-later"),
        (make_error("unauthorized"), "unauthorized"),
        (CA.respond(CA.issue("a.example")), "no-matching-response"),
        (CA.respond(LEAF, signer=CA.delegate(eku=False)), "signer-not-authorized"),
        (CA.respond(LEAF, corrupt_signature=True), "bad-signature"),
        (CA.respond(LEAF, signature="sha1"), "weak-signature"),
        (CA.respond(LEAF, this_update=CA.now() + timedelta(hours=1)), "future"),
        (CA.respond(LEAF, next_update=None), "no-next-update"),
        (CA.respond(LEAF, this_update=THEN, next_update=timedelta(days=2)), "stale"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_response_that_fails_a_check_is_rejected_with_the_servers_reason(
    files: Files, response: bytes, reason: str
) -> None:
    """The reason ends the first line, the detail follows on the next."""
    result = files.judge(response)
    assert (first(result), result.exit_code) == (f"rejected: {reason}", 2)
    assert result.stdout.splitlines()[1].startswith("  because")


@pytest.mark.parametrize("as_json", [False, True])
def test_a_leaf_of_another_issuer_is_rejected(files: Files, *, as_json: bool) -> None:
    """Before the response is looked at."""
    other = files.write("other.pem", OTHER.pem)
    result = files.verify("--issuer", other, *(["--json"] if as_json else []))
    assert result.exit_code == 2
    if as_json:
        assert json.loads(result.stdout)["reason"] == "not-issued-by"
    else:
        assert first(result) == "rejected: not-issued-by"
        assert "CN=example.org was not issued by CN=other CA" in result.stdout


@pytest.mark.parametrize(
    "serial",
    [SERIAL, SERIAL.upper(), f"0x{SERIAL}", f"000{SERIAL}", ":".join(textual for textual in [SERIAL[:2], SERIAL[2:]])],
    ids=["lower", "upper", "0x", "zeros", "colons"],
)
def test_a_serial_number_stands_in_for_the_leaf(files: Files, serial: str) -> None:
    """However it is written."""
    assert files.verify("--serial", serial).exit_code == 0


def test_another_serial_number_is_not_answered(files: Files) -> None:
    """The response is about one certificate."""
    assert first(files.verify("--serial", "1")) == "rejected: no-matching-response"


@pytest.mark.parametrize(
    ("days", "verdict"),
    [(-1, "rejected: future"), (0, "good"), (6.9, "good"), (7, "rejected: stale"), (900, "rejected: stale")],
)
def test_it_judges_as_of_any_time(files: Files, days: float, verdict: str) -> None:
    """--at takes the place of now."""
    at = THEN + timedelta(days=days)
    assert first(files.verify("--at", at.isoformat())) == verdict
    assert first(files.verify("--at", at.replace(tzinfo=None).isoformat(" "))) == verdict


def test_a_date_alone_is_its_first_moment(files: Files) -> None:
    """In UTC."""
    tomorrow = THEN + timedelta(days=1)
    result = files.verify("--at", f"{tomorrow:%Y-%m-%d}", "--json")
    assert json.loads(result.stdout)["judged_at"] == f"{tomorrow:%Y-%m-%d}T00:00:00Z"


def test_a_leaf_that_has_ended_ends_its_response(files: Files) -> None:
    """With --serial nobody knows when it ends."""
    short = CA.issue("short.example", not_before=THEN, not_after=THEN + timedelta(days=2))
    files.write("leaf.pem", short.certificate.public_bytes(Encoding.PEM))
    files.write("response.der", CA.respond(short, this_update=THEN))
    assert first(files.verify()) == "rejected: stale"
    assert first(files.verify("--serial", f"{short.certificate.serial_number:x}")) == "good"


def test_the_settings_of_the_server_are_options(files: Files) -> None:
    """Both loosen one rule and no other."""
    weak = CA.respond(LEAF, signature="sha1")
    assert files.judge(weak, "--allow-sha1").exit_code == 0
    endless = CA.respond(LEAF, this_update=THEN, next_update=None)
    assert files.judge(endless, "--missing-next-update", str(4 * 86400)).exit_code == 0
    assert first(files.judge(endless, "--missing-next-update", "86400")) == "rejected: stale"
    assert "nextUpdate   none" in files.judge(endless, "--missing-next-update", str(4 * 86400)).stdout


@pytest.mark.parametrize(
    "wrap",
    [
        lambda der, _label: der,
        lambda der, label: b"-----BEGIN %s-----\n%s-----END %s-----\n" % (label, base64.encodebytes(der), label),
        lambda der, _label: base64.b64encode(der),
    ],
    ids=["DER", "PEM", "base64"],
)
def test_every_file_may_be_der_or_pem(files: Files, wrap: Callable[[bytes, bytes], bytes]) -> None:
    """Told apart by what is in it."""
    files.write("leaf.pem", wrap(LEAF.certificate.public_bytes(Encoding.DER), b"CERTIFICATE"))
    files.write("issuer.pem", wrap(CA.certificate.public_bytes(Encoding.DER), b"CERTIFICATE"))
    assert files.judge(wrap(GOOD, b"OCSP RESPONSE")).exit_code == 0
    assert files.judge(wrap(GOOD, b"WHATEVER")).exit_code == 0


def test_one_chain_file_serves_as_leaf_and_issuer(files: Files) -> None:
    """The first is the leaf, the first that issued it the issuer."""
    chain = files.write("fullchain.pem", LEAF.certificate.public_bytes(Encoding.PEM) + OTHER.pem + CA.pem)
    assert files.verify("--certificate", chain, "--issuer", chain).exit_code == 0


def test_the_response_may_come_from_the_standard_input(files: Files) -> None:
    """As DER or PEM."""
    assert files.verify(response="-", stdin=GOOD).exit_code == 0
    assert files.verify(response="-", stdin=base64.b64encode(GOOD)).exit_code == 0
    assert files.verify(response="-", stdin=b"").stdout.startswith("rejected: malformed")


@pytest.mark.parametrize("response", [GOOD, CA.respond(LEAF, "revoked"), CA.respond(LEAF, "unknown"), b"x"])
def test_the_json_object_has_the_same_keys_always(files: Files, response: bytes) -> None:
    """What is not known is null."""
    result = files.judge(response, "--json")
    found = json.loads(result.stdout)
    assert list(found) == KEYS
    assert result.exit_code == {"good": 0, "revoked": 1, "unknown": 1, "rejected": 2}[found["verdict"]]
    assert (found["this_update"] is None) == (found["verdict"] == "rejected")
    assert (found["revoked_at"] is not None) == (found["verdict"] == "revoked")
    assert found["judged_at"].endswith("Z")


def test_names_cannot_steer_the_terminal(files: Files) -> None:
    """A signer may be called anything."""
    signer = CA.delegate("\x1b[2J\nCN=good")
    result = files.judge(CA.respond(LEAF, signer=signer))
    assert result.exit_code == 0
    assert "\x1b" not in result.stdout
    assert not any(line.startswith("CN=good") for line in result.stdout.splitlines())


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--certificate", "none.pem"], "none.pem: can't be read: No such file or directory; "),
        (["--issuer", "."], ".: can't be read: Is a directory; "),
        (["--issuer", "/dev/zero"], "/dev/zero: is over 4 MiB; "),
        (["--issuer", "/dev/null"], "/dev/null: it holds no certificate; give it as DER or PEM"),
        (["--issuer", "bad\0name"], "can't be read: embedded null byte"),
        (["--at", "noon"], "Invalid value for '--at': 'noon' is no time like "),
        (["--serial", "xyz"], "Invalid value for '--serial': 'xyz' is no serial number"),
        (["--serial", "1", "--certificate", "x"], "give one of --certificate and --serial"),
        (["--missing-next-update", "0"], "Invalid value for '--missing-next-update'"),
        (["--missing-next-update", "9" * 40], "Invalid value for '--missing-next-update'"),
        (["--bogus"], "No such option"),
        (["one", "more"], "unexpected extra argument"),
    ],
)
def test_what_cannot_be_read_is_one_line_and_status_3(files: Files, options: list[str], says: str) -> None:
    """It names the file or the option."""
    result = files.verify(*options)
    assert (result.exit_code, result.stdout) == (3, "")
    assert says in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_leaf_issuer_and_response_are_all_needed(files: Files) -> None:
    """Each absence is named."""
    for arguments, says in [
        (["--issuer", files.path("issuer.pem"), files.path("response.der")], "--certificate and --serial"),
        (["--serial", "1", files.path("response.der")], "--issuer"),
        (["--serial", "1", "--issuer", files.path("issuer.pem")], "RESPONSE"),
        (["--serial", "1", "--issuer", files.path("issuer.pem"), files.path("none.der")], "none.der"),
    ]:
        result = CliRunner().invoke(main, ["verify", *arguments])
        assert result.exit_code == 3
        assert says in result.stderr


def test_broken_armour_around_a_response_cannot_be_read(files: Files) -> None:
    """There was a response, but nobody knows what it says."""
    result = files.judge(b"-----BEGIN OCSP RESPONSE-----\nMIIB\n")
    assert result.exit_code == 3
    assert "the last PEM block has no end" in result.stderr


def damaged(sound: bytes) -> st.SearchStrategy[bytes]:
    """A file with a few of its bytes replaced, cut short, or anything else."""
    changes = st.lists(st.tuples(st.integers(0, len(sound) - 1), st.integers(0, 255)), max_size=3)

    def change(at_and_byte: list[tuple[int, int]]) -> bytes:
        changed = bytearray(sound)
        for at, byte in at_and_byte:
            changed[at] = byte
        return bytes(changed)

    cut = st.integers(0, len(sound)).map(lambda length: sound[:length])
    return changes.map(change) | cut | st.binary()


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    leaf=damaged(LEAF.certificate.public_bytes(Encoding.DER)) | damaged(LEAF.fullchain_pem),
    issuer=damaged(CA.certificate.public_bytes(Encoding.DER)) | damaged(CA.pem),
    response=damaged(GOOD) | damaged(base64.encodebytes(GOOD)),
    which=st.sets(st.sampled_from(["leaf", "issuer", "response"]), min_size=1),
    by_serial=st.booleans(),
)
def test_whatever_is_in_the_files_there_is_a_verdict(
    files: Files, leaf: bytes, issuer: bytes, response: bytes, which: set[str], *, by_serial: bool
) -> None:
    """An exit status of 0 to 3, one line on stderr with 3 and none otherwise, never a traceback."""
    files.write("leaf.pem", leaf if "leaf" in which else LEAF.fullchain_pem)
    files.write("issuer.pem", issuer if "issuer" in which else CA.pem)
    files.write("response.der", response if "response" in which else GOOD)
    result = files.verify(*(["--serial", SERIAL] if by_serial else []))
    assert isinstance(result.exception, SystemExit | None), result.exception
    assert result.exit_code in {0, 1, 2, 3}
    assert len(result.stderr.splitlines()) == (result.exit_code == 3)
    assert first(result).split(":")[0] == {0: "good", 2: "rejected", 3: ""}.get(result.exit_code, first(result))
