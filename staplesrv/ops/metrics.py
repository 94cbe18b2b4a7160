"""A status as metrics, in Prometheus' text format 0.0.4.

Everything is counted elsewhere already, so that a client library would be left to write lines, and these are fewer than
an adapter to it; the tests read them with that library's parser. How many series there are the configuration alone
decides: labels are names of sites, files, and words of ours, never what a client said.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from staplesrv.ops.status import State, Status
from staplesrv.staples.cache import Reason

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_ESCAPES: Final = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


@dataclass(frozen=True, slots=True)
class Family:
    """One metric.

    Args:
        name: Without the prefix that all have.
        kind: A counter only grows, and begins anew with the process; a gauge goes both ways.
        help: What it is, on one line.
        samples: Labels and values; none of the labels twice.
    """

    name: str
    kind: Literal["counter", "gauge"]
    help: str
    samples: Iterable[tuple[Mapping[str, str], float]]

    def lines(self) -> Iterator[str]:
        """Return the lines of the text format."""
        name = f"staplesrv_{self.name}"
        yield f"# HELP {name} {self.help}\n"
        yield f"# TYPE {name} {self.kind}\n"
        for labels, value in self.samples:
            inside = ",".join(f'{key}="{text.translate(_ESCAPES)}"' for key, text in labels.items())
            # The plus makes a number of a truth.
            yield f"{name}{{{inside}}} {+value}\n" if inside else f"{name} {+value}\n"


def exposition(status: Status) -> str:
    """Return the text of `/metrics`."""
    return "".join(line for family in families(status) for line in family.lines())


def families(status: Status) -> Iterator[Family]:
    """Return all metrics of a status."""
    yield from _server(status)
    yield from _clients(status)
    yield from _staples(status)


def _server(status: Status) -> Iterator[Family]:
    workers, reload = status.workers, status.reload
    yield Family("info", "gauge", "The program that runs.", [({"version": status.version}, 1)])
    yield _one("start_time_seconds", "gauge", "When it started, since the epoch.", _seconds(status.since))
    yield _one("serving", "gauge", "Whether clients can connect.", status.state is State.SERVING)
    yield _one("workers_wanted", "gauge", "Processes that should serve.", workers.wanted)
    yield _one("workers_serving", "gauge", "Processes that do.", workers.serving)
    yield _one("worker_replacements_total", "counter", "Workers that ended and should not have.", workers.replaced)
    good = reload is None or reload.good
    yield _one("last_reload_successful", "gauge", "Whether the last reload was taken over.", good)
    at = _seconds(status.since if reload is None else reload.at)
    yield _one("last_reload_time_seconds", "gauge", "When it ended, since the epoch; at first, the start.", at)
    yield _one("unusable_sites", "gauge", "Sites whose files can't be used as they are.", len(status.failures))


def _clients(status: Status) -> Iterator[Family]:
    traffic = status.traffic
    yield _one("connections_open", "gauge", "Connections that are open.", traffic.open)
    yield _one("connections_accepted_total", "counter", "Connections that were let in.", traffic.accepted)
    said = "Connections that were refused by a limit, or did not end in order, and why."
    yield Family("connections_closed_total", "counter", said, _by("reason", traffic.closed))
    yield _one("requests_total", "counter", "Requests.", traffic.requests)
    said = "Requests that were too much for request_rate, and got a 429."
    yield Family("requests_refused_total", "counter", said, _by("site", traffic.refused))
    ended = (
        ({"site": site, "outcome": outcome}, count)
        for site, outcomes in status.handshakes.items()
        for outcome, count in outcomes.items()
    )
    yield Family("handshakes_total", "counter", "Finished handshakes, and what became of the staple.", ended)


def _staples(status: Status) -> Iterator[Family]:
    said = "What responders answered, or why there was no answer."
    yield Family("responder_answers_total", "counter", said, _by("outcome", status.answers))
    yield _one("refresher_stalled", "gauge", "Whether staples are not looked after any more.", status.stalled)
    reasons = Counter(one.reason for one in status.certificates)
    counts = {str(reason): reasons[reason] for reason in Reason}
    yield Family("certificates", "gauge", "Certificates, by why they have a staple or none.", _by("reason", counts))
    labels = [{"site": one.site, "file": one.file} for one in status.certificates]
    rows = list(zip(labels, status.certificates, strict=True))
    yield Family("staple_present", "gauge", "Whether it is stapled.", ((label, one.stapled) for label, one in rows))
    until = ((label, _seconds(one.stapled_until)) for label, one in rows if one.stapled_until is not None)
    yield Family("staple_expiry_seconds", "gauge", "Until when its staple is shown, since the epoch.", until)
    ends = ((label, _seconds(one.not_after)) for label, one in rows)
    yield Family("certificate_expiry_seconds", "gauge", "When it ends, since the epoch.", ends)


def _one(name: str, kind: Literal["counter", "gauge"], said: str, value: float) -> Family:
    return Family(name, kind, said, [({}, value)])


def _by(label: str, counts: Mapping[str, int]) -> Iterator[tuple[Mapping[str, str], float]]:
    return (({label: word}, count) for word, count in counts.items())


def _seconds(time: datetime) -> float:
    return time.timestamp()
