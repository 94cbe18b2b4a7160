"""Certificates whose responses come out of a file."""

from __future__ import annotations

import base64
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.logger import LogLevel

from staplesrv.staples.assignment import Assignment
from staplesrv.staples.cache import Reason

HOUR = 3600.0
DAY = 24 * HOUR
POLL = 3.0


class Filed:
    """A certificate with a response file, which is written by the test."""

    def __init__(self, world: Any, path: Path) -> None:
        self.world = world
        self.path = path
        self.assignment = world.assign(world.leaf(responder_urls=[]), staple_file=path)
        self.writes = 0

    def write(self, content: bytes) -> bytes:
        """Replace the file; each version has a time of its own."""
        self.writes += 1
        self.path.write_bytes(content)
        os.utime(self.path, (self.writes, self.writes))
        return content

    def respond(self, status: str = "good", **options: Any) -> bytes:
        """A response for the certificate."""
        made: bytes = self.world.respond(self.assignment, status, **options)
        return made

    def add(self) -> None:
        """Hand it to a refresher."""
        self.world.make().add(self.assignment)

    def poll(self, times: int = 1) -> None:
        """Let time pass for so many looks."""
        self.world.clock.pump([POLL] * times)

    @property
    def served(self) -> bytes:
        """What handshakes get."""
        found: bytes = self.world.served(self.assignment)
        return found

    @property
    def reason(self) -> Reason:
        """Why there is a staple or none."""
        found: Reason = self.world.status(self.assignment).reason
        return found


@pytest.fixture
def filed(world: Any, tmp_path: Path) -> Filed:
    """A certificate with a response file that is not there yet."""
    return Filed(world, tmp_path / "response.der")


def test_what_is_in_the_file_is_served(filed: Filed) -> None:
    """A sound response in the file is served at once, and no responder is asked, not in a week."""
    response_der = filed.write(filed.respond(life=30 * DAY))
    filed.add()
    assert filed.served == response_der
    filed.world.clock.pump([HOUR] * 24 * 7)
    assert (filed.served, filed.world.asked) == (response_der, 0)


def test_pem_and_base64_are_served_as_der(filed: Filed) -> None:
    """Whatever its wrapping, what leaves the server is the DER."""
    response_der = filed.respond()
    filed.write(base64.encodebytes(response_der))
    filed.add()
    assert filed.served == response_der


def test_a_new_file_is_noticed(filed: Filed) -> None:
    """A newer response is served within seconds of being put there."""
    filed.write(filed.respond())
    filed.add()
    filed.world.clock.advance(DAY)
    newer = filed.write(filed.respond())
    filed.poll()
    assert filed.served == newer


def test_an_older_file_is_ignored(filed: Filed) -> None:
    """A response older than the one held is ignored, as one from a responder would be."""
    first = filed.write(filed.respond())
    filed.add()
    filed.write(filed.respond(age=DAY))
    filed.poll()
    assert filed.served == first
    assert filed.world.status(filed.assignment).ignored == 1


def test_a_missing_file_is_said_and_waited_for(filed: Filed) -> None:
    """Without a file there is one warning that names it; when it turns up it is served, and that is said."""
    filed.add()
    assert filed.reason is Reason.FETCH_FAILED
    filed.poll(20)
    (line,) = filed.world.said(LogLevel.warn)
    assert str(filed.path) in line
    response_der = filed.write(filed.respond())
    filed.poll()
    assert filed.served == response_der
    assert "in order again" in filed.world.said()[0]


def test_a_file_that_goes_leaves_the_staple(filed: Filed) -> None:
    """When the file is taken away, what it held is served to its cut-off."""
    response_der = filed.write(filed.respond())
    filed.add()
    filed.path.unlink()
    filed.poll()
    assert filed.served == response_der
    assert len(filed.world.said(LogLevel.warn)) == 1


def test_a_bad_file_is_said(filed: Filed) -> None:
    """A file with something else in it is a warning, and no staple."""
    filed.write(b"not a response")
    filed.add()
    assert (filed.served, filed.reason) == (b"", Reason.FETCH_FAILED)
    assert len(filed.world.said(LogLevel.warn)) == 1


def test_a_file_for_another_certificate_is_an_error(filed: Filed) -> None:
    """A response for another certificate does not verify."""
    filed.write(filed.world.good(filed.world.assign()))
    filed.add()
    assert (filed.served, filed.reason) == (b"", Reason.VERIFY_FAILED)
    assert len(filed.world.said(LogLevel.error)) == 1


def test_half_a_file_gets_a_second_look(filed: Filed) -> None:
    """A file that is being written is not called wrong while it is."""
    filed.write(filed.respond())
    filed.add()
    filed.world.clock.advance(DAY)
    newer = filed.respond()
    filed.write(newer[:100])
    filed.poll()
    filed.write(newer)
    filed.poll()
    assert filed.served == newer
    assert filed.world.said() == []


def test_a_file_that_stays_half_is_said(filed: Filed) -> None:
    """A file that is as wrong at the second look is said to be."""
    first = filed.write(filed.respond())
    filed.add()
    filed.write(filed.respond()[:100])
    filed.poll(2)
    assert filed.served == first
    assert len(filed.world.said(LogLevel.warn)) == 1


def test_a_response_whose_time_comes(filed: Filed) -> None:
    """A response from the future is served when its time has come, without the file being touched."""
    response_der = filed.write(filed.respond(age=-HOUR))
    filed.add()
    assert filed.served == b""
    assert "clock" in filed.world.said()[0]
    filed.poll(int(HOUR / POLL))
    assert filed.served == response_der


def test_a_file_that_is_not_renewed_is_stale(filed: Filed) -> None:
    """Past the cut-off the staple is not served, and a warning says that the file is stale."""
    filed.write(filed.respond(life=DAY))
    filed.add()
    filed.world.clock.pump([60.0] * (60 * 24 + 30))
    assert (filed.served, filed.reason) == (b"", Reason.STALE)
    assert len(filed.world.said(LogLevel.warn)) == 1


def test_a_revoked_certificate_out_of_a_file(filed: Filed) -> None:
    """A revocation in the file drops the staple and is remembered, also when an older file takes its place."""
    good = filed.write(filed.respond(age=HOUR))
    filed.add()
    assert filed.served == good
    filed.write(filed.respond("revoked"))
    filed.poll()
    assert (filed.served, filed.reason) == (b"", Reason.REVOKED)
    filed.write(good)
    filed.world.restart().add(filed.assignment)
    filed.poll(3)
    assert (filed.served, filed.reason) == (b"", Reason.REVOKED)


def test_the_store_bridges_a_missing_file(filed: Filed) -> None:
    """After a restart without the file, what was read before is served."""
    response_der = filed.write(filed.respond())
    filed.add()
    filed.path.unlink()
    filed.world.restart().add(filed.assignment)
    assert filed.served == response_der


def test_refresh_looks_at_once(filed: Filed) -> None:
    """Asking for a refresh looks at the file now, changed or not."""
    filed.write(filed.respond())
    filed.add()
    filed.world.clock.advance(1)
    newer = filed.write(filed.respond())
    refresher = filed.world.refreshers[0]
    assert refresher.refresh(filed.assignment.fingerprint).called
    assert filed.served == newer
    assert refresher.refresh(filed.assignment.fingerprint).called


def test_a_disk_that_hangs_is_said(filed: Filed) -> None:
    """A look that never ends is a failure after 10 s; it is not begun again, and when it ends it counts."""
    response_der = filed.write(filed.respond())
    filed.add()
    never: Deferred[Any] = Deferred()
    case = filed.world.refreshers[0]._cases[filed.assignment.fingerprint]
    case.file.under_way = never
    filed.world.clock.pump([0.5] * 30)
    (line,) = filed.world.said(LogLevel.warn)
    assert "has not answered for 10 s" in line
    assert filed.served == response_der
    filed.world.clock.advance(DAY)
    newer = filed.respond()
    never.callback(((0,), newer))
    filed.poll(2)
    assert filed.served == newer


def test_a_disk_that_hangs_does_not_hold_up_the_end(filed: Filed) -> None:
    """A stop waits for a look that hangs, but not for ever."""
    filed.write(filed.respond())
    filed.add()
    filed.world.refreshers[0]._cases[filed.assignment.fingerprint].file.under_way = Deferred()
    filed.poll()
    stopped = filed.world.refreshers.pop().stopService()
    assert not stopped.called
    filed.world.clock.advance(10)
    assert stopped.called


def test_settled_without_a_file(filed: Filed) -> None:
    """`settled` does not wait for a file that is not there."""
    filed.add()
    refresher = filed.world.refreshers[0]
    assert Deferred.fromCoroutine(refresher.settled(filed.assignment.fingerprint)).called


def test_no_issuer(filed: Filed) -> None:
    """Without the issuer's certificate a file can't be verified; that is said instead of looking at it."""
    filed.write(filed.respond())
    assignment = Assignment.for_leaf(filed.assignment.leaf, (), staple_file=filed.path, settings=filed.world.settings)
    filed.world.make().add(assignment)
    assert filed.world.status(assignment).reason is Reason.NO_ISSUER


def test_a_clock_set_back_does_not_stop_the_looks(filed: Filed) -> None:
    """After the clock was set back the file is looked at as before."""
    filed.write(filed.respond(age=DAY, life=30 * DAY))
    filed.add()
    filed.world.step = -HOUR
    filed.poll()
    newer = filed.write(filed.world.respond(filed.assignment, life=30 * DAY))
    filed.poll(2)
    assert filed.served == newer


def test_the_leaf_expires(filed: Filed) -> None:
    """When the certificate has expired the file is left alone."""
    filed.write(filed.respond(life=1000 * DAY))
    filed.add()
    filed.world.step = 1000 * DAY
    filed.poll()
    assert filed.world.status(filed.assignment).next_attempt is None
    assert timedelta(0) < filed.world.now - filed.assignment.not_after
