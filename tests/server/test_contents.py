"""What is behind sites, as their configuration says."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_exchange import FakeExchange, request
from twisted.internet import reactor

from staplesrv.errors import OperatorError
from staplesrv.http.exchange import NO_FIELDS
from staplesrv.http.proxy.address import BackendAddress
from staplesrv.http.proxy.proxy import Proxy
from staplesrv.http.static.files import Static
from staplesrv.http.static.settings import StaticSettings
from staplesrv.http.twisted_web.application import TwistedWeb
from staplesrv.http.wsgi.application import Wsgi
from staplesrv.server.backend_tls import BackendTLS
from staplesrv.server.configuration.content import Backends, Content, Folder, Resource, WsgiCallable
from staplesrv.server.configuration.place import Place
from staplesrv.server.configuration.site import Site
from staplesrv.server.contents import Contents
from staplesrv.testing import LeafFiles
from staplesrv.tls.site import SiteCertificate

HERE = Place("a.toml", "site 1")
CODE = """
from twisted.web.resource import Resource
made = 0
class Tree(Resource): pass
def make():
    global made
    made += 1
    return Tree()
def application(environment, start_response): return []
"""
BACKEND = BackendAddress.parse("http://127.0.0.1:8080")
SECURE = BackendAddress.parse("https://backend.example")


@pytest.fixture
def contents() -> Contents:
    """Nothing yet."""
    return Contents(reactor, lambda: 0.0)


@pytest.fixture(autouse=True)
def operators(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A module of the operator's, and a folder with a page."""
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "operators.py").write_text(CODE)
    (tmp_path / "index.html").write_text("a page")
    yield tmp_path
    sys.modules.pop("operators", None)


def site(content: Content, name: str = "a", **others: Any) -> Site:
    """A site with such a content, and a certificate of its own name."""
    return Site(SiteCertificate(f"{name}.pem"), content, HERE, **others)


def application(contents: Contents, *sites: Site) -> Any:
    """What is behind the last of some sites."""
    return contents.of(sites)[sites[-1].certificate].application


def test_each_kind_of_content_has_its_application(contents: Contents, tmp_path: Path) -> None:
    """By what the configuration made of the keys."""
    for content, kind in (
        (Folder(tmp_path), Static),
        (Backends((BACKEND,)), Proxy),
        (Resource("operators:make"), TwistedWeb),
        (WsgiCallable("operators:application"), Wsgi),
    ):
        assert isinstance(application(contents, site(content, str(kind))), kind)


def test_a_folder_is_served(contents: Contents, tmp_path: Path) -> None:
    """With its own settings."""
    settings = StaticSettings(cache_control={"*.html": "max-age=60"})
    told = FakeExchange(request(b"/index.html")).give(application(contents, site(Folder(tmp_path, settings))))
    assert (told.status, told.body, told.field(b"cache-control")) == (200, b"a page", b"max-age=60")


def test_fields_and_limits_are_the_site_s(contents: Contents, tmp_path: Path) -> None:
    """Where there are no fields, that is what the versions of HTTP know as none."""
    plain, strict = (
        site(Folder(tmp_path), "a", max_body=None),
        site(Folder(tmp_path), "b", fields=((b"A", b"b"),), max_body=5),
    )
    behind = contents.of([plain, strict])
    assert behind[plain.certificate].added is NO_FIELDS
    assert behind[plain.certificate].body_limit is None
    assert behind[strict.certificate].added.fields == ((b"A", b"b"),)
    assert behind[strict.certificate].body_limit == 5


def test_what_did_not_change_is_kept_over_a_reload(contents: Contents, tmp_path: Path) -> None:
    """With the files in memory, or the connections to backends; another setting makes another application."""
    first = application(contents, site(Folder(tmp_path)))
    assert application(contents, site(Folder(tmp_path), max_body=5)) is first
    assert application(contents, site(Folder(tmp_path, StaticSettings(memory=0)))) is not first


def test_what_the_operator_s_code_made_is_kept_for_good(contents: Contents, tmp_path: Path) -> None:
    """It may hold sessions; the code is the old one anyway. Two sites may share it."""
    one, other = site(Resource("operators:make")), site(Resource("operators:make"), "b")
    first = application(contents, one)
    contents.close_but({})
    assert application(contents, one, other) is first
    assert sys.modules["operators"].made == 1


def test_of_two_sites_with_the_same_certificates_the_first_counts(contents: Contents, tmp_path: Path) -> None:
    """Its names are the ones that clients come by."""
    assert isinstance(application(contents, site(Folder(tmp_path)), site(Resource("operators:make"))), Static)


def test_what_no_site_has_any_more_is_closed(contents: Contents, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once; also what was made for a reload that failed, and what was there before a change."""
    closed: list[object] = []
    monkeypatch.setattr(Proxy, "close", lambda proxy: closed.append(proxy))  # noqa: PLW0108 - to be a method
    before = contents.of([site(Backends((BACKEND,))), site(Backends((BACKEND,)), "b")])
    one, other = (behind.application for behind in before.values())
    after = contents.of([site(Backends((BACKEND, BACKEND)))])
    contents.close_but(after | {SiteCertificate("b.pem"): before[SiteCertificate("b.pem")]})
    assert closed == [one]
    contents.close_but(after)
    assert closed == [one, other]
    contents.close()
    assert closed == [one, other, *(behind.application for behind in after.values())]


def test_the_file_of_a_backend_s_ca_is_read_at_once(contents: Contents, tmp_path: Path, files: LeafFiles) -> None:
    """Where it is needed; a mistake is told with its key."""
    assert application(contents, site(Backends((SECURE,), ca_file=files.certificate)))
    with pytest.raises(OperatorError) as caught:
        contents.of([site(Backends((SECURE,), ca_file=tmp_path / "operators.py"), "b")])
    assert str(caught.value).startswith(f"a.toml: site 1: backends: ca_file: {tmp_path}/operators.py: ")


def test_whom_to_trust_is_read_once_for_all_sites_and_again_at_a_reload(
    contents: Contents, files: LeafFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A system's certificates take 15 ms, and there may be thousands of sites."""
    read: list[object] = []
    monkeypatch.setattr(BackendTLS, "load", lambda tls: read.append(tls))  # noqa: PLW0108 - to be a method
    sites = [site(Backends((SECURE,), ca_file=files.certificate), name) for name in "abc"]
    contents.of([*sites, site(Backends((BACKEND,)), "d")])
    assert len(read) == 1
    contents.of(sites)
    assert len(read) == 2
