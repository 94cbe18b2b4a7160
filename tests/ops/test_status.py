"""What is well, what needs a look, and what is bad; and the one sentence for it."""

from __future__ import annotations

from typing import Any

import pytest
from ops.statuses import certificate, reloaded, status, workers

from staplesrv.ops.report import Verdict
from staplesrv.ops.status import State, out_of_service
from staplesrv.staples.cache import Reason


@pytest.mark.parametrize(
    ("certificates", "said"),
    [
        ([certificate()], "the certificate is stapled"),
        ([certificate(), certificate("b.example")], "all 2 certificates are stapled"),
        (
            [certificate(), certificate("b.example", Reason.NO_URL)],
            "1 of 2 certificates are stapled, the others name no responder to ask",
        ),
        (
            [certificate(reason=Reason.SHORT_LIVED)],
            "0 of 1 certificates are stapled, the others name no responder to ask",
        ),
    ],
)
def test_well_is_where_everything_that_can_be_is_stapled(certificates: list[Any], said: str) -> None:
    """A certificate that names no responder, and need not, is well without."""
    judged = status(*certificates).judged()
    assert (judged.verdict, judged.text) == (Verdict.OK, said)


@pytest.mark.parametrize(
    ("reason", "must_staple", "verdict"),
    [
        (Reason.NO_URL, False, Verdict.OK),
        (Reason.NO_URL, True, Verdict.CRITICAL),
        (Reason.DISABLED, False, Verdict.OK),
        (Reason.NO_ISSUER, False, Verdict.WARNING),
        (Reason.PENDING, False, Verdict.WARNING),
        (Reason.PENDING, True, Verdict.WARNING),
        (Reason.FETCH_FAILED, False, Verdict.WARNING),
        (Reason.FETCH_FAILED, True, Verdict.CRITICAL),
        (Reason.STALE, False, Verdict.WARNING),
        (Reason.UNKNOWN, False, Verdict.WARNING),
        (Reason.REVOKED, False, Verdict.CRITICAL),
    ],
)
def test_how_bad_a_missing_staple_is(reason: Reason, must_staple: bool, verdict: Verdict) -> None:  # noqa: FBT001 - a table
    """By why, and by whether clients insist."""
    one = certificate(reason=reason, must_staple=must_staple, last_failure="refused")
    judged = status(one).judged()
    assert judged.verdict is verdict
    if verdict is not Verdict.OK:
        assert judged.text == f"a.example has no staple: {reason}: refused"


@pytest.mark.parametrize(
    ("changes", "verdict", "said"),
    [
        ({"state": State.STARTING}, Verdict.WARNING, "starting: nobody can connect yet"),
        ({"state": State.STOPPING}, Verdict.WARNING, "stopping"),
        ({"stalled": True}, Verdict.CRITICAL, "staples are not looked after any more"),
        ({"workers": workers(State.STARTING, State.STOPPING)}, Verdict.CRITICAL, "no worker serves"),
        ({"workers": workers(State.STARTING, State.SERVING)}, Verdict.WARNING, "1 of 2 workers serve"),
        ({"workers": workers(State.STOPPING, State.SERVING, wanted=1)}, Verdict.OK, "the certificate is stapled"),
        ({"reload": reloaded()}, Verdict.OK, "the certificate is stapled"),
        ({"reload": reloaded("a.toml: bad", good=False)}, Verdict.WARNING, "the last reload failed: a.toml: bad"),
        ({"failures": ("a.pem: gone", "b.pem: gone")}, Verdict.WARNING, "a.pem: gone (and 1 more)"),
    ],
)
def test_what_else_is_looked_at(changes: dict[str, Any], verdict: Verdict, said: str) -> None:
    """The service itself, its processes, the configuration."""
    judged = status(**changes).judged()
    assert (judged.verdict, judged.text) == (verdict, said)


def test_the_worst_is_what_is_said() -> None:
    """Whatever else there is."""
    revoked = certificate("b.example", Reason.REVOKED)
    judged = status(certificate(reason=Reason.STALE), revoked, reload=reloaded("bad", good=False)).judged()
    assert (judged.verdict, judged.text) == (Verdict.CRITICAL, "b.example has no staple: revoked")


@pytest.mark.parametrize(
    ("state", "serving", "said"),
    [
        (State.STARTING, State.SERVING, "starting: nobody can connect yet"),
        (State.SERVING, State.SERVING, ""),
        (State.SERVING, State.STARTING, "no worker serves"),
        (State.STOPPING, State.SERVING, "stopping"),
    ],
)
def test_whether_clients_should_come(state: State, serving: State, said: str) -> None:
    """Staples are no part of it."""
    assert out_of_service(state, workers(serving)) == said
