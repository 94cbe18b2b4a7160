"""What a worker tells of itself."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from staplesrv.rates import Rates
from staplesrv.server.processes import reports
from staplesrv.server.processes.worker import Heritage, Worker


@pytest.fixture
def worker() -> Worker:
    """One without orders."""
    clock = Clock()
    return Worker(clock, Heritage({}, Rates(clock.seconds)))


def test_one_that_leaves_says_so_first(worker: Worker) -> None:
    """Then it is replaced, and waited for no more."""
    transport = StringTransport()
    worker.channel.makeConnection(transport)
    worker.terminate()
    said = reports.packed(reports.Leaving())
    assert transport.value() == len(said).to_bytes(4) + said
    assert transport.disconnecting


def test_what_does_not_fit_into_one_report_is_in_the_next(worker: Worker) -> None:
    """And nothing is in both."""
    sites: dict[int, Any] = {number: SimpleNamespace(handshakes=Counter(stapled=number)) for number in (1, 2, 3)}
    worker._sites, worker._counted = sites, {number: Counter() for number in sites}
    refused = Counter({"site 1": 4, "site 2": 5})
    assert list(islice(worker._new_handshakes(), 2)) == [(1, "stapled", 1), (2, "stapled", 2)]
    assert list(islice(worker._new_refused(refused), 1)) == [("site 1", 4)]
    assert list(islice(worker._new_handshakes(), 2)) == [(3, "stapled", 3)]
    assert list(islice(worker._new_refused(refused), 1)) == [("site 2", 5)]
    sites[1].handshakes["stapled"] += 1
    refused["site 1"] += 1
    assert list(worker._new_handshakes()) == [(1, "stapled", 1)]
    assert list(worker._new_refused(refused)) == [("site 1", 1)]
