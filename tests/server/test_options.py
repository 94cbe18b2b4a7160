"""The options of `twistd staplesrv`."""

from __future__ import annotations

from pathlib import Path

import pytest

from staplesrv import __version__
from staplesrv.errors import OperatorError
from staplesrv.http.proxy.address import BackendAddress
from staplesrv.server.config import load
from staplesrv.server.configuration.content import Backends, Content, RedirectTo, TunnelEnd, WsgiCallable
from staplesrv.server.configuration.listener import Listener
from staplesrv.server.options import Options
from staplesrv.testing import LeafFiles

FILES = ("--certificate", "fullchain.pem", "--private-key", "privkey.pem")
ONE_SITE = (*FILES, "--static", "www")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, files: LeafFiles, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder with a certificate, its key and a folder to serve, and the place that everything counts from."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def parsed(*arguments: str) -> Options:
    """The options of a command line."""
    options = Options()
    options.parseOptions(arguments)
    return options


def refusal(*arguments: str) -> str:
    """What is said about a command line that can't be used."""
    options = parsed(*arguments)
    with pytest.raises(OperatorError) as caught:
        options.is_demo or options.configuration()
    return str(caught.value)


def test_options_say_the_same_as_a_file(here: Path) -> None:
    """The same value comes out, but for where it came from."""
    (here / "a.toml").write_text(
        """
        listen = ["tcp:1", "tcp:2"]
        state_dir = "state"
        workers = 3
        admin = "unix:a"
        [[sites]]
        certificate = ["fullchain.pem", "fullchain.pem"]
        private_key = ["privkey.pem", "privkey.pem"]
        static = "www"
        responder = ""
        issuer = "fullchain.pem"
        staple_file = ["a.der", "b.der"]
        must_staple = "refuse"
        """
    )
    by_file = load(Path("a.toml"))
    by_options = parsed(
        *("--listen", "tcp:1", "--listen", "tcp:2", "--state-dir", "state", *ONE_SITE, *FILES),
        *("--responder", "", "--issuer", "fullchain.pem", "--staple-file", "a.der", "--staple-file", "b.der"),
        *("--must-staple", "refuse", "--workers", "3", "--admin", "unix:a"),
    ).configuration()
    assert by_options.listeners == by_file.listeners
    assert by_options.sites == by_file.sites
    assert by_options.settings == by_file.settings
    assert by_options.state_dir == by_file.state_dir
    assert by_options.workers == by_file.workers == 3
    assert by_options.admin == by_file.admin is not None
    assert by_options.file is None


@pytest.mark.parametrize(
    ("arguments", "content"),
    [
        (
            ("--proxy", "http://a", "--proxy", "http://b"),
            Backends(tuple(map(BackendAddress.parse, ("http://a", "http://b")))),
        ),
        (("--wsgi", "a:b"), WsgiCallable("a:b")),
        (("--tunnel", "unix:/a"), TunnelEnd(path="/a")),
        (("--redirect", "https://a.example"), RedirectTo("https://a.example")),
    ],
)
def test_everything_that_can_be_behind_a_site_has_an_option(arguments: tuple[str, ...], content: Content) -> None:
    """Under the name that it has in a file."""
    assert parsed(*FILES, *arguments).configuration().sites[0].content == content


def test_the_least_that_can_be_said() -> None:
    """A certificate with its key in one file, and a folder; the port is one that needs no privileges."""
    found = parsed("--certificate", "fullchain.pem", "--static", "www").configuration()
    assert found.listeners == (Listener("tcp:8443"),)
    assert found.sites[0].certificate.private_key == found.sites[0].certificate.certificate


def test_versions_and_ciphers_go_for_every_listener() -> None:
    """By Mozilla's name."""
    found = parsed("--listen", "tcp:1", "--listen", "tcp:2", "--tls", "modern", *ONE_SITE).configuration()
    assert [one.tls for one in found.listeners] == ["modern", "modern"]


def test_a_file_takes_the_place_of_the_others(here: Path) -> None:
    """Short or long."""
    (here / "a.toml").write_text('listen = "tcp:1"\n[[sites]]\ncertificate = "fullchain.pem"\nstatic = "www"')
    assert parsed("-c", "a.toml").configuration() == parsed("--config", "a.toml").configuration()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            (),
            "command line: there is nothing to serve; give --certificate, --private-key and --static for one site",
        ),
        (("--static", "www"), "command line: there is nothing to serve; give"),
        (FILES, "--static: is missing; name the directory to serve, or give one of proxy, resource,"),
        (("--certificate", "nope.pem"), "--static: is missing;"),
        ((*ONE_SITE, "--issuer", "nope.pem"), "--issuer: "),
        ((*ONE_SITE, "--listen", "8443"), "--listen: '8443' is no endpoint"),
        ((*ONE_SITE, "--tls", "old"), '--tls: is \'old\'; give "modern", "intermediate" or "off"'),
        ((*ONE_SITE, "--tls", "off"), '--listen: every listener has tls = "off", so that no site is served; add one'),
        ((*ONE_SITE, "--must-staple", "yes"), '--must-staple: is \'yes\'; give "serve" or "refuse"'),
        ((*ONE_SITE, "--resource", "a:b"), "--resource: static is there too; keep one of them"),
        ((*ONE_SITE, "--responder", "x"), "--responder: 'x': is neither http nor https; give an http or https URL"),
        ((*ONE_SITE, "--state-dir", "privkey.pem"), "--state-dir: "),
        ((*ONE_SITE, "--workers", "many"), "--workers: is 'many'; give a number, or \"auto\""),
        ((*ONE_SITE, "--workers", "0"), '--workers: is 0; give a number from 1 to 256, or "auto"'),
        ((*ONE_SITE, "--admin", "tcp:9443"), "--admin: would be open to everybody"),
        (("--demo", "--admin", "unix:a"), "--admin: does not go with --demo; leave one of them out"),
        (("--demo", "--workers", "2"), "--workers: does not go with --demo; leave one of them out"),
        (("--config", "nope.toml"), "nope.toml: does not exist; check the path"),
        (("--config", "a.toml", "--static", "www"), "--static: does not go with --config; leave one of them out"),
        (("--config", "a.toml", "--demo"), "--config: does not go with --demo; leave one of them out"),
        (("--demo", *FILES), "--certificate: does not go with --demo; leave one of them out"),
        (("--demo", "--responder", ""), "--responder: does not go with --demo; leave one of them out"),
    ],
)
def test_a_mistake_names_its_option(arguments: tuple[str, ...], said: str) -> None:
    """As it was written, with what to do."""
    assert refusal(*arguments).startswith(said)


def test_a_demo_may_be_told_where_to_listen() -> None:
    """And nothing else."""
    options = parsed("--demo", "--listen", "tcp:1")
    assert options.is_demo
    assert options.listen == ("tcp:1",)
    assert not parsed().is_demo


@pytest.mark.parametrize("arguments", [("--nope",), ("--config",), ("word",), ("--static", "a", "b")])
def test_what_is_no_option_is_one_line(arguments: tuple[str, ...]) -> None:
    """Twisted's own way would be a page of help, and the line below it."""
    with pytest.raises(SystemExit) as caught:
        parsed(*arguments)
    line = str(caught.value)
    assert line.startswith("staplesrv: ")
    assert line.endswith("; see 'twistd staplesrv --help'")
    assert "\n" not in line


def test_a_word_too_many_is_named() -> None:
    """Twisted's own way is to say that the number is wrong."""
    with pytest.raises(SystemExit, match=r"^staplesrv: 'word' is no option; see 'twistd staplesrv --help'$"):
        parsed(*ONE_SITE, "word", "another")


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    """Staplesrv's own, not Twisted's."""
    with pytest.raises(SystemExit) as caught:
        parsed("--version")
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"staplesrv {__version__}\n"


def test_the_help_names_every_option() -> None:
    """With a line about each."""
    text = str(Options())
    for option in ("config", "demo", "listen", "certificate", "private-key", "static", "resource", "state-dir"):
        assert f"--{option}" in text
    for option in ("proxy", "wsgi", "tunnel", "redirect"):
        assert f"--{option}" in text
    for option in ("responder", "issuer", "staple-file", "must-staple", "tls", "version"):
        assert f"--{option}" in text
