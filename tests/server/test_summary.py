"""What is served, in one line."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from server.fake_site import FakeLoaded, FakeSite

from staplesrv.server.summary import MOST, address, serving
from staplesrv.staples.cache import Entry, Held, Reason
from staplesrv.tls.site import SiteCertificate

NOW = 1_800_000_000.0


def entry(*, left: float | None = None, reason: Reason = Reason.OK) -> Entry:
    """An entry with a staple for so many more seconds, or none."""
    made = Entry(b"")
    made.reason = reason
    if left is not None:

        class Staple:
            cut_off = datetime.fromtimestamp(NOW, UTC) + timedelta(seconds=left)

        made.held = Held(b"der", NOW + left, Staple())  # type: ignore[arg-type]
    return made


def site(*entries: Entry, names: tuple[str, ...] = ("a.example",), implied: tuple[str, ...] = ()) -> Any:
    """A site with these entries."""

    class Site(FakeSite):
        pass

    made = Site(FakeLoaded(SiteCertificate("a.pem")), names, implied, where="/etc/a.pem")
    object.__setattr__(made, "entries", entries)
    return made


def test_a_staple_is_told_with_its_end() -> None:
    """Until when handshakes get this one."""
    line = serving([("0.0.0.0", 443), ("::", 443, 0, 0)], [site(entry(left=60))], NOW)
    assert line == "serving on 0.0.0.0:443, [::]:443: a.example stapled until 2027-01-15 08:01:00 UTC"


def test_no_staple_is_told_with_its_reason() -> None:
    """One that is past its cut-off is stale, whatever was thought of it before."""
    line = serving(["/run/a.sock"], [site(entry(reason=Reason.NO_URL), entry(left=-1))], NOW)
    assert line == "serving on /run/a.sock: a.example without a staple (no-url), a.example without a staple (stale)"


def test_a_site_is_called_by_what_it_has() -> None:
    """Its first name, else its certificate's, else the certificate's file."""
    assert "b.example without" in serving(
        [], [site(entry(reason=Reason.PENDING), names=(), implied=("b.example",))], NOW
    )
    assert "/etc/a.pem without" in serving([], [site(entry(reason=Reason.PENDING), names=())], NOW)


def test_many_certificates_are_counted() -> None:
    """The line stays one that can be read."""
    many = [site(entry(reason=Reason.PENDING)) for _ in range(10_000)]
    line = serving([], many, NOW)
    assert line.endswith(f", {10_000 - MOST} more")
    assert len(line) < 1000


def test_a_name_can_t_steer_the_terminal() -> None:
    """It may come out of a certificate."""
    assert "\x1b" not in serving([], [site(entry(left=1), names=(), implied=("\x1b[2J",))], NOW)


@pytest.mark.parametrize(
    ("of_socket", "said"),
    [(("127.0.0.1", 1), "127.0.0.1:1"), (("::1", 1, 0, 0), "[::1]:1"), ("/a", "/a"), (b"\0abstract", "\0abstract")],
)
def test_an_address_is_written_as_people_do(of_socket: Any, said: str) -> None:
    """IPv6 in brackets; a UNIX socket by its path."""
    assert address(of_socket) == said
