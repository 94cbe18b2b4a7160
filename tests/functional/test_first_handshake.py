"""The first client that gets in is stapled, whatever the start was like."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from functional.harness import TLS12, TLS13, Pki, is_listening, judge, look, twistd, wait_until, write_config


def test_first_handshake_after_the_port_opens_is_stapled(pki: Pki, port: int, tmp_path: Path) -> None:
    """The port opens when the staple is there, and not before."""
    config = write_config(tmp_path, port, pki.issue(tmp_path, "one.test").table())
    with twistd(tmp_path, "--config", str(config)):
        wait_until(lambda: is_listening(port), "the port")
        assert judge(look(port, "one.test")) == "good"


def test_a_slow_responder_delays_the_port_not_the_staple(pki: Pki, port: int, tmp_path: Path) -> None:
    """With a responder that takes 1.5 s the first handshake is stapled all the same."""
    pki.set("delay", 1.5)
    config = write_config(tmp_path, port, pki.issue(tmp_path, "slow.test").table())
    with twistd(tmp_path, "--config", str(config)):
        wait_until(lambda: is_listening(port), "the port")
        assert judge(look(port, "slow.test")) == "good"


def test_both_protocol_versions_are_stapled(pki: Pki, port: int, tmp_path: Path) -> None:
    """TLS 1.2 and TLS 1.3 clients get the same staple."""
    config = write_config(tmp_path, port, pki.issue(tmp_path, "both.test").table())
    with twistd(tmp_path, "--config", str(config)):
        wait_until(lambda: is_listening(port), "the port")
        old, new = look(port, "both.test", options=TLS12), look(port, "both.test", options=TLS13)
        assert (old.version, new.version) == ("TLSv1.2", "TLSv1.3")
        assert judge(old) == judge(new) == "good"
        assert old.staple == new.staple


def test_two_names_with_two_issuers_each_get_their_own(pki: Pki, port: int, tmp_path: Path) -> None:
    """SNI decides about certificate and staple; the first site serves names that nobody knows."""
    first = pki.issue(tmp_path, "first.test", prefix="first-").table("first.test")
    second = pki.issue(tmp_path, "second.test", authority="other", prefix="second-").table("second.test")
    config = write_config(tmp_path, port, first, second)
    with twistd(tmp_path, "--config", str(config)):
        wait_until(lambda: is_listening(port), "the port")
        seen = {name: look(port, name) for name in ("first.test", "second.test", "unknown.test", None)}
    assert {judge(one) for one in seen.values()} == {"good"}
    assert seen["first.test"].peer_chain[1].subject != seen["second.test"].peer_chain[1].subject
    assert seen["unknown.test"].leaf == seen[None].leaf == seen["first.test"].leaf


def test_a_crowd_at_a_cold_start_causes_one_request(pki: Pki, port: int, tmp_path: Path) -> None:
    """200 handshakes at once, the moment the port opens, are all stapled by one question to the responder."""
    pki.set("delay", 0.5)
    config = write_config(tmp_path, port, pki.issue(tmp_path, "crowd.test").table())
    with twistd(tmp_path, "--config", str(config)), ThreadPoolExecutor(20) as crowd:

        def enter(_: int) -> str:
            wait_until(lambda: is_listening(port), "the port")
            return judge(look(port, "crowd.test"))

        assert set(crowd.map(enter, range(200))) == {"good"}
    assert pki.count("crowd.test") == 1


def test_a_silent_responder_does_not_keep_the_port_shut(pki: Pki, port: int, tmp_path: Path) -> None:
    """After `start_wait` the server listens without a staple, and serves."""
    pki.behave("silence")
    config = write_config(tmp_path, port, pki.issue(tmp_path, "silent.test").table(), settings="start_wait = 1")
    with twistd(tmp_path, "--config", str(config)):
        wait_until(lambda: is_listening(port), "the port", timeout=8)
        assert judge(look(port, "silent.test")) == "none"
