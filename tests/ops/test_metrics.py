"""Metrics, as Prometheus' own library reads them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ops.statuses import NOON, certificate, reloaded, status, workers
from prometheus_client.parser import text_string_to_metric_families

from staplesrv.ops.metrics import Family, exposition, families
from staplesrv.ops.status import State, Status
from staplesrv.staples.cache import Reason

UNITS = ("_seconds", "_total")


def samples(of: Status) -> dict[str, float]:
    """Name and labels of each sample, and its value; none is there twice."""
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(exposition(of)):
        for sample in family.samples:
            key = " ".join([sample.name.removeprefix("staplesrv_"), *sample.labels.values()])
            assert key not in found
            found[key] = sample.value
    return found


def test_what_there_is() -> None:
    """Every number of a status has its sample."""
    found = samples(status(workers=workers(State.SERVING, State.STARTING, replaced=2), failures=("a",)))
    noon, hour, day = NOON.timestamp(), 3600, 86400
    expected = {
        "info 1.2.3": 1,
        "start_time_seconds": noon - hour,
        "serving": 1,
        "workers_wanted": 2,
        "workers_serving": 1,
        "worker_replacements_total": 2,
        "last_reload_successful": 1,
        "last_reload_time_seconds": noon - hour,
        "unusable_sites": 1,
        "connections_open": 3,
        "connections_accepted_total": 10,
        "connections_closed_total lost": 1,
        "connections_closed_total handshake-rate": 2,
        "requests_total": 20,
        "requests_refused_total a.example": 4,
        "handshakes_total a.example stapled": 7,
        "responder_answers_total new": 5,
        "responder_answers_total failed:connect": 6,
        "refresher_stalled": 0,
        **{f"certificates {reason}": int(reason is Reason.OK) for reason in Reason},
        "staple_present a.example /etc/a.example.pem": 1,
        "staple_expiry_seconds a.example /etc/a.example.pem": noon + 2 * day,
        "certificate_expiry_seconds a.example /etc/a.example.pem": noon + 30 * day,
    }
    assert found == expected


def test_a_reload_that_failed_and_a_staple_that_is_missing() -> None:
    """What has no staple has no end of it, either."""
    found = samples(status(certificate(reason=Reason.STALE), reload=reloaded(good=False), state=State.STOPPING))
    assert (found["last_reload_successful"], found["serving"]) == (0, 0)
    assert found["last_reload_time_seconds"] == NOON.timestamp() - 60
    assert found["staple_present a.example /etc/a.example.pem"] == 0
    assert not [key for key in found if key.startswith("staple_expiry")]


def test_names_follow_the_rules() -> None:
    """What only grows ends in `_total`; each has a help of one line; no name is there twice."""
    found = list(families(status()))
    assert len({family.name for family in found}) == len(found)
    for family in found:
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", family.name)
        assert family.name.endswith("_total") is (family.kind == "counter")
        assert re.fullmatch(r"[ -~]+\.", family.help)
        assert "\\" not in family.help


@pytest.mark.parametrize("text", ['a"b', "a\\b", "a\nb", "a\\nb", "", "é", '"} 1\nx'])
def test_labels_are_escaped(text: str) -> None:
    """A file may be called anything."""
    assert_comes_through(text)


@given(st.text(st.characters(exclude_categories=("Cs",))))
def test_any_label_comes_through(text: str) -> None:
    """As it went in."""
    assert_comes_through(text)


def assert_comes_through(text: str) -> None:
    """What the parser finds is what was there."""
    lines = "".join(Family("a", "gauge", "A number.", [({"label": text, "other": "b"}, 1.5)]).lines())
    (family,) = text_string_to_metric_families(lines)
    (sample,) = family.samples
    assert (sample.name, sample.labels, sample.value) == ("staplesrv_a", {"label": text, "other": "b"}, 1.5)
