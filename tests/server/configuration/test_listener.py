"""Where to listen."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from staplesrv.errors import OperatorError
from staplesrv.server.configuration import listener as module
from staplesrv.server.configuration.listener import DEFAULT_PROTOCOLS, Listener, long_listeners, short_listeners
from staplesrv.server.configuration.place import Place

HERE = Place("a.toml")

pieces = st.sampled_from(
    ["tcp", "tcp6", "unix", "systemd", "haproxy", "ssl", ":", "=", "\\", "443", "interface", "index"]
)
endpoints = st.lists(pieces | st.text(max_size=4), max_size=8).map("".join)


def refusal(endpoint: str) -> str:
    """What is said about an endpoint that can't be used."""
    with pytest.raises(OperatorError) as caught:
        list(short_listeners(endpoint, HERE))
    return str(caught.value).removeprefix("a.toml: listen: ")


def long_refusal(**table: object) -> str:
    """What is said about one of [[listeners]] that can't be used."""
    with pytest.raises(OperatorError) as caught:
        list(long_listeners([{"endpoint": "tcp:443"}, {"endpoint": "tcp:444", **table}], HERE))
    return str(caught.value).removeprefix("a.toml: ")


def test_the_short_form_is_one_endpoint_or_several() -> None:
    """Everything else has its default."""
    assert list(short_listeners("tcp:443", HERE)) == [Listener("tcp:443", "intermediate", DEFAULT_PROTOCOLS)]
    assert [one.endpoint for one in short_listeners(["tcp:443", "tcp:444"], HERE)] == ["tcp:443", "tcp:444"]
    assert list(short_listeners(None, HERE)) == []


@pytest.mark.parametrize(
    "endpoint",
    ["tcp:0", "tcp:65535", "tcp:443:interface=127.0.0.1", r"tcp6:443:interface=\:\:1", "unix:/run/a.sock:mode=600"],
)
def test_twisted_s_endpoints_are_taken(endpoint: str) -> None:
    """As they stand, without being listened on."""
    assert [one.endpoint for one in short_listeners(endpoint, HERE)] == [endpoint]


def test_the_long_form_says_more() -> None:
    """Versions and ciphers by Mozilla's name, and ALPN names in order."""
    table = {"endpoint": "tcp:8443", "tls": "modern", "protocols": ["http/1.1", "http/1.1"]}
    assert list(long_listeners([table], HERE)) == [Listener("tcp:8443", "modern", ("http/1.1",))]
    assert list(long_listeners(None, HERE)) == []


def test_http2_comes_first_where_it_is_installed() -> None:
    """It is, where these tests run."""
    assert DEFAULT_PROTOCOLS == ("h2", "http/1.1")


def test_http2_is_refused_where_it_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rather than left out without a word."""
    monkeypatch.setattr(module, "H2_ENABLED", False)
    said = long_refusal(protocols=["h2"])
    assert said.startswith("listener 2: protocols: h2 needs a library that is not installed; install it")


def test_no_protocols_at_all_are_refused() -> None:
    """No client could talk to such a listener."""
    assert long_refusal(protocols=[]).startswith("listener 2: protocols: is empty;")


def test_an_error_names_the_listener_by_number() -> None:
    """Counted from one."""
    assert long_refusal(tsl="modern") == "listener 2: tsl: unknown key; did you mean tls?"
    assert (
        long_refusal(endpoint="tcp:x")
        == "listener 2: endpoint: 'tcp:x' has no port number; give one from 0 to 65535, as in tcp:443"
    )


@pytest.mark.parametrize("endpoint", ["ssl:443", "tls:tcp:443", "staple:443:certificate=a", "SSL:443"])
def test_an_endpoint_with_tls_of_its_own_is_refused(endpoint: str) -> None:
    """TLS inside of TLS is nothing that a browser speaks."""
    assert refusal(endpoint).endswith("brings TLS of its own; name the plain endpoint, like tcp:443")


@pytest.mark.parametrize("endpoint", ["tcp", "tcp:", "tcp:x", "tcp:-1", "tcp:65536", "tcp:port=443", "tcp6:a", "tcp:٣"])
def test_a_port_is_a_number(endpoint: str) -> None:
    """From 0, which takes a free one, to 65535."""
    assert "has no port number" in refusal(endpoint)


def test_a_bare_port_has_its_endpoint_suggested() -> None:
    """The usual slip."""
    assert refusal("8443").endswith("did you mean tcp:8443?")


@pytest.mark.parametrize(
    "endpoint",
    [
        "",
        "nope:1",
        "unix",
        "\\",
        "a=b",
        "tcp:443:interface=::1",
        "tcp:1:2:3:4:5",
        "unix:/a:mode=999",
        "systemd:domain=INET:index=0",
    ],
)
def test_what_is_no_endpoint_is_refused(endpoint: str) -> None:
    """However Twisted's parser takes it; none of its function names gets out."""
    said = refusal(endpoint)
    assert "is no endpoint" in said
    assert "_parse" not in said
    assert r"\:" in said


@given(endpoints)
def test_any_text_ends_in_a_listener_or_in_one_line(endpoint: str) -> None:
    """Nothing is bound, nothing is opened."""
    try:
        assert [one.endpoint for one in short_listeners(endpoint, HERE)] == [endpoint]
    except OperatorError as error:
        assert "\n" not in str(error)  # noqa: PT017 - a value is just as good
