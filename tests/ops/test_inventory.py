"""What there is to say of sites that are served."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import Clock

from staplesrv.ocsp.certid import Target
from staplesrv.ocsp.response import Staple, verify_response
from staplesrv.ops.inventory import certificates, handshakes, site_names
from staplesrv.staples.cache import Held, Reason
from staplesrv.testing import CertificateAuthority, Leaf
from staplesrv.tls.site import SiteCertificate
from staplesrv.tls.stage import assignments
from staplesrv.tls.stapler import Stapler


class World:
    """A stapler of some sites that has asked nobody."""

    def __init__(self) -> None:
        self.authority = CertificateAuthority()
        self.folder = Path(self.enter_folder())
        self.leaves: list[Leaf] = []
        self.sites: list[SiteCertificate] = []

    def enter_folder(self) -> str:
        """Where the files are."""
        self.temporary = tempfile.TemporaryDirectory()
        return self.temporary.name

    def add(self, *certified: str, names: tuple[str, ...] = (), **site: Any) -> None:
        """Add a site whose certificate is for some names."""
        leaf = self.authority.issue(*certified, responder_urls=["http://ocsp.example/"])
        self.leaves.append(leaf)
        files = leaf.write(self.folder, prefix=f"{len(self.leaves)}-")
        self.sites.append(SiteCertificate(*files, names=names, **site))

    def stapler(self) -> Stapler:
        """Have them loaded, and kept stapled; there is no time to ask."""
        clock = Clock()
        made = Stapler(self.sites, reactor=clock, wall_clock=lambda: self.authority.now().timestamp())
        made.load()
        return made


@pytest.fixture
def world() -> Iterator[World]:
    """A CA and a folder."""
    made = World()
    yield made
    made.temporary.cleanup()


def test_sites_are_called_by_their_first_name(world: World) -> None:
    """Or the certificate's; where two would have the same, the later one gets a number."""
    world.add("a.example", "b.example")
    world.add("a.example")
    world.add("c.example", names=("www.c.example",))
    assert list(site_names(world.stapler().stage.live).values()) == ["a.example", "a.example #2", "www.c.example"]


def test_a_certificate_before_the_start(world: World) -> None:
    """Nothing came yet, and nobody knows when."""
    world.add("a.example", must_staple="refuse")
    stapler = world.stapler()
    (site,) = stapler.stage.live
    (found,) = certificates(site, "a.example", stapler.keeper.refresher, world.authority.now().timestamp())
    assert (found.reason, found.stapled, found.next_question, found.last_failure) == (Reason.PENDING, False, None, "")
    assert (found.names, found.must_staple) == (("a.example",), True)
    assert found.fingerprint == world.leaves[0].fingerprint.hex()
    assert found.file == str(world.sites[0].certificate[0])
    assert found.not_after == world.leaves[0].certificate.not_valid_after_utc


def test_a_staple_is_told_until_its_cut_off(world: World) -> None:
    """From then on it is stale."""
    world.add("a.example")
    stapler = world.stapler()
    stapler.keeper.refresher.add(assignments(stapler.stage.live)[0])
    (site,) = stapler.stage.live
    now = world.authority.now()
    target = Target.for_leaf(world.leaves[0].certificate, world.authority.certificate)
    staple = verify_response(world.authority.respond(world.leaves[0]), target, now=now)
    assert isinstance(staple, Staple)
    site.entries[0].held, site.entries[0].reason = Held.of(staple), Reason.OK
    (found,) = certificates(site, "a", stapler.keeper.refresher, now.timestamp())
    assert (found.stapled_until, found.reason) == (staple.cut_off, Reason.OK)
    (found,) = certificates(site, "a", stapler.keeper.refresher, staple.cut_off.timestamp())
    assert (found.stapled_until, found.reason) == (None, Reason.STALE)


def test_handshakes_are_told_by_site(world: World) -> None:
    """As they were counted up to now."""
    world.add("a.example")
    named = site_names(world.stapler().stage.live)
    (site,) = named
    site.handshakes["stapled"] += 2
    found = handshakes(named)
    site.handshakes["stapled"] += 1
    assert found == {"a.example": {"stapled": 2}}
