"""No bad answer ever reaches a client, and handshakes go on meanwhile."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from functional.harness import Pki, is_listening, judge, look, patience, twistd, wait_until, write_config

from staplesrv.testing import Behaviour

# Good answers by unusual means: these are to be served.
USABLE = {
    Behaviour.GOOD,
    Behaviour.DELEGATED,
    Behaviour.BY_KEY_HASH,
    Behaviour.PSS,
    Behaviour.OTHER_HASH,
    Behaviour.TWO_SINGLES,
    Behaviour.REDIRECT,
    Behaviour.REDIRECT_THREE_TIMES,
    # A nonce that was not asked for is ignored.
    Behaviour.WRONG_NONCE,
}
BAD = [behaviour for behaviour in Behaviour if behaviour not in USABLE]


def test_bad_from_the_start(pki: Pki, port: int, tmp_path: Path) -> None:
    """A site whose responder never answered well is served without a staple; its neighbours have theirs."""
    tables = []
    for behaviour in Behaviour:
        name = f"{behaviour.lower()}.test"
        tables.append(pki.issue(tmp_path, name, prefix=f"{behaviour.lower()}-").table(name))
        pki.behave(str(behaviour), name)
    config = write_config(tmp_path, port, *tables, settings="start_wait = 4")
    with twistd(tmp_path, "--config", str(config)):
        wait_until(lambda: is_listening(port), "the port")

        def all_usable() -> bool:
            return all(judge(look(port, f"{usable.lower()}.test")) == "good" for usable in USABLE)

        wait_until(all_usable, "a staple wherever one was to be had")
        with patience(4) as longer:
            while longer():
                outcomes = {behaviour: judge(look(port, f"{behaviour.lower()}.test")) for behaviour in BAD}
                assert set(outcomes.values()) == {"none"}, outcomes


def test_bad_after_good(pki: Pki, port: int, tmp_path: Path) -> None:
    """When the answers turn bad, what is held is shown to its end and nothing else ever is."""
    pki.set("lifetime", 8)
    tables = []
    for behaviour in BAD:
        name = f"{behaviour.lower()}.test"
        tables.append(pki.issue(tmp_path, name, prefix=f"{behaviour.lower()}-").table(name))
    config = write_config(tmp_path, port, *tables)
    with twistd(tmp_path, "--config", str(config)):
        wait_until(lambda: is_listening(port), "the port")
        for behaviour in BAD:
            pki.behave(str(behaviour), f"{behaviour.lower()}.test")
        outcomes: Counter[str] = Counter()
        with patience(11) as longer:
            while longer():
                for behaviour in BAD:
                    before = datetime.now(UTC)
                    outcomes[judge(look(port, f"{behaviour.lower()}.test"), before)] += 1
        assert set(outcomes) == {"good", "none"}, outcomes
        assert {judge(look(port, f"{behaviour.lower()}.test")) for behaviour in BAD} == {"none"}


def test_revoked_is_dropped_at_once_and_stays_dropped(pki: Pki, port: int, tmp_path: Path) -> None:
    """A verdict of revoked ends the staple before its time, and holds over a restart with the responder dead."""
    pki.set("lifetime", 20)
    pki.set("stable", False)
    config = write_config(tmp_path, port, pki.issue(tmp_path, "withdrawn.test").table())
    with twistd(tmp_path, "--config", str(config)) as server:
        wait_until(lambda: is_listening(port), "the port")
        assert judge(look(port, "withdrawn.test")) == "good"
        pki.behave("revoked")
        server.wait_for("revoked", timeout=15)
        assert judge(look(port, "withdrawn.test")) == "none"
        server.stop()
        pki.down()
        server.start()
        wait_until(lambda: is_listening(port), "the port")
        assert judge(look(port, "withdrawn.test")) == "none"


def test_refuse_means_no_handshake(pki: Pki, port: int, tmp_path: Path) -> None:
    """`must_staple = "refuse"` ends handshakes for that site alone while it has no staple."""
    pki.behave("try-later")
    first = pki.issue(tmp_path, "serve.test", prefix="serve-").table("serve.test")
    second = pki.issue(tmp_path, "refuse.test", prefix="refuse-").table("refuse.test", must_staple="refuse")
    config = write_config(tmp_path, port, first, second, settings="start_wait = 1")
    with twistd(tmp_path, "--config", str(config)) as server:
        wait_until(lambda: is_listening(port), "the port")

        def refused() -> bool:
            try:
                look(port, "refuse.test")
            except Exception as error:  # noqa: BLE001 - whatever ends the handshake will do
                return "alert" in str(error).lower() or "handshake" in str(error).lower()
            return False

        assert refused()
        assert judge(look(port, "serve.test")) == "none"
        pki.behave("good")
        wait_until(lambda: not refused(), "the staple")
        assert judge(look(port, "refuse.test")) == "good"
        assert "Traceback" not in server.output()
