"""The JSON object of a status."""

from __future__ import annotations

import json
from datetime import timedelta

from ops.statuses import NOON, certificate, reloaded, status, workers

from staplesrv.ops.status import State
from staplesrv.ops.status_document import document
from staplesrv.staples.cache import Reason


def test_everything_is_in_it() -> None:
    """As JSON has it; times in UTC."""
    found = document(
        status(workers=workers(State.SERVING, State.STARTING, replaced=2), reload=reloaded("done", "a.pem"))
    )
    assert json.loads(json.dumps(found)) == found
    assert found == {
        "verdict": "warning",
        "summary": "1 of 2 workers serve",
        "version": "1.2.3",
        "pid": 99,
        "state": "serving",
        "checked_at": "2026-05-04T12:00:00Z",
        "started_at": "2026-05-04T11:00:00Z",
        "listeners": ["127.0.0.1:443"],
        "last_reload": {"at": "2026-05-04T11:59:00Z", "good": True, "line": "done", "failures": ["a.pem"]},
        "failures": [],
        "workers": {
            "wanted": 2,
            "serving": 1,
            "replaced": 2,
            "processes": [
                {
                    "seat": seat,
                    "pid": 100 + seat,
                    "state": state,
                    "last_sign_of_life": "2026-05-04T12:00:00Z",
                    "connections": 3,
                }
                for seat, state in ((1, "serving"), (2, "starting"))
            ],
        },
        "connections": {"open": 3, "accepted": 10, "closed": {"lost": 1, "handshake-rate": 2}},
        "requests": {"received": 20, "too_many": {"a.example": 4}},
        "responders": {"new": 5, "failed:connect": 6},
        "handshakes": {"a.example": {"stapled": 7}},
        "certificates": [
            {
                "verdict": "ok",
                "site": "a.example",
                "names": ["a.example"],
                "file": "/etc/a.example.pem",
                "sha256": "ab" * 32,
                "not_after": "2026-06-03T12:00:00Z",
                "must_staple": False,
                "stapled": True,
                "reason": "ok",
                "last_failure": None,
                "stapled_until": "2026-05-06T12:00:00Z",
                "seconds_left": 2 * 86400,
                "next_question": "2026-05-05T12:00:00Z",
            }
        ],
    }


def test_what_is_not_known_is_null() -> None:
    """The keys are there all the same."""
    one = certificate(reason=Reason.FETCH_FAILED, next_question=None, last_failure="refused")
    found = document(status(one, now=NOON + timedelta(seconds=0.5)))
    assert found["last_reload"] is None
    shown = found["certificates"][0]
    assert shown["last_failure"] == "refused"
    assert [shown[key] for key in ("stapled_until", "seconds_left", "next_question")] == [None] * 3
    assert shown.keys() == document(status())["certificates"][0].keys()
