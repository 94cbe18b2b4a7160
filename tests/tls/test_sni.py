"""Server names: which site answers."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from staplesrv.errors import OperatorError
from staplesrv.tls.sni import SiteTable, normal_name


@dataclass(frozen=True)
class Named:
    """The least that a table holds."""

    names: tuple[str, ...] = ()
    implied_names: tuple[str, ...] = ()
    where: str = "a.pem"


DEFAULT = Named()
EXACT = Named(("www.example.org",))
WILD = Named(("*.example.org", "example.org"))
IDN = Named(("münchen.example", "*.bücher.example"))
TABLE = SiteTable([DEFAULT, EXACT, WILD, IDN])


@pytest.mark.parametrize(
    ("server_name", "site"),
    [
        (None, DEFAULT),
        (b"", DEFAULT),
        (b"unknown.example", DEFAULT),
        (b"www.example.org", EXACT),
        (b"WWW.Example.ORG", EXACT),
        (b"www.example.org.", EXACT),
        (b"www.example.org..", DEFAULT),
        (b"other.example.org", WILD),
        (b"example.org", WILD),
        (b"a.b.example.org", DEFAULT),
        (b".example.org", DEFAULT),
        (b"*.example.org", WILD),
        (b"org", DEFAULT),
        (b"xn--mnchen-3ya.example", IDN),
        (b"XN--MNCHEN-3YA.example.", IDN),
        (b"a.xn--bcher-kva.example", IDN),
        ("münchen.example".encode(), DEFAULT),
        (b"192.0.2.1", DEFAULT),
        (b"\xff\x00", DEFAULT),
    ],
)
def test_find(server_name: bytes | None, site: Named) -> None:
    """Exact names win over wildcards of one label, case and one trailing dot don't count, the rest is the default's."""
    assert TABLE.find(server_name) is site


def test_a_name_that_nobody_has_is_not_the_default_s() -> None:
    """For those who have to tell a site that was asked for from one that answers in any case."""
    table = SiteTable([EXACT, WILD])
    assert table.named(b"WWW.example.org.") is EXACT
    assert table.named(b"other.example.org") is WILD
    assert table.named(b"unknown.example") is None


@given(st.one_of(st.none(), st.binary(max_size=300)))
def test_any_name(server_name: bytes | None) -> None:
    """Whatever bytes a client sends as a name, some site answers."""
    assert TABLE.find(server_name) in TABLE.sites


def test_first_is_default() -> None:
    """The first site answers for unknown names, also if it has names of its own."""
    table = SiteTable([EXACT, WILD])
    assert table.find(b"unknown.example") is EXACT


@pytest.mark.parametrize(
    ("first", "second"), [("a.example", "A.example."), ("münchen.de", "xn--mnchen-3ya.de"), ("*.a", "*.A")]
)
def test_two_sites_with_one_name(first: str, second: str) -> None:
    """Two sites with one name, however written, are an error that names both."""
    with pytest.raises(OperatorError) as caught:
        SiteTable([Named((first,), where="1.pem"), Named((second,), where="2.pem")])
    assert caught.value.where == "2.pem"
    assert caught.value.key == "names"
    assert caught.value.problem == f"{second} is also a name of the site with 1.pem"


def test_name_twice_in_one_site() -> None:
    """A name that is there twice in one site does no harm."""
    site = Named(("a.example", "A.example"))
    assert SiteTable([DEFAULT, site]).find(b"a.example") is site


def test_implied_names() -> None:
    """Names out of certificates count where no site claims them, the first site's before others."""
    first = Named(implied_names=("a.example", "shared.example", "claimed.example", "*.w.example", "not a name", "::1"))
    second = Named(implied_names=("shared.example", "b.example"))
    claims = Named(("claimed.example",))
    table = SiteTable([DEFAULT, first, second, claims])
    assert table.find(b"a.example") is first
    assert table.find(b"shared.example") is first
    assert table.find(b"x.w.example") is first
    assert table.find(b"b.example") is second
    assert table.find(b"claimed.example") is claims


@pytest.mark.parametrize(
    "text",
    [
        *("", ".", "*", "*.", "a..b", "a.*.b", "*a.example", "*.*.example", "a b", "a/b", "http://a", "a:443"),
        *("-" * 64 + ".example", ".".join(["a" * 60] * 5), "ä" * 70, "\N{SNOWMAN}!"),
    ],
)
def test_no_names(text: str) -> None:
    """What is no DNS name is an operator's error where the operator wrote it."""
    with pytest.raises(OperatorError, match="is no DNS name"):
        SiteTable([Named((text,))])


def test_addresses() -> None:
    """IP addresses are fine as names of a site, and no server names."""
    assert normal_name("192.0.2.1") is None
    assert normal_name("2001:DB8::1") is None
    assert SiteTable([DEFAULT, Named(("192.0.2.1", "::1"))]).find(b"192.0.2.1") is DEFAULT


@given(st.text(max_size=80))
def test_any_text(text: str) -> None:
    """No text ends in anything but a name, None or ValueError, and a name is its own normal form."""
    try:
        name = normal_name(text)
    except ValueError:
        return
    assert name is None or normal_name(name.decode("ascii")) == name
