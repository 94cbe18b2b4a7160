"""What a reload will serve, decided per site."""

from __future__ import annotations

import pytest
from tls.place import Place

from staplesrv.errors import OperatorError
from staplesrv.sources import utc
from staplesrv.staples.cache import StapleCache
from staplesrv.staples.settings import Settings
from staplesrv.tls.live_site import LiveSite
from staplesrv.tls.loaded import LoadedSite, load_site
from staplesrv.tls.plan import make_plan
from staplesrv.tls.reading import PATIENCE, read_patiently
from staplesrv.tls.site import SiteCertificate

BROKEN = OperatorError("a.pem", "is broken", "mend it")


@pytest.fixture
def cache() -> StapleCache:
    """One cache for all sites of a test."""
    return StapleCache()


class Maker:
    """Makes sites, or can't."""

    def __init__(self, place: Place, cache: StapleCache) -> None:
        self.place = place
        self.cache = cache
        self.broken = False

    def load(self, certificate: SiteCertificate) -> LoadedSite:
        """Load a site."""
        return load_site(certificate, Settings())

    def __call__(self, loaded: LoadedSite) -> LiveSite:
        """Make a site of what was loaded."""
        if self.broken:
            raise BROKEN
        return LiveSite(loaded, cache=self.cache, wall_clock=self.place.clock.seconds)


@pytest.fixture
def make(place: Place, cache: StapleCache) -> Maker:
    """A maker, with a certificate to begin with."""
    place.write()
    return Maker(place, cache)


def test_first_time(place: Place, make: Maker) -> None:
    """A site that was not there is new."""
    loaded = make.load(place.site())
    plan = make_plan([place.site()], {place.site(): loaded}, [], make)
    assert plan.new == plan.sites
    assert plan.sites[0].loaded is loaded


def test_same(place: Place, make: Maker) -> None:
    """A site whose files say the same stays the very same, and so does one that was not read."""
    before = make(make.load(place.site()))
    for read in ({place.site(): before.loaded}, {}):
        plan = make_plan([place.site()], read, [before], make)
        assert plan.sites == (before,)
        assert plan.new == ()


def test_changed(place: Place, make: Maker) -> None:
    """A changed site is new, and goes on counting."""
    before = make(make.load(place.site()))
    before.handshakes["stapled"] = 7
    place.write()
    plan = make_plan([place.site()], {place.site(): make.load(place.site())}, [before], make)
    assert plan.new == plan.sites != (before,)
    assert plan.sites[0].handshakes["stapled"] == 7


def test_unreadable(place: Place, make: Maker) -> None:
    """A site that can't be read stays what it was, and is a failure."""
    before = make(make.load(place.site()))
    plan = make_plan([place.site()], {place.site(): BROKEN}, [before], make)
    assert plan.sites == (before,)
    assert plan.failures == {place.site(): BROKEN}


def test_refused_by_openssl(place: Place, make: Maker) -> None:
    """A site that OpenSSL does not take stays what it was, too."""
    before = make(make.load(place.site()))
    place.write()
    make.broken = True
    plan = make_plan([place.site()], {place.site(): make.load(place.site())}, [before], make)
    assert plan.sites == (before,)
    assert plan.failures == {place.site(): BROKEN}


def test_nothing_to_fall_back_on(place: Place, make: Maker) -> None:
    """A new site that can't be used is away."""
    plan = make_plan([place.site()], {place.site(): BROKEN}, [], make)
    assert plan.sites == ()


def test_same_names_other_files(place: Place, make: Maker) -> None:
    """A site is known again by its names, but not by having none."""
    place.write(prefix="b-")
    old, new = place.site(names=["a.example"]), place.site("b-", names=["a.example"])
    before = make(make.load(old))
    assert make_plan([new], {new: BROKEN}, [before], make).sites == (before,)
    nameless = make(make.load(place.site()))
    assert make_plan([place.site("b-")], {place.site("b-"): BROKEN}, [nameless], make).sites == ()


class TestReading:
    def test_good_at_once(self, place: Place, make: Maker) -> None:
        """Files that can be used are read once."""
        known = make.load(place.site())
        read = place.run(read_patiently([place.site()], Settings(), {place.site(): known}, place.clock), within=0.25)
        assert read[place.site()] is known

    def test_patience(self, place: Place, make: Maker) -> None:
        """What can't be used is read again until the patience is over; the rest is not held up by more than that."""
        missing = place.site("missing-")
        start = place.clock.seconds()
        read = place.run(read_patiently([missing, place.site()], Settings(), {}, place.clock))
        assert isinstance(read[missing], OperatorError)
        assert isinstance(read[place.site()], LoadedSite)
        assert place.clock.seconds() - start == pytest.approx(PATIENCE.total_seconds(), abs=0.6)

    def test_comes_late(self, place: Place, make: Maker) -> None:
        """A file that comes within the patience is read."""
        late = place.site("late-")
        place.clock.callLater(2, place.write, prefix="late-")
        assert isinstance(place.run(read_patiently([late], Settings(), {}, place.clock))[late], LoadedSite)


class TestLiveSite:
    def test_names(self, place: Place, make: Maker) -> None:
        """Names that the operator gave are all there are; without any it is the certificate's."""
        place.write("a.example", "*.a.example")
        given = make(make.load(place.site(names=["b.example"])))
        assert (given.names, given.implied_names) == (("b.example",), ())
        implied = make(make.load(place.site()))
        assert (implied.names, implied.implied_names) == ((), ("a.example", "*.a.example"))
        assert implied.where == str(place.directory / "fullchain.pem")

    def test_issuer(self, place: Place, make: Maker) -> None:
        """A chain that is whole, or another leaf's issuer, leaves a site as it is."""
        whole = make(make.load(place.site()))
        fingerprint = whole.entries[0].fingerprint
        assert whole.with_issuer(fingerprint, place.ca.certificate, cache=make.cache) is whole
        leaf = place.write()
        place.cut_chain(leaf)
        alone = make(make.load(place.site()))
        assert alone.with_issuer(b"another", place.ca.certificate, cache=make.cache) is alone
        completed = alone.with_issuer(leaf.fingerprint, place.ca.certificate, cache=make.cache)
        assert completed.entries == alone.entries
        assert completed.handshakes is alone.handshakes
        assert completed.loaded.bundles[0].chain == (place.ca.certificate,)

    def test_refuses_by_the_clock(self, place: Place, make: Maker) -> None:
        """A site that refuses decides anew in each handshake."""
        place.stop(place.started())
        site = place.site(must_staple="refuse")
        stapler = place.started(site)
        (live,) = stapler.stage.live
        assert live.context_now() is live.context
        held = live.entries[0].held
        assert held is not None
        place.clock.rightNow = held.cut_off
        assert live.context_now() is None
        assert utc(place.clock.seconds()) == held.staple.cut_off
