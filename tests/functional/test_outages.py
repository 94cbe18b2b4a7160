"""A responder that is down, hangs or comes back; restarts, reloads and renewals meanwhile."""

from __future__ import annotations

import signal
import threading
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
from functional.harness import Pki, is_listening, judge, look, patience, twistd, wait_until, write_config


def test_a_responder_that_comes_back_is_found_soon(pki: Pki, port: int, tmp_path: Path) -> None:
    """Down at the start and back after 2 s: a staple follows within seconds."""
    pki.down()
    config = write_config(tmp_path, port, pki.issue(tmp_path, "back.test").table(), settings="start_wait = 1")
    with twistd(tmp_path, "--config", str(config)):
        wait_until(lambda: is_listening(port), "the port")
        with patience(2) as longer:
            while longer():
                assert judge(look(port, "back.test")) == "none"
        pki.up()
        wait_until(lambda: judge(look(port, "back.test")) == "good", "the staple", timeout=15)


def test_a_responder_that_starts_late_is_waited_for(pki: Pki, port: int, tmp_path: Path) -> None:
    """Both started together and the responder slower by 2 s: the first handshake is stapled."""
    pki.down()
    config = write_config(tmp_path, port, pki.issue(tmp_path, "late.test").table())
    with twistd(tmp_path, "--config", str(config)) as server:
        server.wait_for("No new staple")
        with patience(2) as longer:
            while longer():
                assert not is_listening(port)
        pki.up()
        wait_until(lambda: is_listening(port), "the port")
        assert judge(look(port, "late.test")) == "good"


def test_a_reload_during_the_start_opens_no_door_early(pki: Pki, port: int, tmp_path: Path) -> None:
    """It waits for the first staples as the start does."""
    pki.down()
    config = write_config(tmp_path, port, pki.issue(tmp_path, "late.test").table())
    with twistd(tmp_path, "--config", str(config)) as server:
        server.wait_for("No new staple")
        server.signal(signal.SIGHUP)
        with patience(2) as longer:
            while longer():
                assert not is_listening(port)
        pki.up()
        server.wait_for("reloaded: 1 sites")
        assert judge(look(port, "late.test")) == "good"


def test_a_hanging_responder_hangs_no_handshake(pki: Pki, port: int, tmp_path: Path) -> None:
    """While the responder takes questions and says nothing, handshakes go on with what is held."""
    pki.set("lifetime", 10)
    config = write_config(tmp_path, port, pki.issue(tmp_path, "hang.test").table())
    with twistd(tmp_path, "--config", str(config)):
        wait_until(lambda: is_listening(port), "the port")
        asked = pki.count()
        pki.behave("silence")
        wait_until(lambda: pki.count() > asked, "a question that gets no answer")
        assert judge(look(port, "hang.test", timeout=1)) == "good"


def test_a_restart_with_the_responder_dead_keeps_the_staple(pki: Pki, port: int, tmp_path: Path) -> None:
    """What was fetched before a restart is shown after it, from the first handshake."""
    config = write_config(tmp_path, port, pki.issue(tmp_path, "restart.test").table())
    with twistd(tmp_path, "--config", str(config)) as server:
        wait_until(lambda: is_listening(port), "the port")
        staple = look(port, "restart.test").staple
        server.stop()
        pki.down()
        server.start()
        wait_until(lambda: is_listening(port), "the port", timeout=8)
        assert look(port, "restart.test").staple == staple


def test_a_killed_server_keeps_the_staple(pki: Pki, port: int, tmp_path: Path) -> None:
    """The staple is on disk as soon as it is served: SIGKILL loses nothing, and the stale pid file stops nobody."""
    config = write_config(tmp_path, port, pki.issue(tmp_path, "killed.test").table())
    with twistd(tmp_path, "--config", str(config)) as server:
        wait_until(lambda: is_listening(port), "the port")
        staple = look(port, "killed.test").staple
        wait_until(lambda: list((tmp_path / "state").glob("**/*.der")), "the file")
        server.signal(signal.SIGKILL)
        server.end()
        pki.down()
        server.start()
        wait_until(lambda: is_listening(port), "the port", timeout=8)
        assert look(port, "killed.test").staple == staple


def test_a_reload_with_the_responder_dead_keeps_the_staple(pki: Pki, port: int, tmp_path: Path) -> None:
    """SIGHUP forgets nothing."""
    config = write_config(tmp_path, port, pki.issue(tmp_path, "reload.test").table())
    with twistd(tmp_path, "--config", str(config)) as server:
        wait_until(lambda: is_listening(port), "the port")
        staple = look(port, "reload.test").staple
        pki.down()
        server.signal(signal.SIGHUP)
        server.wait_for("reload")
        with patience(2) as longer:
            while longer():
                assert look(port, "reload.test").staple == staple


@pytest.mark.parametrize("moods", [["good"], ["try-later", "http-503", "good"]])
def test_renewal_under_load_has_no_unstapled_moment(pki: Pki, port: int, tmp_path: Path, moods: list[str]) -> None:
    """The new certificate appears together with its staple, also when the responder takes 2 s, or fails at first."""
    files = pki.issue(tmp_path, "renew.test")
    config = write_config(tmp_path, port, files.table())
    with twistd(tmp_path, "--config", str(config)) as server:
        wait_until(lambda: is_listening(port), "the port")
        old = look(port, "renew.test").leaf.serial_number
        outcomes: Counter[tuple[bool, str]] = Counter()
        stop = threading.Event()

        def load() -> None:
            while not stop.is_set():
                seen = look(port, "renew.test")
                outcomes[seen.leaf.serial_number == old, judge(seen)] += 1

        clients = [threading.Thread(target=load) for _ in range(3)]
        for client in clients:
            client.start()
        pki.set("delay", 2 if moods == ["good"] else 0)
        pki.behave(moods)
        pki.issue(tmp_path, "renew.test")
        server.signal(signal.SIGHUP)
        try:
            wait_until(lambda: outcomes[False, "good"] > 10, "the new certificate")
        finally:
            stop.set()
            for client in clients:
                client.join()
        assert set(outcomes) == {(True, "good"), (False, "good")}, outcomes


def test_a_changed_file_is_found_without_a_signal(pki: Pki, port: int, tmp_path: Path) -> None:
    """An ACME client that signals nobody is served too."""
    config = write_config(tmp_path, port, pki.issue(tmp_path, "watch.test").table())
    with twistd(tmp_path, "--config", str(config)):
        wait_until(lambda: is_listening(port), "the port")
        old = look(port, "watch.test").leaf
        pki.issue(tmp_path, "watch.test")
        wait_until(lambda: look(port, "watch.test").leaf != old, "the new certificate")
        assert judge(look(port, "watch.test")) == "good"


def test_a_broken_reload_keeps_what_runs(pki: Pki, port: int, tmp_path: Path) -> None:
    """A key that does not fit, then a configuration that is none: one line each, and service goes on."""
    files = pki.issue(tmp_path, "broken.test")
    stranger = pki.issue(tmp_path, "stranger.test", prefix="stranger-")
    config = write_config(tmp_path, port, files.table())
    with twistd(tmp_path, "--config", str(config)) as server:
        wait_until(lambda: is_listening(port), "the port")
        leaf = look(port, "broken.test").leaf
        files.private_key.write_bytes(stranger.private_key.read_bytes())
        server.signal(signal.SIGHUP)
        server.wait_for("does not fit", timeout=15)
        config.write_text("listen = [")
        server.signal(signal.SIGHUP)
        server.wait_for("staplesrv.toml", timeout=15)
        seen = look(port, "broken.test")
        assert (seen.leaf, judge(seen)) == (leaf, "good")
        assert "Traceback" not in server.output()


def test_short_lives_never_run_out(pki: Pki, port: int, tmp_path: Path) -> None:
    """Answers that live 8 s stay fresh for a minute, without one unstapled or expired handshake."""
    pki.set("lifetime", 8)
    config = write_config(tmp_path, port, pki.issue(tmp_path, "short.test").table())
    with twistd(tmp_path, "--config", str(config)):
        wait_until(lambda: is_listening(port), "the port")
        outcomes: Counter[str] = Counter()
        staples = set()
        with patience(60) as longer:
            while longer():
                before = datetime.now(UTC)
                seen = look(port, "short.test")
                outcomes[judge(seen, before)] += 1
                staples.add(seen.staple)
        assert set(outcomes) == {"good"}, outcomes
        assert len(staples) >= 10
