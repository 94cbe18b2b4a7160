"""`staplesrv config`."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from staplesrv.server.cli import main
from staplesrv.server.privileges import Identity
from staplesrv.testing import CertificateAuthority, LeafFiles

SITE = '[[sites]]\ncertificate = "fullchain.pem"\nprivate_key = "privkey.pem"\n'


@pytest.fixture(autouse=True)
def here(tmp_path: Path, files: LeafFiles, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder with a certificate, its key and a folder to serve."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def check(text: str) -> Result:
    """Check a configuration."""
    Path("a.toml").write_text(text)
    return CliRunner().invoke(main, ["config", "a.toml"])


def test_a_sound_configuration_is_fine() -> None:
    """One line says what there is; nothing listens, and no responder is asked."""
    done = check(f'listen = ["tcp:1", "tcp:2"]\n{SITE}static = "www"')
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout == "a.toml: fine: tcp:1, tcp:2; sites: 1; certificates: 1\n"


def test_what_can_be_served_but_needs_a_look_is_a_warning() -> None:
    """The server would start with it."""
    done = check(f'listen = "tcp:1"\n{SITE}static = "www"\nnames = ["elsewhere.example"]')
    assert done.exit_code == 0
    fine, warning = done.stdout.splitlines()
    assert fine.startswith("a.toml: fine: ")
    assert warning.startswith("warn: ")
    assert "elsewhere.example" in warning


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (
            "files = { fallback = 'nope.html' }",
            "site 1: files: fallback: www/nope.html: does not exist; check the path",
        ),
        ("files = { not_found = 'nope.html' }", "site 1: files: not_found: www/nope.html: does not exist; check"),
        ("staple_file = 'nope.der'", "site 1: staple_file: nope.der: does not exist; check the path"),
    ],
)
def test_a_file_that_may_come_later_is_a_warning(here: Path, more: str, said: str) -> None:
    """It is looked for again and again, and may be a slip as well; once it is there nothing is said."""
    text = f'listen = "tcp:1"\n{SITE}static = "www"\n{more}'
    _, warning = check(text).stdout.replace(f"{here}/", "").splitlines()
    assert warning.startswith(f"warn: a.toml: {said}")
    for name in ("www/nope.html", "nope.der"):
        (here / name).write_text("x")
    assert len(check(text).stdout.splitlines()) == 1


@pytest.mark.parametrize(
    ("url", "warned"), [("https://A.example/b", True), ("https://a.example:8443", True), ("https://b.example", False)]
)
def test_a_redirect_in_a_circle_is_a_warning(url: str, warned: bool) -> None:  # noqa: FBT001 - a parameter of pytest's
    """It may lead to another server on another port; more likely it is a slip."""
    done = check(f'listen = "tcp:1"\n{SITE}names = ["a.example"]\nredirect = "{url}"')
    assert done.exit_code == 0
    said = "warn: a.toml: site 1 (a.example): redirect: leads to a name of the site itself; name another host"
    assert any(line.startswith(said) for line in done.stdout.splitlines()) == warned


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("listen = [", "a.toml: is not TOML: "),
        ("lisen = 1", "a.toml: lisen: unknown key; did you mean listen?"),
        (f'listen = "tcp:1"\n{SITE}static = "nope"', "a.toml: site 1: static: "),
        (f'listen = "tcp:1"\n{SITE}wsgi = "nope_nope:x"', "a.toml: site 1: wsgi: nope_nope can't be imported"),
        (
            f'listen = "tcp:1"\n{SITE}proxy = "https://a.example"\nbackends = {{ ca_file = "a.toml" }}',
            "a.toml: site 1: backends: ca_file: ",
        ),
        (f'listen = "tcp:1"\n{SITE}resource = "nope_nope:x"', "a.toml: site 1: resource: nope_nope can't be imported"),
        (f'user = "nobody-of-this-name"\n{SITE}static = "www"', "a.toml: user: nobody-of-this-name is no user of this"),
        (f'group = "no-such-group"\n{SITE}static = "www"', "a.toml: group: no-such-group is no group of this system"),
        (
            f'{SITE}static = "www"\nclient_ca = "fullchain.pem"',
            "a.toml: site 1: client_ca: /",
        ),
    ],
)
def test_a_mistake_is_one_line(text: str, said: str) -> None:
    """As the server itself would say it, with its exit status."""
    done = check(text)
    assert (done.exit_code, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert said in line


def test_a_key_that_does_not_fit_is_found(here: Path) -> None:
    """Certificates and keys are read, too."""
    CertificateAuthority().issue("example.org").write(here, prefix="other-")
    done = check(f'listen = "tcp:1"\n{SITE.replace("privkey", "other-privkey")}static = "www"')
    assert done.exit_code == 1
    assert "a.toml: site 1: private_key: " in done.stderr
    assert "does not fit" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody who may not")
def test_an_access_log_that_can_not_be_written_is_found(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the server would not start with it."""
    text = f'listen = "tcp:1"\n{SITE}static = "www"\n[access_log]\nfile = "access.log"'
    assert check(text).exit_code == 0
    with tempfile.TemporaryDirectory() as name:
        shutil.copytree(here, name, dirs_exist_ok=True)
        for path in (Path(name), Path(name, "privkey.pem")):
            path.chmod(0o755)
        monkeypatch.chdir(name)
        with Identity(65534, 65534, ()).assumed():
            done = CliRunner().invoke(main, ["config", "a.toml"])
        monkeypatch.chdir(here)
    assert done.exit_code == 1
    assert f"a.toml: [access_log]: file: {name}/access.log: permission denied; let the server write it" in done.stderr


def test_two_sites_with_one_name_of_their_own_are_found(here: Path) -> None:
    """Names that come from certificates are no mistake; those that the operator gave are."""
    twice = f'{SITE}static = "www"\nnames = ["a.example"]\n'
    done = check(f'listen = "tcp:1"\n{twice}{twice}')
    assert done.exit_code == 1
    assert "a.example is also a name of site 1" in done.stderr


def test_a_resource_is_imported_and_not_made(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To make it may do anything."""
    monkeypatch.syspath_prepend(str(here))
    (here / "operators_tree.py").write_text("def make(): raise SystemExit(9)")
    try:
        assert check(f'listen = "tcp:1"\n{SITE}resource = "operators_tree:make"').exit_code == 0
    finally:
        sys.modules.pop("operators_tree", None)


def test_wrong_usage_has_its_own_exit_status() -> None:
    """As of all the commands."""
    assert CliRunner().invoke(main, ["config"]).exit_code == 3


def test_the_version() -> None:
    """Of the whole."""
    assert CliRunner().invoke(main, ["--version"]).stdout.startswith("staplesrv")
