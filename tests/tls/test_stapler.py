"""The stapler as a service, on a clock that the test moves: start, reload, watch, failures, stop."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tls.place import Outcome, Place, alarms
from twisted.internet.defer import CancelledError
from twisted.internet.task import Clock

from staplesrv.errors import OperatorError
from staplesrv.staples.settings import Settings
from staplesrv.testing import HandshakeFailed, handshake
from staplesrv.tls.front import TICKET_KEY_SECONDS
from staplesrv.tls.reload import Reloaded
from staplesrv.tls.self_check import MAX_CHECKED, sample
from staplesrv.tls.site import SiteCertificate
from staplesrv.tls.sni import SiteTable
from staplesrv.tls.stapler import Stapler


class TestStart:
    def test_stapled(self, place: Place) -> None:
        """Once it is ready, handshakes are stapled."""
        leaf = place.write()
        stapler = place.started()
        seen = handshake(stapler.context_factory(), server_name="a.example")
        assert seen.leaf == leaf.certificate
        assert seen.staple
        assert stapler.stage.live[0].handshakes == {"stapled": 1}

    def test_nobody_home(self) -> None:
        """A stapler without sites is an operator's error."""
        with pytest.raises(OperatorError, match="there is none"):
            Stapler([], reactor=Clock())

    def test_files_are_read_first(self, place: Place) -> None:
        """Files are read while privileges last; what can't be used is raised there, and nothing is live."""
        stapler = place.stapler()
        with pytest.raises(OperatorError, match="no such file"):
            stapler.privilegedStartService()
        assert stapler.stage.live == ()
        place.write()
        stapler.privilegedStartService()
        (place.directory / "privkey.pem").unlink()
        stapler.startService()
        assert len(stapler.stage.live) == 1

    def test_two_sites_with_one_name(self, place: Place) -> None:
        """Two sites with one name are an operator's error."""
        place.write()
        place.write(prefix="b-")
        stapler = place.stapler(place.site(names=["a.example"]), place.site("b-", names=["A.example"]))
        with pytest.raises(OperatorError, match="is also a name of"):
            stapler.load()
        assert stapler.stage.live == ()

    @pytest.mark.parametrize(("must_staple", "seconds"), [(False, 10), (True, 30)])
    def test_waits(self, place: Place, *, must_staple: bool, seconds: int) -> None:
        """It waits 10 s for a silent responder, 30 s for a must-staple certificate, and goes on then."""
        place.write(must_staple=must_staple)
        place.responders.delay = 44
        stapler = place.stapler()
        stapler.startService()
        ready = Outcome(stapler.ready())
        place.go(seconds - 1)
        assert not ready.over
        place.go(2)
        assert ready.value() is None
        assert handshake(stapler.context_factory()).staple == b""
        place.go(44 - seconds)
        assert handshake(stapler.context_factory()).staple

    def test_start_wait(self, place: Place) -> None:
        """`start_wait` decides how long, and 0 not at all."""
        place.write()
        place.responders.delay = 44
        stapler = place.stapler(settings=Settings(start_wait=timedelta(0)))
        stapler.startService()
        ready = Outcome(stapler.ready())
        place.go(0.5)
        assert ready.over

    def test_a_responder_that_is_down_is_waited_for(self, place: Place) -> None:
        """What failed is tried again while the wait lasts: a responder that comes up meanwhile is not too late."""
        place.write()
        place.responders.down = True
        stapler = place.stapler()
        stapler.startService()
        ready = Outcome(stapler.ready())
        place.go(4)
        assert not ready.over
        place.responders.down = False
        place.go(5)
        assert ready.over
        assert handshake(stapler.context_factory()).staple

    def test_a_wait_without_hope_ends_early(self, place: Place) -> None:
        """When the next attempt would come after the wait, there is nothing to wait for."""
        place.write()
        place.responders.down = True
        stapler = place.stapler(settings=Settings(start_wait=timedelta(seconds=4)))
        stapler.startService()
        ready = Outcome(stapler.ready())
        place.go(3.9)
        assert ready.over

    def test_no_responder(self, place: Place) -> None:
        """A certificate without a responder holds nothing up, and raises no alarm."""
        place.write(responder_urls=[])
        stapler = place.stapler()
        stapler.startService()
        ready = Outcome(stapler.ready())
        place.go(1)
        assert ready.over
        assert not place.responders.asked

    def test_warm(self, place: Place) -> None:
        """A second start takes the staple from the store and asks nobody."""
        place.write()
        place.stop(place.started())
        asked = len(place.responders.asked)
        stapler = place.started()
        assert handshake(stapler.context_factory()).staple
        assert len(place.responders.asked) == asked

    @pytest.mark.parametrize(
        ("options", "problem"),
        [
            ({"responder_urls": []}, "it names no responder"),
            ({"issuer": False}, "its issuer is not known"),
        ],
    )
    def test_never(self, place: Place, logged: list[dict[str, Any]], options: dict[str, Any], problem: str) -> None:
        """A must-staple certificate that never can be stapled is an alarm before anything listens."""
        issuer = options.pop("issuer", True)
        leaf = place.write(must_staple=True, **options)
        if not issuer:
            place.cut_chain(leaf)
        stapler = place.stapler()
        stapler.load()
        assert [problem in alarm for alarm in alarms(logged)] == [True]
        assert [finding.level for finding in stapler.stage.findings()] == ["critical"]

    def test_feature_17(self, place: Place) -> None:
        """TLS feature 17 is found to be one that cannot be met."""
        place.write(must_staple_v2=True)
        stapler = place.stapler()
        stapler.load()
        assert [finding.level for finding in stapler.stage.findings()] == ["warn"]
        assert "TLS feature 17" in str(stapler.stage.findings()[0])

    def test_expired(self, place: Place, logged: list[dict[str, Any]]) -> None:
        """An expired leaf is an alarm, and is served."""
        leaf = place.write(not_before=place.ca.now() - timedelta(days=9), not_after=place.ca.now() - timedelta(days=1))
        stapler = place.started()
        assert "expired at 2027-01-14" in alarms(logged)[0]
        assert handshake(stapler.context_factory()).leaf == leaf.certificate


class TestReload:
    def test_unchanged(self, place: Place) -> None:
        """A reload without changes keeps every site, context included."""
        place.write()
        stapler = place.started()
        live = stapler.stage.live
        assert place.run(stapler.reload()) == Reloaded()
        assert stapler.stage.live == live

    def test_swap(self, place: Place) -> None:
        """A new certificate is shown from the moment on in which it has its staple; until then the old pair is."""
        old = place.write()
        stapler = place.started()
        factory = stapler.context_factory()
        place.responders.delay = 2
        new = place.write()
        reloading = Outcome(stapler.reload())
        for _ in range(40):
            seen = handshake(factory)
            assert seen.staple
            assert seen.leaf == (new.certificate if reloading.over else old.certificate)
            place.go(0.25)
        assert reloading.value().swapped == stapler.stage.live
        assert stapler.stage.live[0].handshakes["stapled"] == 40

    def test_old_is_let_go(self, place: Place) -> None:
        """After a swap nobody is asked about the old certificate any more."""
        old = place.write()
        stapler = place.started()
        place.write()
        place.run(stapler.reload())
        with pytest.raises(KeyError):
            stapler.keeper.refresher.status(old.fingerprint)
        assert len(stapler.stage.cache) == 1

    @pytest.mark.parametrize(("must_staple", "seconds"), [(False, 10), (True, 30)])
    def test_waits(self, place: Place, *, must_staple: bool, seconds: int) -> None:
        """A reload waits 10 s for the staple, 30 s for a must-staple certificate, and then swaps all the same."""
        place.write()
        stapler = place.started()
        new = place.write(must_staple=must_staple)
        place.responders.delay = 44
        reloading = Outcome(stapler.reload())
        place.go(seconds - 1)
        assert handshake(stapler.context_factory()).leaf != new.certificate
        place.go(2)
        assert handshake(stapler.context_factory()).leaf == new.certificate
        assert reloading.over

    def test_staple_from_the_store(self, place: Place) -> None:
        """A staple that the store has makes the swap at once, with the responder down."""
        place.write()
        stapler = place.started()
        new = place.write()
        place.run(place.store.save(new.fingerprint, place.ca.respond(new), expires=place.ca.now()))
        place.responders.down = True
        place.run(stapler.reload(), within=2)
        seen = handshake(stapler.context_factory())
        assert seen.leaf == new.certificate
        assert seen.staple

    def test_two_after_each_other(self, place: Place) -> None:
        """Reloads that overlap happen one after the other, and the last word holds."""
        place.write()
        stapler = place.started()
        place.responders.delay = 3
        place.write()
        first = Outcome(stapler.reload())
        place.go(1)
        last = place.write(prefix="b-")
        second = Outcome(stapler.reload([place.site("b-")]))
        place.go(1.5)
        assert not first.over
        place.go(1)
        assert first.over
        assert not second.over
        place.go(4)
        assert second.over
        assert handshake(stapler.context_factory()).leaf == last.certificate

    def test_other_sites(self, place: Place) -> None:
        """Sites come and go, and the first one is the default."""
        first = place.write(prefix="a-")
        second = place.write("b.example", prefix="b-")
        stapler = place.started(place.site("a-"))
        factory = stapler.context_factory()
        place.run(stapler.reload([place.site("b-"), place.site("a-")]))
        assert handshake(factory).leaf == second.certificate
        assert handshake(factory, server_name="a.example").leaf == first.certificate
        place.run(stapler.reload([place.site("b-")]))
        assert handshake(factory, server_name="a.example").leaf == second.certificate

    def test_shared_leaf(self, place: Place) -> None:
        """A leaf of two sites is kept as long as one of them shows it."""
        leaf = place.write()
        one, two = place.site(names=["one.example"]), place.site(names=["two.example"])
        stapler = place.started(one, two)
        place.run(stapler.reload([two]))
        assert handshake(stapler.context_factory(), server_name="two.example").staple
        assert stapler.keeper.refresher.status(leaf.fingerprint) is not None


class TestFailures:
    def test_keeps_the_old(self, place: Place, logged: list[dict[str, Any]]) -> None:
        """A certificate that can't be used leaves the old one as it is, and raises the alarm."""
        old = place.write()
        stapler = place.started()
        place.site().certificate[0].write_text("nonsense")
        done = place.run(stapler.reload())
        assert done.swapped == ()
        assert "no PEM certificate in it" in str(done.failures[0])
        assert "no PEM certificate in it" in alarms(logged)[0]
        assert handshake(stapler.context_factory()).leaf == old.certificate
        assert list(stapler.stage.failures) == [place.site()]
        new = place.write()
        assert place.run(stapler.reload()).failures == ()
        assert not stapler.stage.failures
        assert handshake(stapler.context_factory()).leaf == new.certificate

    def test_others_go_on(self, place: Place) -> None:
        """One certificate that can't be used keeps no other from being swapped."""
        bad = place.write(prefix="a-")
        place.write("b.example", prefix="b-")
        stapler = place.started(place.site("a-"), place.site("b-"))
        place.site("a-").certificate[0].unlink()
        new = place.write("b.example", prefix="b-")
        done = place.run(stapler.reload())
        assert len(done.swapped) == len(done.failures) == 1
        assert handshake(stapler.context_factory()).leaf == bad.certificate
        assert handshake(stapler.context_factory(), server_name="b.example").leaf == new.certificate

    def test_pair_in_the_making(self, place: Place) -> None:
        """A pair whose key comes 3 s after its certificate is no failure."""
        place.write()
        stapler = place.started()
        new = place.ca.issue("a.example", responder_urls=["http://responder.example/"])
        place.responders.authorities[new.fingerprint] = place.ca
        place.site().certificate[0].write_bytes(new.fullchain_pem)
        reloading = Outcome(stapler.reload())
        place.go(3)
        assert not reloading.over
        place.site().private_key[0].write_bytes(new.key_pem())
        place.go(2)
        assert reloading.value().failures == ()
        assert handshake(stapler.context_factory()).leaf == new.certificate

    def test_pair_that_stays_wrong(self, place: Place) -> None:
        """A pair that still doesn't fit after 5 s is wrong."""
        place.write()
        stapler = place.started()
        place.site().certificate[0].write_bytes(place.ca.issue("a.example").fullchain_pem)
        reloading = Outcome(stapler.reload())
        place.go(4.5)
        assert not reloading.over
        place.go(1)
        assert "does not fit" in str(reloading.value().failures[0])

    def test_new_site_that_fails(self, place: Place) -> None:
        """A new site that can't be used is left out; the others are there."""
        leaf = place.write()
        stapler = place.started()
        done = place.run(stapler.reload([place.site(), place.site("missing-")]))
        assert "no such file" in str(done.failures[0])
        assert handshake(stapler.context_factory()).leaf == leaf.certificate
        assert len(stapler.stage.live) == 1

    def test_new_files_of_the_same_names(self, place: Place) -> None:
        """A site whose new files can't be used goes on with its old ones, which it has by its names."""
        leaf = place.write()
        stapler = place.started(place.site(names=["a.example"]))
        done = place.run(stapler.reload([place.site("missing-", names=["a.example"])]))
        assert len(done.failures) == 1
        assert handshake(stapler.context_factory()).leaf == leaf.certificate

    def test_nothing_left(self, place: Place) -> None:
        """Where nothing of the new sites can be used, everything stays."""
        leaf = place.write()
        stapler = place.started()
        done = place.run(stapler.reload([place.site("missing-")]))
        assert len(done.failures) == 1
        assert handshake(stapler.context_factory()).leaf == leaf.certificate
        assert stapler.stage.sites == (place.site(),)

    def test_two_sites_with_one_name(self, place: Place) -> None:
        """Two sites with one name change nothing at all."""
        leaf = place.write()
        place.write(prefix="b-")
        stapler = place.started()
        sites = [place.site(names=["a.example"]), place.site("b-", names=["a.example"])]
        done = place.run(stapler.reload(sites))
        assert "is also a name of" in str(done.failures[0])
        assert handshake(stapler.context_factory()).leaf == leaf.certificate

    def test_no_sites(self, place: Place) -> None:
        """A reload to no sites at all changes nothing."""
        place.write()
        stapler = place.started()
        assert place.run(stapler.reload([])).swapped == ()
        assert len(stapler.stage.live) == 1

    def test_leaves_nothing_behind(self, place: Place) -> None:
        """A reload that changes nothing leaves no entry of what it read in the cache."""
        place.write(prefix="a-")
        stapler = place.started(place.site("a-"))
        place.write(prefix="b-")
        sites = [place.site("a-", names=["a.example"]), place.site("b-", names=["a.example"])]
        assert place.run(stapler.reload(sites)).failures
        assert len(stapler.stage.cache) == 1


class TestWatch:
    def test_change(self, place: Place) -> None:
        """Files that change are noticed within seconds, without anybody's asking."""
        place.write()
        stapler = place.started()
        new = place.write()
        place.go(3)
        seen = handshake(stapler.context_factory())
        assert seen.leaf == new.certificate
        assert seen.staple

    def test_change_of_one(self, place: Place) -> None:
        """Of many sites only the one whose files changed is read again."""
        place.write(prefix="a-")
        place.write("b.example", prefix="b-")
        stapler = place.started(place.site("a-"), place.site("b-"))
        before = stapler.stage.live
        place.write("b.example", prefix="b-")
        place.go(3)
        assert stapler.stage.live[0] is before[0]
        assert stapler.stage.live[1] is not before[1]

    def test_bad_change(self, place: Place, logged: list[dict[str, Any]]) -> None:
        """A change that can't be used is an alarm once; the next good change mends it."""
        old = place.write()
        stapler = place.started()
        place.site().private_key[0].write_text("nonsense")
        place.go(20)
        assert len(alarms(logged)) == 1
        assert handshake(stapler.context_factory()).leaf == old.certificate
        new = place.write()
        place.go(3)
        assert handshake(stapler.context_factory()).leaf == new.certificate
        assert not stapler.stage.failures

    def test_vanished(self, place: Place, logged: list[dict[str, Any]]) -> None:
        """Files that vanish are an alarm, and are served from memory."""
        old = place.write()
        stapler = place.started()
        for path in place.site().files:
            path.unlink()
        place.go(10)
        assert "no such file" in alarms(logged)[0]
        assert handshake(stapler.context_factory()).leaf == old.certificate

    def test_ticket_keys(self, place: Place) -> None:
        """Ticket keys are renewed by the hour hand, not by anybody's asking."""
        place.write()
        stapler = place.started()
        before = stapler.stage.front.base("intermediate")
        place.go(5)
        assert stapler.stage.front.base("intermediate") is before
        place.clock.advance(TICKET_KEY_SECONDS)
        assert stapler.stage.front.base("intermediate") is not before

    def test_a_fault_does_not_end_it(self, place: Place, logged: list[dict[str, Any]]) -> None:
        """A fault while looking at the files is logged, and the next look is made."""
        place.write()
        stapler = place.started()
        watch = stapler.stage.watch
        stapler.stage.watch = None  # type: ignore[assignment]
        place.go(2)
        assert any("log_failure" in event for event in logged)
        stapler.stage.watch = watch
        new = place.write()
        place.go(3)
        assert handshake(stapler.context_factory()).leaf == new.certificate


class TestIssuer:
    def test_found(self, place: Place) -> None:
        """An issuer that was fetched is sent to clients too, and stays so over a reload."""
        leaf = place.write(issuer_urls=["http://responder.example/ca.der"])
        place.cut_chain(leaf)
        place.responders.issuer = place.ca
        stapler = place.stapler()
        stapler.load()
        assert handshake(stapler.context_factory()).peer_chain == (leaf.certificate,)
        stapler.startService()
        place.run(stapler.ready())
        for _ in range(2):
            seen = handshake(stapler.context_factory())
            assert seen.peer_chain == (leaf.certificate, place.ca.certificate)
            assert seen.staple
            place.run(stapler.reload())


class TestRefuse:
    def test_until_ready(self, place: Place) -> None:
        """A site that refuses is refused while its staple is waited for, and shown with it."""
        leaf = place.write(must_staple=True)
        place.responders.delay = 5
        stapler = place.stapler(place.site(must_staple="refuse"))
        stapler.startService()
        with pytest.raises(HandshakeFailed):
            handshake(stapler.context_factory())
        place.run(stapler.ready())
        assert handshake(stapler.context_factory()).leaf == leaf.certificate


class TestSelfCheck:
    def test_well(self, place: Place, logged: list[dict[str, Any]]) -> None:
        """After start every certificate's staple comes out of a handshake that nobody counts."""
        place.write()
        stapler = place.started()
        assert place.run(stapler.self_check()) == ()
        assert not alarms(logged)
        assert not stapler.stage.live[0].handshakes

    def test_other_bytes(self, place: Place, logged: list[dict[str, Any]]) -> None:
        """A staple that OpenSSL drops, as it does what is no DER, is an alarm."""
        leaf = place.write()
        stapler = place.started()
        entry = stapler.stage.cache.entry(leaf.fingerprint)
        held = entry.held
        assert held is not None
        entry.held = type(held)(b"no DER", held.cut_off, held.staple)
        (mismatch,) = place.run(stapler.self_check())
        assert "staple" in mismatch.problem
        assert mismatch.problem in alarms(logged)[0]

    @pytest.mark.parametrize("preset", ["intermediate", "modern"])
    @pytest.mark.parametrize(("first", "second"), [("rsa", "ec"), ("ed25519", "rsa"), ("ec", "ed25519")])
    def test_two_keys(self, place: Place, preset: Any, first: str, second: str) -> None:
        """Both certificates of a site are looked at, whatever the listeners speak."""
        place.write("a.example", key=first, prefix="r-")
        place.write("*.a.example", key=second, prefix="e-")
        rsa, ecdsa = place.site("r-"), place.site("e-")
        site = SiteCertificate(rsa.certificate + ecdsa.certificate, rsa.private_key + ecdsa.private_key)
        stapler = place.started(site, preset=preset)
        assert place.run(stapler.self_check()) == ()
        for entry in stapler.stage.cache:
            held = entry.held
            assert held is not None
            entry.held = type(held)(b"no DER", held.cut_off, held.staple)
        assert len(place.run(stapler.self_check())) == 2

    def test_other_site(self, place: Place) -> None:
        """A certificate of another site in place of one's own is an alarm."""
        place.write(prefix="a-")
        place.write("b.example", prefix="b-")
        stapler = place.started(place.site("a-"), place.site("b-"))
        first, second = stapler.stage.live
        stapler.stage.front.table = SiteTable([first])
        (mismatch,) = place.run(stapler.self_check([second]))
        assert "another site's certificate" in mismatch.problem
        assert stapler.stage.live == (first, second)

    def test_no_handshake(self, place: Place) -> None:
        """A handshake that fails is an alarm."""
        place.write()
        stapler = place.started()
        stapler.stage.front.table = None
        (mismatch,) = place.run(stapler.self_check())
        assert "a handshake in memory failed" in mismatch.problem

    def test_sample(self) -> None:
        """Of thousands of sites a hundred are looked at, evenly spread."""
        assert sample(range(5)) == range(5)  # type: ignore[arg-type, comparison-overlap]
        picked = list(sample(range(10_000)))  # type: ignore[arg-type]
        assert len(picked) == MAX_CHECKED
        assert picked[1] == 100  # type: ignore[comparison-overlap]


class TestStop:
    def test_stops(self, place: Place) -> None:
        """After a stop nothing is due any more."""
        place.write()
        place.stop(place.started())
        place.go(2)
        assert not [call for call in place.clock.getDelayedCalls() if call.getTime() > place.clock.seconds()]

    def test_in_the_middle_of_a_reload(self, place: Place) -> None:
        """A stop ends a reload that is under way."""
        place.write()
        stapler = place.started()
        place.responders.delay = 9
        place.write()
        reloading = Outcome(stapler.reload())
        place.go(1)
        place.stop(stapler)
        with pytest.raises(CancelledError):
            reloading.value()

    def test_before_start(self, place: Place) -> None:
        """A stapler that never started can be stopped."""
        place.write()
        place.stop(place.stapler())


def test_presets(place: Place) -> None:
    """A factory speaks the stapler's preset, or its own."""
    place.write()
    stapler = place.started(preset="modern")
    with pytest.raises(HandshakeFailed):
        handshake(stapler.context_factory(), max_version="TLSv1.2")
    assert handshake(stapler.context_factory(preset="intermediate"), max_version="TLSv1.2").staple


def test_one_clock(place: Place) -> None:
    """A Retry-After that is a date is compared with the clock that everything else goes by."""
    place.write()
    assert place.stapler().keeper._client._wall_clock == place.clock.seconds


def test_state_directory(place: Place, tmp_path: Path) -> None:
    """With a state directory staples are files."""
    leaf = place.write()
    stapler = Stapler(
        [place.site()],
        state_dir=tmp_path / "state",
        reactor=place.clock,
        wall_clock=place.clock.seconds,
        fetcher=place.responders,
    )
    stapler.startService()
    place.run(stapler.ready())
    place.go(1)
    assert (tmp_path / "state" / f"{leaf.fingerprint.hex()}.der").read_bytes()
