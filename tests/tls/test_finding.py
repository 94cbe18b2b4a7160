"""What an operator is told about certificates that can be served."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tls.place import Place

from staplesrv.sources import utc
from staplesrv.staples.settings import Settings
from staplesrv.testing import CertificateAuthority
from staplesrv.tls.finding import Finding, findings
from staplesrv.tls.loaded import load_site
from staplesrv.tls.site import SiteCertificate

DAY = timedelta(days=1)


def look(place: Place, site: SiteCertificate | None = None, settings: Settings | None = None) -> list[Finding]:
    """Load a site and look at it."""
    return list(findings(load_site(site or place.site(), settings or Settings()), utc(place.clock.seconds())))


def test_nothing(place: Place) -> None:
    """A certificate that is as it should be has no findings."""
    place.write("a.example", must_staple=True)
    assert look(place, place.site(names=["A.Example."])) == []


@pytest.mark.parametrize(
    ("start", "end", "level"),
    [(-2 * DAY, -timedelta(seconds=1), "critical"), (timedelta(seconds=1), DAY, "warn"), (-DAY, DAY, None)],
)
def test_dates(place: Place, start: timedelta, end: timedelta, level: str | None) -> None:
    """Expired is an alarm, not valid yet a warning; both are served."""
    place.write(not_before=place.ca.now() + start, not_after=place.ca.now() + end)
    assert [finding.level for finding in look(place)] == ([] if level is None else [level])


@pytest.mark.parametrize("refuse", [False, True])
def test_no_responder(place: Place, *, refuse: bool) -> None:
    """No responder is normal, but for a site that refuses handshakes without a staple."""
    place.write(responder_urls=[])
    found = look(place, place.site(must_staple="refuse" if refuse else "serve"))
    assert [finding.level for finding in found] == (["critical"] if refuse else [])


@pytest.mark.parametrize("option", [{"responder": "http://r.example/"}, {"staple_file": "x.der"}])
def test_another_source(place: Place, option: dict[str, str]) -> None:
    """A responder or a staple file of the site's own is as good as a responder in the certificate."""
    place.write(responder_urls=[], must_staple=True)
    assert look(place, place.site(**option)) == []


def test_switched_off(place: Place) -> None:
    """A must-staple certificate whose responder is never to be asked is an alarm."""
    place.write(must_staple=True)
    (finding,) = look(place, settings=Settings(responders={"responder.example": ""}))
    assert "never to be asked" in finding.problem


def test_no_issuer(place: Place) -> None:
    """A must-staple certificate whose issuer is neither there nor to be fetched is an alarm."""
    leaf = place.write(must_staple=True)
    place.cut_chain(leaf)
    (finding,) = look(place)
    assert "its issuer is not known" in finding.problem
    place.cut_chain(place.write(must_staple=True, issuer_urls=["http://responder.example/ca"]))
    assert look(place) == []


@pytest.mark.parametrize(
    ("names", "uncovered"),
    [
        (["a.example", "x.b.example", "*.b.example", "192.0.2.1", "2001:DB8:0::1"], ""),
        (["b.example"], "b.example"),
        (["x.y.b.example", "a.example"], "x.y.b.example"),
        (["*.a.example", "192.0.2.2"], "*.a.example, 192.0.2.2"),
        (["no name"], "no name"),
    ],
)
def test_names(place: Place, names: list[str], uncovered: str) -> None:
    """Names of the site that the certificate is not for are warned about."""
    place.write("a.example", "*.b.example", "192.0.2.1", "2001:db8::1")
    found = look(place, place.site(names=names))
    assert [finding.problem for finding in found] == (
        [f"is not for {uncovered}, so clients of that name refuse it"] if uncovered else []
    )


def test_one_line(place: Place) -> None:
    """A finding is one line that starts with the file."""
    place.write(must_staple_v2=True)
    (finding,) = look(place)
    assert str(finding).startswith(f"{place.directory}/fullchain.pem: asks for status_request_v2")
    assert "\n" not in str(finding)


@pytest.mark.parametrize(("age", "found"), [(timedelta(0), []), (3650 * DAY + timedelta(seconds=1), ["warn"])])
def test_a_clients_ca_that_has_expired(place: Place, age: timedelta, found: list[str]) -> None:
    """Nobody gets in by it any more, which the operator should hear before the clients do."""
    place.write()
    ca = CertificateAuthority("clients' CA", now=place.ca.now() - age)
    (place.directory / "clients.pem").write_bytes(ca.pem)
    seen = look(place, place.site(client_ca=place.directory / "clients.pem"))
    assert [finding.level for finding in seen if "clients.pem: CN=clients' CA expired" in str(finding)] == found
    assert len(seen) == len(found)
