"""A server's status as lines for people."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from ops.statuses import NOON, certificate, reloaded, status, workers

from staplesrv.ops.status import State, Status
from staplesrv.ops.status_document import document
from staplesrv.server.commands.status_output import MOST, lines
from staplesrv.staples.cache import Reason


def shown(of: Status | None = None, **changes: Any) -> list[str]:
    """The lines, a minute later."""
    return lines(document(of or status(**changes)), "unix:/run/a", NOON + timedelta(minutes=1))


def test_a_server_that_is_well() -> None:
    """The verdict first, then certificates, then the rest."""
    assert shown() == [
        "OK - unix:/run/a: the certificate is stapled",
        "",
        "  a.example   stapled until 2026-05-06 12:00:00 UTC, in 1 d 23 h",
        "",
        "  server         serving, started 1 h 1 min ago, staplesrv 1.2.3, pid 99",
        "  listens on     127.0.0.1:443",
        "  workers        1 of 1 serve, 0 were replaced",
        "  connections    3 open, 10 so far, 20 requests",
        "  not in order   lost 1, handshake-rate 2, request-rate 4",
    ]


def test_the_worst_certificates_come_first() -> None:
    """Then those whose staples end soonest."""
    soon = certificate("soon.example", stapled_until=NOON + timedelta(hours=1))
    failed = certificate("failed.example", Reason.FETCH_FAILED, last_failure="connection refused")
    revoked = certificate("revoked.example", Reason.REVOKED)
    none = certificate("none.example", Reason.NO_URL, next_question=None)
    found = shown(status(certificate(), none, soon, failed, revoked))
    assert found[0] == "CRITICAL - unix:/run/a: revoked.example has no staple: revoked"
    assert [line.split()[0] for line in found[2:7]] == [
        *("revoked.example", "failed.example", "none.example", "soon.example", "a.example")
    ]
    assert found[3].endswith("without a staple, fetch-failed: connection refused; asked again in 23 h 59 min")
    assert found[4].endswith("without a staple, no-url")


def test_of_many_certificates_some_are_shown() -> None:
    """And how many more there are."""
    found = shown(status(*(certificate(f"{number}.example") for number in range(MOST + 5))))
    assert sum("stapled until" in line for line in found) == MOST
    assert "  and 5 more" in found


def test_what_went_wrong_is_below() -> None:
    """The last reload, sites that can't be used, workers that were replaced."""
    crew = workers(State.SERVING, State.STARTING, replaced=3)
    found = shown(workers=crew, reload=reloaded("a.toml: bad", good=False), failures=("a.pem: gone", "b.pem: gone"))
    assert "  workers         1 of 2 serve, 3 were replaced" in found
    assert "  last reload     2 min ago: failed: a.toml: bad" in found
    assert found[-2:] == ["  can't be used   a.pem: gone", "  can't be used   b.pem: gone"]
    assert "  last reload    2 min ago: reloaded" in shown(reload=reloaded())


def test_of_many_failures_some_are_shown() -> None:
    """And how many more there are."""
    found = shown(failures=tuple(f"{number}.pem: gone" for number in range(MOST + 5)))
    assert sum(": gone" in line for line in found[1:]) == MOST
    assert found[-1] == "  can't be used   and 5 more"


def test_no_bar_is_in_the_first_line() -> None:
    """Monitoring takes what follows one for performance data."""
    assert "|" not in shown(failures=("a|b",))[0]
