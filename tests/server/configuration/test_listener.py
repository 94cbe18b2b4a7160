"""Where to listen."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path

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
        list(long_listeners([{"endpoint": "tcp:443"}, {"endpoint": "tcp:444", **table}], HERE, Path("/nowhere")))
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
    assert list(long_listeners([table], HERE, Path("/"))) == [Listener("tcp:8443", "modern", ("http/1.1",))]
    assert list(long_listeners(None, HERE, Path("/"))) == []


def test_a_listener_may_trust_proxies(tmp_path: Path) -> None:
    """Networks, or single addresses."""
    table = {"endpoint": "tcp:1", "proxy_protocol_from": ["10.0.0.0/8", "2001:db8::1"]}
    (listener,) = long_listeners([table], HERE, tmp_path)
    assert listener.proxy_protocol_from == (ip_network("10.0.0.0/8"), ip_network("2001:db8::1/128"))


def test_a_listener_without_tls_leads_to_https(tmp_path: Path) -> None:
    """To the usual port unless another is named; the folder of ACME challenges counts from the file."""
    (tmp_path / "acme").mkdir()
    table = {"endpoint": "tcp:80", "tls": "off", "acme_challenges": "acme"}
    (listener,) = long_listeners([table], HERE, tmp_path)
    assert (listener.tls, listener.https_port, listener.acme_challenges) == (None, 443, tmp_path / "acme")
    (other,) = long_listeners([{"endpoint": "tcp:80", "tls": "off", "https_port": 8443}], HERE, tmp_path)
    assert (other.https_port, other.acme_challenges) == (8443, None)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"https_port": 8443}, 'https_port: is for listeners with tls = "off"; add tls = "off", or leave it out'),
        ({"acme_challenges": "x"}, 'acme_challenges: is for listeners with tls = "off"; add'),
        ({"tls": "off", "protocols": ["h2"]}, 'protocols: does not go with tls = "off"; leave it out, or tls = "off"'),
        ({"tls": "off", "proxy_protocol_from": ["10.0.0.1"]}, 'proxy_protocol_from: does not go with tls = "off"; '),
        ({"tls": "off", "https_port": 0}, "https_port: is 0; give a port from 1 to 65535"),
        ({"tls": "off", "acme_challenges": ""}, "acme_challenges: is empty; name the directory that the ACME client"),
        ({"tls": "off", "acme_challenges": "x"}, "acme_challenges: /nowhere/x: does not exist; check the path"),
        (
            {"proxy_protocol_from": ["10.0.0.1/8"]},
            "proxy_protocol_from: '10.0.0.1/8' has bits beyond its mask; did you",
        ),
        (
            {"endpoint": "unix:/s", "reuse_port": True},
            "reuse_port: is for tcp: and tcp6: endpoints alone; leave it out",
        ),
        ({"endpoint": "haproxy:tcp:1", "reuse_port": True}, "reuse_port: is for tcp: and tcp6: endpoints alone"),
        ({"proxy_protocol_from": ["x"]}, "proxy_protocol_from: 'x' is no network; write it like 10.0.0.0/8"),
    ],
)
def test_a_key_that_says_nothing_here_is_refused(table: dict[str, object], said: str) -> None:
    """Nobody is to think that such a setting does something."""
    assert long_refusal(**table).startswith(f"listener 2: {said}")


def test_workers_may_have_sockets_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the kernel parts connections between them."""
    for endpoint in ("tcp:443", r"tcp6:443:interface=\:\:1"):
        (listener,) = long_listeners([{"endpoint": endpoint, "reuse_port": True}], HERE, Path("/"))
        assert listener.reuse_port
    monkeypatch.setattr(module, "CAN_REUSE_PORT", False)
    assert long_refusal(reuse_port=True) == "listener 2: reuse_port: is for Linux alone; leave it out"


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
        "systemd:domain=INET",
    ],
)
def test_what_is_no_endpoint_is_refused(endpoint: str) -> None:
    """However Twisted's parser takes it; none of its function names gets out."""
    said = refusal(endpoint)
    assert "is no endpoint" in said
    assert "_parse" not in said
    assert r"\:" in said


def test_a_socket_of_systemd_is_looked_for_when_it_is_bound() -> None:
    """A configuration is checked without systemd, too."""
    (listener,) = short_listeners("systemd:name=https", HERE)
    assert listener.endpoint == "systemd:name=https"


@given(endpoints)
def test_any_text_ends_in_a_listener_or_in_one_line(endpoint: str) -> None:
    """Nothing is bound, nothing is opened."""
    try:
        assert [one.endpoint for one in short_listeners(endpoint, HERE)] == [endpoint]
    except OperatorError as error:
        assert "\n" not in str(error)  # noqa: PT017 - a value is just as good
