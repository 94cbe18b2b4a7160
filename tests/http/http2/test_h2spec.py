"""The cases of h2spec, on a short wire."""

from __future__ import annotations

import pytest
from h2spec import CASES, Case
from http2_client import Client
from wire import Echo


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.section}: {case.name}")
def test_case(case: Case) -> None:
    """A server that h2spec tries does what the RFC demands."""
    client = Client(Echo(), greet=case.greet)
    case.do(client)
    client.wire.vanish()


def test_there_are_as_many_cases_as_in_h2spec() -> None:
    """None was left out: h2spec has 146, of which some are here more than once."""
    assert len(CASES) >= 146
