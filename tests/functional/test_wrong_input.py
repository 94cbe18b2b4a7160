"""What is wrong is said in one line: where, what, what to do. The exit status is 1 and nothing listens."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from functional.harness import SiteFiles, free_port, is_listening, turned_round, twistd, write_config

from staplesrv.testing import CertificateAuthority


@pytest.fixture
def files(tmp_path: Path) -> SiteFiles:
    """A sound chain and key."""
    return SiteFiles(*CertificateAuthority().intermediate().issue("wrong.test").write(tmp_path))


def refusal(folder: Path, port: int, config: Path) -> str:
    """Start with a configuration that can't be used; the one line that is said about it."""
    with twistd(folder, "--config", str(config)) as server:
        status = server.end()
        lines = server.output().strip().splitlines()
    assert status == 1
    assert len(lines) == 1, lines
    assert "Traceback" not in lines[0]
    assert not is_listening(port)
    return lines[0]


def test_a_missing_certificate(files: SiteFiles, port: int, tmp_path: Path) -> None:
    """A file that is not there is named, with the key."""
    files.certificate.unlink()
    line = refusal(tmp_path, port, write_config(tmp_path, port, files.table()))
    assert "fullchain.pem" in line
    assert "certificate" in line
    assert ";" in line


def test_a_directory_in_a_files_place(files: SiteFiles, port: int, tmp_path: Path) -> None:
    """A directory where a key should be is called one."""
    files.private_key.unlink()
    files.private_key.mkdir()
    line = refusal(tmp_path, port, write_config(tmp_path, port, files.table()))
    assert "privkey.pem" in line
    assert "directory" in line


def test_a_key_that_does_not_fit(files: SiteFiles, port: int, tmp_path: Path) -> None:
    """Both the key and the certificate that it does not fit are named."""
    stranger = CertificateAuthority().issue("stranger.test").write(tmp_path, prefix="stranger-")
    wrong = SiteFiles(files.certificate, stranger.private_key)
    line = refusal(tmp_path, port, write_config(tmp_path, port, wrong.table()))
    assert "stranger-privkey.pem" in line
    assert "does not fit" in line


def test_an_encrypted_key(files: SiteFiles, port: int, tmp_path: Path) -> None:
    """A key that asks for a passphrase can't be used, and nobody is asked for one."""
    leaf = CertificateAuthority().issue("locked.test").write(tmp_path, prefix="locked-", passphrase=b"secret")
    line = refusal(tmp_path, port, write_config(tmp_path, port, SiteFiles(*leaf).table()))
    assert "locked-privkey.pem" in line
    assert "encrypted" in line


def test_a_chain_out_of_order(files: SiteFiles, port: int, tmp_path: Path) -> None:
    """A chain with the issuer before the leaf is told apart from a missing file."""
    files.certificate.write_text(turned_round(files.certificate.read_text()))
    line = refusal(tmp_path, port, write_config(tmp_path, port, files.table()))
    assert "fullchain.pem" in line
    assert "order" in line or "leaf" in line


@pytest.mark.parametrize(
    ("written", "near"), [("certificat", "certificate"), ("privatekey", "private_key"), ("staplefile", "staple_file")]
)
def test_an_unknown_key(files: SiteFiles, port: int, tmp_path: Path, written: str, near: str) -> None:
    """A key that nobody knows is named, and the near one suggested."""
    config = write_config(tmp_path, port, files.table(**{written: "x"}))
    line = refusal(tmp_path, port, config)
    assert "staplesrv.toml" in line
    assert written in line
    assert near in line.replace(written, "", 1)


def test_a_wrong_type(files: SiteFiles, port: int, tmp_path: Path) -> None:
    """A number where a text should be is said to be one."""
    config = write_config(tmp_path, port, files.table(), settings='start_wait = "soon"')
    line = refusal(tmp_path, port, config)
    assert "staplesrv.toml" in line
    assert "start_wait" in line


def test_a_port_in_use(files: SiteFiles, tmp_path: Path) -> None:
    """Somebody else's port is named, and what to do."""
    port = free_port()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        config = write_config(tmp_path, port, files.table())
        with twistd(tmp_path, "--config", str(config)) as server:
            assert server.end() == 1
            lines = server.output().strip().splitlines()
    assert len(lines) == 1, lines
    assert str(port) in lines[0]
    assert "in use" in lines[0]


def test_two_sites_with_one_name(files: SiteFiles, port: int, tmp_path: Path) -> None:
    """A name that two sites claim is given."""
    table = files.table("wrong.test")
    line = refusal(tmp_path, port, write_config(tmp_path, port, table, table))
    assert "wrong.test" in line


def test_no_configuration_at_all(port: int, tmp_path: Path) -> None:
    """Without any option the one line says what to give."""
    with twistd(tmp_path) as server:
        assert server.end() == 1
        lines = server.output().strip().splitlines()
    assert len(lines) == 1, lines
    assert "--config" in lines[0]
