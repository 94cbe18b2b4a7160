"""Where backends are, and how they are treated: what operators may write."""

from __future__ import annotations

from typing import Any

import pytest
from passage import Passage

from staplesrv.errors import OperatorError
from staplesrv.http.proxy.address import BackendAddress
from staplesrv.http.proxy.proxy import Proxy
from staplesrv.http.proxy.settings import ProxySettings


@pytest.mark.parametrize(
    ("url", "address", "authority"),
    [
        ("http://127.0.0.1:8080", BackendAddress("http", "127.0.0.1", 8080), b"127.0.0.1:8080"),
        ("HTTP://App.Internal/", BackendAddress("http", "app.internal", 80), b"app.internal"),
        ("https://a-b.example", BackendAddress("https", "a-b.example", 443), b"a-b.example"),
        ("https://[2001:DB8::1]:8443", BackendAddress("https", "2001:db8::1", 8443), b"[2001:db8::1]:8443"),
        ("unix:/run/app.sock", BackendAddress("unix", path="/run/app.sock"), b"localhost"),
    ],
)
def test_a_backend_has_an_address(url: str, address: BackendAddress, authority: bytes) -> None:
    """A name or an IP address with a port, or a socket."""
    assert BackendAddress.parse(url) == address
    assert address.authority == authority
    assert BackendAddress.parse(str(address)) == address


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:8080",
        "ftp://a",
        "http://",
        "http://:80",
        "http://a:0",
        "http://a:",
        "http://a:x",
        "http://a:70000",
        "http://a/path",
        "http://a?b",
        "http://a#b",
        "http://user@a",
        "http://a b",
        "http://a\r\nb",
        "http://[::1",
        "http://[fe80::1%25eth0]",
        "http://-a",
        "http://ü.example",
        "unix:",
        "unix:run/app.sock",
        "unix:/a\0b",
    ],
)
def test_a_slip_in_an_address_is_named(url: str) -> None:
    """With the place where it stands, and how it is written."""
    with pytest.raises(OperatorError, match=r"^here: .*; write http://host:port"):
        BackendAddress.parse(url, where="here")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("connect_seconds", 0),
        ("answer_seconds", float("nan")),
        ("idle_seconds", 1e9),
        ("tunnel_seconds", -1),
        ("kept", -1),
        ("connections", 0),
        ("host", b""),
        ("host", b"a\r\nb"),
        ("host", b"a b"),
        ("upgrades", frozenset({b"h2c"})),
    ],
)
def test_a_slip_in_a_setting_is_named(key: str, value: Any) -> None:
    """By its key."""
    with pytest.raises(OperatorError, match=key):
        ProxySettings(**{key: value})


def test_a_proxy_has_a_backend() -> None:
    """Without one there is nothing to pass on to."""
    with pytest.raises(ValueError, match="without a backend"):
        Proxy([], dial=Passage().backend, clock=Passage().clock)  # type: ignore[arg-type]
