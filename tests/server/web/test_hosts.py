"""Which site answers a request."""

from __future__ import annotations

from typing import Any

import pytest
from server.wire import FakeSite, fake_site, hosts_of
from twisted.web.resource import Resource

from staplesrv.server.web.hosts import MISDIRECTED, Hosts

A, B = Resource(), Resource()
FIRST, SECOND = fake_site("a.example", "www.a.example"), fake_site("b.example", "*.b.example")


@pytest.fixture
def hosts() -> Hosts:
    """Two sites, each with something behind it."""
    return hosts_of([FIRST, SECOND], {"a.example": A, "b.example": B})


def code(found: Any) -> int | None:
    """The status of a page that is an error."""
    status: int | None = getattr(found, "_code", None)
    return status


@pytest.mark.parametrize("host", [b"b.example", b"B.Example", b"b.example.", b"www.b.example"])
def test_a_host_leads_to_its_site(hosts: Hosts, host: bytes) -> None:
    """Whatever its case, with a dot at its end, by a wildcard."""
    assert hosts.find(host) is B


@pytest.mark.parametrize("host", [b"", b"c.example", b"192.0.2.1", b"a.b.b.example", b"\xff\x00", b"[::1]"])
def test_an_unknown_host_leads_to_the_first_site(hosts: Hosts, host: bytes) -> None:
    """As an unknown server name does."""
    assert hosts.find(host) is A


def test_before_there_are_sites_nothing_is_found() -> None:
    """No listener is open by then."""
    assert code(Hosts(lambda: None, {}).find(b"a.example")) == 404


def test_a_site_without_anything_behind_it_is_not_found() -> None:
    """It is on its way in or out."""
    assert code(hosts_of([FIRST], {}).find(b"a.example")) == 404


def test_the_handshake_s_site_answers(hosts: Hosts) -> None:
    """The usual case: server name and host are the same."""
    assert hosts.find(b"b.example", shown(SECOND)) is B


def test_another_certificate_s_site_is_misdirected(hosts: Hosts) -> None:
    """The staple that the client saw says nothing about this one."""
    assert code(hosts.find(b"b.example", shown(FIRST))) == MISDIRECTED


def test_two_sites_with_one_certificate_share_connections() -> None:
    """The client saw the staple of both."""
    other = fake_site("other.example", file="a.example")
    hosts = hosts_of([FIRST, other], {"a.example": A, "other.example": B})
    assert hosts.find(b"other.example", shown(FIRST)) is B


def test_an_older_connection_goes_on_after_a_reload(hosts: Hosts) -> None:
    """The site is another object then, of the same files."""
    assert hosts.find(b"b.example", shown(fake_site("b.example", "new.b.example"))) is B


def test_the_first_site_answers_for_whatever_is_unknown(hosts: Hosts) -> None:
    """Also on a connection for another site."""
    assert hosts.find(b"c.example", shown(SECOND)) is A


def test_a_reload_swaps_what_is_behind(hosts: Hosts) -> None:
    """By one assignment."""
    hosts.resources = {SECOND.loaded.certificate: A}
    assert hosts.find(b"b.example") is A


def shown(site: FakeSite) -> Any:
    """What the handshake led to."""
    return site
