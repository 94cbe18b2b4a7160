"""What is behind a site."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from staplesrv.errors import OperatorError
from staplesrv.http.proxy.address import BackendAddress
from staplesrv.http.proxy.settings import ProxySettings
from staplesrv.http.static.settings import StaticSettings
from staplesrv.server.configuration.content import (
    Backends,
    Content,
    Folder,
    RedirectTo,
    Resource,
    TunnelEnd,
    WsgiCallable,
)
from staplesrv.server.configuration.content_keys import read_content
from staplesrv.server.configuration.place import Place
from staplesrv.server.configuration.schema import SiteTable
from staplesrv.server.configuration.table import read_table

HERE = Place("a.toml", "site 1")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where paths count from: a folder to serve, and a file."""
    (tmp_path / "www").mkdir()
    (tmp_path / "ca.pem").write_text("")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def content(**keys: Any) -> Content:
    """What a site's keys say."""
    return read_content(read_table({"certificate": "x", **keys}, SiteTable, HERE), HERE, Path.cwd())


def refusal(**keys: Any) -> str:
    """What is said about keys that can't be used."""
    with pytest.raises(OperatorError) as caught:
        content(**keys)
    return str(caught.value).removeprefix("a.toml: site 1: ").replace(f"{Path.cwd()}/", "")


def test_a_folder_with_its_settings(folder: Path) -> None:
    """What is left out has its default."""
    assert content(static="www") == Folder(folder / "www", StaticSettings())
    files = {"cache_control": {"*.css": "max-age=60"}, "fallback": "index.html", "memory": 0, "check_seconds": 5}
    made = StaticSettings(cache_control={"*.css": "max-age=60"}, fallback="index.html", memory=0, check_seconds=5)
    assert content(static="www", files=files) == Folder(folder / "www", made)


def test_backends_with_their_settings(folder: Path) -> None:
    """One, or several."""
    one = BackendAddress.parse("http://127.0.0.1:8080")
    assert content(proxy="http://127.0.0.1:8080") == Backends((one,), ProxySettings())
    backends = {"host": "b.example", "trusted": ["10.0.0.0/8"], "connect_seconds": 1, "ca_file": "ca.pem"}
    got = content(proxy=["http://127.0.0.1:8080", "unix:/run/a.sock"], backends=backends)
    settings = ProxySettings(host=b"b.example", trusted=(ip_network("10.0.0.0/8"),), connect_seconds=1)
    assert got == Backends((one, BackendAddress.parse("unix:/run/a.sock")), settings, folder / "ca.pem")


def test_code_is_named_by_module_and_attribute() -> None:
    """A resource, or a WSGI application."""
    assert content(resource="a.b:c") == Resource("a.b:c")
    assert content(wsgi="a.b:c.d") == WsgiCallable("a.b:c.d")


def test_a_tunnel_names_its_end() -> None:
    """And may say who the client is."""
    assert content(tunnel="tcp:127.0.0.1:5432") == TunnelEnd("127.0.0.1", 5432)
    assert content(tunnel="tcp:[::1]:5432") == TunnelEnd("::1", 5432)
    got = content(tunnel="unix:/run/a.sock", send_proxy_protocol=True, protocols=["postgresql"])
    assert got == TunnelEnd(path="/run/a.sock", says_who=True)


@pytest.mark.parametrize("text", ["tcp:127.0.0.1:5432", "tcp:[::1]:5432", "tcp:db.example:1", "unix:/run/a b"])
def test_a_tunnel_s_end_is_called_as_it_was_written(text: str) -> None:
    """For the log."""
    assert str(content(tunnel=text)) == text


@pytest.mark.parametrize(
    "text",
    ["", "5432", "tcp:5432", "tcp:a:0", "tcp:a:65536", "tcp:::1:5", "tcp:[a]:1:2", "unix:a", "unix:/a\0", "tcp:ä:1"],
)
def test_a_tunnel_that_leads_nowhere_is_refused(text: str) -> None:
    """With both ways to write it."""
    said = refusal(tunnel=text)
    assert said.startswith("tunnel: ")
    assert said.endswith(" is no place; write it like tcp:127.0.0.1:5432 or unix:/path")


def test_a_redirect_leads_somewhere() -> None:
    """To a URL."""
    assert content(redirect="https://www.example.org") == RedirectTo("https://www.example.org")


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"proxy": []}, "proxy: is empty; name a backend, like http://127.0.0.1:8080"),
        ({"proxy": "ftp://a"}, "proxy: 'ftp://a' has no scheme that a backend can have; write"),
        ({"proxy": ["http://a", "http://a/b"]}, "proxy: 'http://a/b' has more than a host and a port; write"),
        ({"proxy": "http://a", "backends": {"kept": -1}}, "backends: kept: is below zero; use a number"),
        ({"proxy": "http://a", "backends": {"trusted": ["x"]}}, "backends: trusted: 'x' is no network; write it like"),
        ({"proxy": "http://a", "backends": {"ca_file": "nope"}}, "backends: ca_file: nope: does not exist; check"),
        ({"proxy": "http://a", "backends": {"ca_file": ""}}, "backends: ca_file: is empty; give the path of a file"),
        ({"proxy": "http://a", "backends": {"host": "a b"}}, "backends: host: is no host; use a name"),
        ({"proxy": "http://a", "backends": {"hots": "a"}}, "backends: hots: unknown key; did you mean host?"),
        ({"proxy": "http://a", "files": {}}, "files: does not go with proxy; name the directory to serve with static"),
        ({"static": "www", "backends": {}}, "backends: does not go with static; name the backends with proxy, or"),
        ({"static": "www", "protocols": []}, "protocols: does not go with static; name the backend with tunnel, or"),
        ({"static": "www", "files": {"fallback": "../x"}}, "files: fallback: is no file that is served; name a file"),
        ({"static": "www", "files": {"memory": -1}}, "files: memory: is out of range; use from 0 to"),
        ({"static": "www", "files": {"cache_control": {"*": 1}}}, "files: cache_control: '*' is 1; give a table of"),
        ({"static": "www", "files": {"kept": 1}}, "files: kept: does not belong here; move it into [sites.backends]"),
        ({"wsgi": "a"}, "wsgi: 'a' names no attribute of a module; write it like \"package.module:attribute\""),
        ({"redirect": "/a"}, "redirect: names no scheme and host to lead to; use a URL like"),
        ({"redirect": "https://a/", "wsgi": "a:b"}, "redirect: wsgi is there too; keep one of them"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_key(keys: dict[str, Any], said: str) -> None:
    """With its table, and what to do."""
    assert refusal(**keys).startswith(said)
