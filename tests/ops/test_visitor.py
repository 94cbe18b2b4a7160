"""Who may look, and who may steer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from staplesrv.ops.visitor import is_at_home, may_steer


@pytest.mark.parametrize(
    "host", ["localhost", "LocalHost:9443", "127.0.0.1", "127.0.0.1:9443", "[::1]", "[::1]:9443", "192.0.2.1", "::1"]
)
def test_addresses_and_localhost_are_at_home(host: str) -> None:
    """No name leads there but by the system's own word."""
    assert is_at_home([host]) is (host != "::1")  # which is not how Host has it


@pytest.mark.parametrize(
    "host", ["example.org", "localhost.example.org", "127.0.0.1.example.org", "", ":80", "[::1", "a:b:c", "localhost."]
)
def test_names_are_not(host: str) -> None:
    """Somebody else says where they lead, and may say another thing a moment later."""
    assert not is_at_home([host])
    assert not is_at_home(["localhost", host])


def test_no_host_is_no_browser() -> None:
    """A health check over HTTP/1.0 may have none."""
    assert is_at_home([])


@pytest.mark.parametrize(
    ("origins", "sites", "may"),
    [
        ([], [], True),
        ([], ["none"], True),
        ([], ["same-origin"], True),
        ([], ["cross-site"], False),
        ([], ["same-site"], False),
        ([], ["none", "cross-site"], False),
        (["https://evil.example"], [], False),
        (["http://127.0.0.1:9443"], ["same-origin"], False),
        (["null"], [], False),
        ([""], [], False),
    ],
)
def test_what_a_page_has_sent_may_not_steer(origins: list[str], sites: list[str], may: bool) -> None:  # noqa: FBT001 - a table
    """A page's requests say where they come from; a program's say nothing."""
    assert may_steer(origins, sites) is may


@given(st.lists(st.text()))
def test_any_host_gets_an_answer(hosts: list[str]) -> None:
    """Whatever it is."""
    assert is_at_home(hosts) in (True, False)
