"""Where the admin interface may be, and how it is written."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.endpoints import serverFromString

from staplesrv.ops.admin_address import AdminAddress, BadAdminAddress


@pytest.mark.parametrize(
    ("text", "found", "shown"),
    [
        ("tcp:9443:interface=127.0.0.1", AdminAddress("127.0.0.1", 9443), "127.0.0.1:9443"),
        ("tcp:0:interface=localhost", AdminAddress("localhost", 0), "localhost:0"),
        (r"tcp:9443:interface=\:\:1", AdminAddress("::1", 9443), "[::1]:9443"),
        ("tcp:1:interface=127.8.8.8", AdminAddress("127.8.8.8", 1), "127.8.8.8:1"),
        ("unix:/run/a", AdminAddress(path=Path("/run/a"), mode=0o600), "unix:/run/a"),
        ("unix:a:mode=660", AdminAddress(path=Path("a"), mode=0o660), "unix:a"),
        (r"unix:/run/a\:b", AdminAddress(path=Path("/run/a:b")), "unix:/run/a:b"),
    ],
)
def test_places_that_strangers_can_t_reach(text: str, found: AdminAddress, shown: str) -> None:
    """Loopback, or a file that is its owner's unless something else is said."""
    assert AdminAddress.parse(text) == found
    assert AdminAddress.asked(text) == found
    assert str(found) == shown
    assert AdminAddress.parse(found.endpoint) == found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "tcp:9443",
            "would be open to everybody, and asks nobody who they are; write tcp:9443:interface=127.0.0.1, or",
        ),
        (
            "tcp:9443:interface=192.0.2.1",
            "192.0.2.1 can be reached from elsewhere, and the admin interface asks nobody",
        ),
        ("tcp:9443:interface=0.0.0.0", "0.0.0.0 can be reached from elsewhere"),
        (r"tcp:9443:interface=\:\:", ":: can be reached from elsewhere"),
        ("tcp:9443:interface=example.org", "'example.org' is no address; use 127.0.0.1, or ::1"),
        ("tcp:9443:interface=", "'' is no address"),
        ("tcp:x:interface=127.0.0.1", "'x' is no port; write it like tcp:9443:interface=127.0.0.1, or unix:"),
        ("tcp:65536:interface=127.0.0.1", "'65536' is no port"),
        ("tcp:9443:interface=127.0.0.1:backlog=5", "'backlog' does not go with it; leave it out; there is interface"),
        ("unix:/run/a:mode=rw", "mode='rw' is no set of permissions; write it like mode=660"),
        ("unix:/run/a:lockfile=0", "'lockfile' does not go with it; leave it out; there is mode"),
        ("unix:", "'unix:' is no place for it; write it like"),
        ("ssl:9443", "'ssl:9443' is no place for it"),
        ("", "'' is no place for it"),
    ],
)
def test_what_is_no_such_place(text: str, said: str) -> None:
    """With what to write instead."""
    with pytest.raises(BadAdminAddress) as caught:
        AdminAddress.parse(text)
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("tcp:9443", AdminAddress("127.0.0.1", 9443)),
        ("127.0.0.1:9443", AdminAddress("127.0.0.1", 9443)),
        ("localhost:9443", AdminAddress("localhost", 9443)),
        ("[::1]:9443", AdminAddress("::1", 9443)),
    ],
)
def test_who_asks_may_write_less(text: str, found: AdminAddress) -> None:
    """As for any other server."""
    assert AdminAddress.asked(text) == found


@pytest.mark.parametrize("text", ["9443", "example.org:9443", "192.0.2.1:80", "http://127.0.0.1:9443", "tcp:99999"])
def test_who_asks_for_something_else_is_told(text: str) -> None:
    """A server of elsewhere has no such interface for us."""
    with pytest.raises(BadAdminAddress):
        AdminAddress.asked(text)


def test_relative_paths_count_from_a_folder() -> None:
    """Ports from none."""
    assert AdminAddress.parse("unix:a").within(Path("/etc")).path == Path("/etc/a")
    assert AdminAddress.parse("unix:/a").within(Path("/etc")).path == Path("/a")
    port = AdminAddress("127.0.0.1", 1)
    assert port.within(Path("/etc")) is port


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), min_size=1))
def test_every_path_comes_through(path: str) -> None:
    """Written down as an endpoint, and read by Twisted as well as by us."""
    address = AdminAddress(path=Path("/run") / f"x{path}")
    assert AdminAddress.parse(address.endpoint) == address
    endpoint = serverFromString(None, address.endpoint)  # type: ignore[no-untyped-call]
    assert (endpoint._address, endpoint._mode) == (str(address.path), 0o600)


@given(st.text())
def test_whatever_is_written_is_an_address_or_an_error_of_ours(text: str) -> None:
    """No other error comes out."""
    for read in (AdminAddress.parse, AdminAddress.asked):
        try:
            assert str(read(text))
        except BadAdminAddress as error:
            assert error.advice  # noqa: PT017 - it may be raised or not
