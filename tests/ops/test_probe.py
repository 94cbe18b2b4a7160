"""Real connections on loopback, to servers good and bad."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import timedelta
from itertools import count

import pytest
from OpenSSL import SSL
from ops.tls_server import close_early, hang, say, serve, tls

from staplesrv.ops.address import Address
from staplesrv.ops.check import Observation, Trouble
from staplesrv.ops.probe import MAX_HANDSHAKE, Question, observe
from staplesrv.testing import CertificateAuthority

CA = CertificateAuthority()
LEAF = CA.issue("example.org")
STAPLE = CA.respond(LEAF)


def look(port: int, host: str = "127.0.0.1", timeout: float = 10) -> tuple[Observation, ...]:
    """Both versions of a server on loopback."""
    return observe(Question(Address(host, port), "example.org", (CA.certificate,), timedelta(seconds=timeout)))


def troubles(observations: tuple[Observation, ...]) -> list[Trouble | None]:
    """What went wrong in each version."""
    return [observation.trouble for observation in observations]


def test_each_version_is_a_connection_of_its_own() -> None:
    """TLS 1.3 first; the staple, the chain and its verification are those of the version."""
    staples = {"TLSv1.3": STAPLE, "TLSv1.2": b""}
    with serve(tls(LEAF, staples)) as port:
        observations = look(port)
    found = [observation.seen for observation in observations if observation.seen]
    assert [seen.version for seen in found] == ["TLSv1.3", "TLSv1.2"]
    assert [seen.staple for seen in found] == [STAPLE, b""]
    assert all(seen.verified and seen.leaf == LEAF.certificate for seen in found)


@pytest.mark.parametrize(
    ("version", "spoken"), [(SSL.TLS1_2_VERSION, [False, True]), (SSL.TLS1_3_VERSION, [True, False])]
)
def test_a_version_that_the_server_lacks_is_not_spoken(version: int, spoken: list[bool]) -> None:
    """The alert says so, and it is no trouble of the network."""
    with serve(tls(LEAF, STAPLE, versions=(version, version))) as port:
        observations = look(port)
    assert [observation.seen is not None for observation in observations] == spoken
    missing = observations[spoken.index(False)]
    assert missing.trouble is Trouble.NOT_SPOKEN
    assert "protocol_version" in missing.detail


@pytest.mark.parametrize(
    "alert", [b"\x15\x03\x03\x00\x02\x02\x28", b"\x15\x03\x03\x00\x02\x02\x46"], ids=["handshake_failure", "version"]
)
def test_an_alert_of_a_server_from_before_a_version_means_that_it_is_not_spoken(alert: bytes) -> None:
    """Servers that overlook where TLS 1.3 is offered find no cipher."""
    with serve(say(alert)) as port:
        assert troubles(look(port)) == [Trouble.NOT_SPOKEN] * 2


def test_another_alert_is_trouble() -> None:
    """internal_error is no word about versions."""
    with serve(say(b"\x15\x03\x03\x00\x02\x02\x50")) as port:
        observations = look(port)
    assert troubles(observations) == [Trouble.BROKEN] * 2
    assert "internal_error" in observations[0].detail


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 here")
def test_ipv6_is_spoken_too() -> None:
    """By its address."""
    with serve(tls(LEAF, STAPLE), socket.AF_INET6) as port:
        assert troubles(look(port, "::1")) == [None, None]


def test_every_address_of_a_name_is_tried() -> None:
    """`localhost` may be ::1 first, where nobody listens."""
    with serve(tls(LEAF, STAPLE)) as port:
        assert troubles(look(port, "localhost")) == [None, None]


def test_a_dead_port_is_not_reached_and_tried_once() -> None:
    """The other version would fare no better."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    observations = look(port)
    assert troubles(observations) == [Trouble.UNREACHED] * 2
    assert observations[0].detail == "no connection to 127.0.0.1: connection refused"


def test_a_name_that_does_not_exist_is_not_reached() -> None:
    """`invalid` never exists (RFC 6761 §6.4)."""
    observations = look(443, "nobody.invalid")
    assert troubles(observations) == [Trouble.UNREACHED] * 2
    assert "looked up" in observations[0].detail


def test_a_silent_server_is_given_up_after_the_time_out() -> None:
    """Both versions are given their time."""
    with serve(hang) as port:
        observations = look(port, timeout=0.2)
    assert troubles(observations) == [Trouble.UNREACHED] * 2
    assert observations[0].detail == "no handshake within 0.2 s"


def test_a_dripping_server_is_given_up_after_the_time_out() -> None:
    """The time is that of the whole connection: bytes do not wind it up again."""
    clock = count(step=0.3)
    with serve(say(*[b"\x16\x03\x03\x40\x00"], *([b"\x02"] * 50))) as port:
        question = Question(Address("127.0.0.1", port), "example.org", timeout=timedelta(seconds=1))
        observations = observe(question, clock=lambda: next(clock))
    assert troubles(observations) == [Trouble.UNREACHED] * 2


def test_a_deadline_that_is_past_still_ends_in_a_verdict() -> None:
    """A machine that slept in between sees its clock leap."""
    times: Iterator[float] = iter([0.0, 100.0, 100.0, 100.0, 0.0, 0.0])
    with serve(hang) as port:
        question = Question(Address("127.0.0.1", port), "example.org")
        (only,) = observe(question, versions=("TLSv1.2",), clock=lambda: next(times, 100.0))
    assert only.trouble is Trouble.UNREACHED


@pytest.mark.parametrize(
    "handler",
    [
        close_early,
        say(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
        say(b"\x00" * 4096),
        say(b"SSH-2.0-OpenSSH_9.6\r\n"),
        say(b"\x16\x03\x03\x00\x04\x02\xff\xff\xff"),
    ],
    ids=["close", "http", "zeros", "ssh", "endless server hello"],
)
def test_what_is_no_handshake_is_trouble_in_one_line(handler: object) -> None:
    """No traceback, whatever comes."""
    with serve(handler) as port:  # type: ignore[arg-type]
        observations = look(port, timeout=0.5)
    assert all(trouble in {Trouble.BROKEN, Trouble.UNREACHED} for trouble in troubles(observations))
    assert all(observation.detail.startswith("no handshake") for observation in observations)


def test_a_goodbye_in_the_middle_of_a_handshake_is_no_handshake() -> None:
    """close_notify, and then the end of the connection."""

    def leave(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"\x15\x03\x03\x00\x02\x01\x00")

    with serve(leave) as port:
        assert troubles(look(port)) == [Trouble.BROKEN] * 2


def test_a_server_that_talks_without_end_is_cut_off() -> None:
    """Warnings are no handshake, however many come."""
    with serve(say(*[b"\x15\x03\x03\x00\x02\x01\x5a" * 4096] * (MAX_HANDSHAKE // 4096))) as port:
        assert troubles(look(port)) == [Trouble.BROKEN] * 2
