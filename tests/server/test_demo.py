"""The demonstration, in this process, on loopback."""

from __future__ import annotations

import io
import json
import os
import shlex
import socket
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from server.client import is_open, visit
from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.logger import LogEvent, formatEvent, globalLogPublisher
from twisted.trial.unittest import TestCase

from staplesrv.errors import OperatorError
from staplesrv.server.demo import DEFAULT_LISTEN, LIFETIME, Demo, commands, greeting
from staplesrv.server.privileges import Identity

ANYWHERE = "tcp:0:interface=127.0.0.1"


class DemoTests(TestCase):
    """What a newcomer sees."""

    timeout = 30

    async def start(self) -> tuple[Demo, io.StringIO]:
        """A demonstration that listens; what it prints."""
        out = io.StringIO()
        demo = Demo(reactor, [ANYWHERE], out=out)
        self.addCleanup(lambda: demo.stopService() if demo.running else None)
        demo.privilegedStartService()
        demo.startService()
        for _ in range(1000):
            if out.getvalue():
                return demo, out
            await deferLater(reactor, 0.01, lambda: None)
        return self.fail("nothing was printed")

    def port(self, demo: Demo) -> int:
        """Where it listens."""
        return int(demo.server.doors[0].addresses[0][1])

    async def test_it_serves_a_page_about_its_own_staple(self) -> None:
        """With a staple, of course."""
        demo, _ = await self.start()
        visited = await visit(self.port(demo))
        assert visited.seen.staple
        assert b"content-type: text/html; charset=utf-8" in visited.answer.lower()
        assert b"This page came with a staple" in visited.answer

    async def test_the_state_of_the_staple_is_there_for_the_page(self) -> None:
        """What the page shows, and nothing that can't be had."""
        demo, _ = await self.start()
        answer = (await visit(self.port(demo), "/staple.json")).answer
        head, _, body = answer.partition(b"\r\n\r\n")
        assert b"no-store" in head
        state = json.loads(body)
        assert state["stapled"] is True
        assert state["reason"] == "ok"
        assert state["asked"] == 1
        assert state["handshakes"] == {"stapled": 1}
        assert state["next_update"] - state["this_update"] == LIFETIME.total_seconds()
        assert state["this_update"] <= state["now"] < state["next_attempt"] < state["cut_off"]
        assert state["signer"] == "CN=staplesrv demo CA"
        assert len(state["sha256"]) == 64
        assert len(state["commands"]) == 3

    async def test_there_is_nothing_else(self) -> None:
        """Other paths are not found."""
        demo, _ = await self.start()
        for path in ("/nope", "/staple"):
            assert (await visit(self.port(demo), path)).answer.startswith(b"HTTP/1.1 404 ")

    async def test_the_commands_have_the_real_port_and_the_real_file(self) -> None:
        """So that they can be copied."""
        demo, out = await self.start()
        assert demo.ca_file.read_bytes().startswith(b"-----BEGIN CERTIFICATE-----")
        for line in commands(self.port(demo), demo.ca_file):
            assert f"    {line}\n" in out.getvalue()

    async def test_the_responder_is_silent(self) -> None:
        """What it is asked is no line in the log: that is the newcomer's."""
        events: list[LogEvent] = []
        globalLogPublisher.addObserver(events.append)
        self.addCleanup(globalLogPublisher.removeObserver, events.append)
        demo, _ = await self.start()
        assert demo.responder.requests
        assert not [event for event in events if " HTTP/1.1" in (formatEvent(event) or "")]

    async def test_a_new_staple_is_told(self) -> None:
        """Somebody who watches the terminal sees the refresh happen."""
        events: list[LogEvent] = []
        globalLogPublisher.addObserver(events.append)
        self.addCleanup(globalLogPublisher.removeObserver, events.append)
        demo, _ = await self.start()
        (site,) = demo.server.stapler.stage.live
        demo._look()
        site.entries[0].held = replace(site.entries[0].held)
        demo._look()
        demo._look()
        told = [formatEvent(event) for event in events if "was replaced" in (formatEvent(event) or "")]
        assert len(told) == 1

    async def test_nothing_is_left_behind(self) -> None:
        """Neither files nor listeners, its own responder's included."""
        demo, _ = await self.start()
        ports = [self.port(demo), int(demo.responder_url.rstrip("/").rpartition(":")[2])]
        await demo.stopService()
        assert not demo.folder.exists()
        for port in ports:
            assert not await is_open(port)

    async def test_a_terminal_that_has_gone_is_no_matter(self) -> None:
        """It serves on."""
        out = io.StringIO()
        demo, _ = await self.start()
        out.close()
        demo._looking.stop()
        demo._out = out
        demo._started([("127.0.0.1", 1)])
        visited = await visit(self.port(demo))
        assert b"This page came with a staple" in visited.answer

    def test_a_port_in_use_is_one_line(self) -> None:
        """And leaves no files."""
        with tempfile.TemporaryDirectory() as folder:
            self.patch(tempfile, "tempdir", folder)
            self.assert_refused()
            assert not list(Path(folder).iterdir())

    def assert_refused(self) -> None:
        """Start where somebody else listens."""
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            with pytest.raises(OperatorError) as caught:
                Demo(reactor, [f"tcp:{port}:interface=127.0.0.1"], out=io.StringIO())
        assert str(caught.value).startswith(f"--listen: tcp:{port}:interface=127.0.0.1: port {port} is in use; ")

    async def test_a_bad_endpoint_is_one_line(self) -> None:
        """Before there is anything to clear away."""
        with pytest.raises(OperatorError, match=r"^--listen: 'nonsense' is no endpoint"):
            Demo(reactor, ["nonsense"], out=io.StringIO())

    async def test_a_unix_socket_has_no_commands(self) -> None:
        """None of the three programs could connect to it."""
        demo, out = await self.start()
        before = out.getvalue()
        demo._looking.stop()
        demo._started(["/run/demo.sock"])
        assert out.getvalue() == before

    async def test_the_files_belong_to_who_will_serve(self) -> None:
        """Who removes them at the end."""
        if os.geteuid() != 0:
            return
        demo = Demo(reactor, [ANYWHERE], identity=Identity(65534, 65534, ()), out=io.StringIO())
        try:
            assert {path.stat().st_uid for path in (demo.folder, *demo.folder.iterdir())} == {65534}
        finally:
            await demo.stopService()


def test_it_listens_on_this_machine_alone() -> None:
    """A throw-away CA is nothing for a network."""
    assert DEFAULT_LISTEN == "tcp:8443:interface=127.0.0.1"


def test_the_commands_are_lines_for_a_shell(tmp_path: Path) -> None:
    """One per program that people have, each complete."""
    openssl, curl, check = commands(8443, tmp_path / "ca.pem")
    assert shlex.split(openssl)[:4] == ["openssl", "s_client", "-connect", "localhost:8443"]
    assert "-status" in openssl
    assert shlex.split(curl)[-1] == "https://localhost:8443/staple.json"
    assert "--cert-status" in curl
    assert shlex.split(check)[0].endswith("staplesrv")
    assert shlex.split(check)[1:] == ["check", "localhost:8443", "--ca-file", str(tmp_path / "ca.pem")]


def test_the_greeting_says_how_to_end_it() -> None:
    """And what there is to see."""
    text = greeting(8443, ["one", "two"])
    assert "https://localhost:8443/" in text
    assert "Ctrl-C" in text
    assert "\n    one\n    two\n" in text
