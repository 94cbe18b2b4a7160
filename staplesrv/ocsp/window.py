"""From when to when a response holds, and whether that is now (RFC 6960 §4.2.2.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509

from staplesrv.ocsp.rejection import RejectReason, ResponseRejected
from staplesrv.ocsp.single import Single
from staplesrv.ocsp.text import moment
from staplesrv.ocsp.verified import cut_off

CLOCK_SKEW: Final = timedelta(seconds=300)
"""How far ahead of our clock a responder's may be."""


@dataclass(frozen=True, slots=True)
class Window:
    """From when to when all that was said holds.

    Args:
        this_update: T.
        next_update: nextUpdate; None where there is none.
        expires: E: the earliest of nextUpdate, the end of the signer's certificate and the end of the leaf.
    """

    this_update: datetime
    next_update: datetime | None
    expires: datetime


@dataclass(frozen=True, slots=True)
class WindowCheck:
    """Works out the window, and refuses what is not current.

    Args:
        now: The time, aware.
        missing_next_update: How long a response without nextUpdate holds; None refuses it.
        signer: The name of the signer, for the refusals.
    """

    now: datetime
    missing_next_update: timedelta | None
    signer: str

    def window(self, singles: Sequence[Single], signer: x509.Certificate, leaf: x509.Certificate | None) -> Window:
        """Say from when to when single responses hold that count equally.

        Args:
            singles: At least one.
            signer: The certificate of who signed them.
            leaf: The certificate they speak of, where it is at hand.

        Raises:
            ResponseRejected: that is not now.
        """
        # Which of several a client looks at is not known, so all of them must hold: from the latest thisUpdate to the
        # earliest nextUpdate. Looking at the newest alone could staple what half of the clients take for expired.
        start = max(single.this_update for single in singles)
        # RFC 6960 §4.2.2.1: thisUpdate later than now is unreliable. A difference, as a sum may pass the year 9999.
        if start - self.now > CLOCK_SKEW:
            detail = f"thisUpdate {moment(start)} of {self.signer} is ahead of our clock, {moment(self.now)}"
            raise ResponseRejected(RejectReason.FUTURE, detail)
        ends = [(min(map(self._end, singles)), "nextUpdate"), (signer.not_valid_after_utc, "its signer's certificate")]
        if leaf is not None:
            ends.append((leaf.not_valid_after_utc, "the certificate itself"))
        expires, ending = min(ends)
        if expires <= start or cut_off(start, expires) <= self.now:
            detail = f"a response of {self.signer} from {moment(start)} ends with {ending} at {moment(expires)}"
            raise ResponseRejected(RejectReason.STALE, detail)
        said = [single.next_update for single in singles if single.next_update is not None]
        return Window(start, min(said, default=None), expires)

    def _end(self, single: Single) -> datetime:
        end, start = single.ends(self.missing_next_update), single.this_update
        if end is None:
            raise ResponseRejected(RejectReason.NO_NEXT_UPDATE, f"{self.signer} set no nextUpdate")
        if end <= start:
            detail = f"nextUpdate {moment(end)} of {self.signer} is not after thisUpdate {moment(start)}"
            raise ResponseRejected(RejectReason.INVERTED_TIMES, detail)
        return end
