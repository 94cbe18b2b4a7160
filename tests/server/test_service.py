"""The server as a whole, in this process, on loopback."""

from __future__ import annotations

import os
import signal
import socket
import sys
from datetime import timedelta

import pytest
from server.client import is_open, visit
from server.served import ServedTestCase
from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.logger import formatEvent

from staplesrv.errors import OperatorError
from staplesrv.server.service import StaplesrvService
from staplesrv.testing import Behaviour, CertificateAuthority
from staplesrv.tls import reading
from staplesrv.tls.connections import Closed

CODE = """
from twisted.web.static import Data
class Leaf(Data):
    isLeaf = True
resource = Leaf(b"from code", "text/plain")
"""


class ServiceTests(ServedTestCase):
    """What the server does from its start to its end."""

    async def test_the_first_visitor_gets_a_staple_and_the_page(self) -> None:
        """The line that says so names the certificate's state."""
        service = await self.started()
        visited = await visit(self.port(service))
        assert visited.seen.staple
        assert visited.answer.endswith(b"from www")
        line = await self.said("serving on")
        assert f"serving on 127.0.0.1:{self.port(service)}: localhost stapled until " in line

    async def test_nobody_can_connect_before_the_staple_is_there(self) -> None:
        """The sockets are bound, and closed to everybody."""
        self.responder.delay = 0.3
        service = self.service()
        service.privilegedStartService()
        service.startService()
        port = self.port(service)
        assert not await is_open(port)
        await self.said("serving on")
        assert (await visit(port)).seen.staple

    async def test_both_versions_of_http_are_offered(self) -> None:
        """By ALPN; a listener may leave one out."""
        service = await self.started()
        assert (await visit(self.port(service), alpn=(b"h2", b"http/1.1"))).seen.alpn == b"h2"
        assert (await visit(self.port(service), alpn=(b"http/1.1",))).seen.alpn == b"http/1.1"
        await service.stopService()
        self.events.clear()
        long = '[[listeners]]\nendpoint = "tcp:0:interface=127.0.0.1"\nprotocols = ["http/1.1"]\ntls = "modern"'
        service = await self.started(self.write(long, top=" "))
        visited = await visit(self.port(service), alpn=(b"h2", b"http/1.1"))
        assert (visited.seen.alpn, visited.seen.version) == (b"http/1.1", "TLSv1.3")

    async def test_two_listeners_serve_the_same_sites(self) -> None:
        """Over TCP and over a UNIX socket."""
        path = self.folder / "s"
        service = await self.started(self.write(top=f'listen = ["tcp:0:interface=127.0.0.1", "unix:{path}"]'))
        assert path.is_socket()
        assert (await visit(self.port(service))).seen.staple
        await service.stopService()
        assert not path.exists()

    async def test_all_listeners_share_the_limits(self) -> None:
        """What is open on one counts on the other; there is room again when it ends."""
        listen = 'listen = ["tcp:0:interface=127.0.0.1", "tcp:0:interface=127.0.0.2"]\n[limits]\nconnections = 1\n'
        service = await self.started(self.write(top=listen))
        with socket.create_connection(("127.0.0.1", self.port(service))):
            await self.until(lambda: service.premises.connections.open, "the first client")
            with socket.create_connection(service.doors[1].addresses[0]) as other:
                assert await deferToThread(other.recv, 1) == b""
        assert service.premises.connections.closed[Closed.CONNECTIONS] == 1
        await self.until(lambda: not service.premises.connections.open, "its end")
        assert (await visit(self.port(service))).seen.staple

    async def test_sites_are_chosen_by_name(self) -> None:
        """The certificate by the server name, the content by the Host header."""
        self.issue("other.test", "other-")
        other = '[[sites]]\ncertificate = "other-fullchain.pem"\nprivate_key = "other-privkey.pem"\nstatic = "other"'
        (self.folder / "other").mkdir()
        (self.folder / "other" / "index.html").write_text("from other")
        service = await self.started(self.write(other))
        visited = await visit(self.port(service), name="other.test")
        assert visited.answer.endswith(b"from other")
        assert "other.test" in visited.seen.leaf.subject.rfc4514_string()
        misdirected = await visit(self.port(service), name="localhost", host="other.test")
        assert misdirected.answer.startswith(b"HTTP/1.1 421 ")

    async def test_a_resource_of_the_operator_s_is_served(self) -> None:
        """By the name of its module and attribute."""
        (self.folder / "operators_code.py").write_text(CODE)
        sys.path.insert(0, str(self.folder))
        self.addCleanup(sys.path.remove, str(self.folder))
        self.addCleanup(sys.modules.pop, "operators_code", None)
        service = await self.started(self.write(site='resource = "operators_code:resource"'))
        assert (await visit(self.port(service), "/x/y")).answer.endswith(b"from code")

    async def test_stopping_closes_everything(self) -> None:
        """Nobody can connect any more."""
        service = await self.started()
        port = self.port(service)
        await service.stopService()
        assert not await is_open(port)

    async def test_stopping_in_the_middle_of_the_start_is_quick(self) -> None:
        """A responder that never answers holds up nothing, and nothing listens afterwards."""
        self.responder.behaviour = Behaviour.SILENCE
        service = self.service()
        service.privilegedStartService()
        service.startService()
        port = self.port(service)
        await self.until(lambda: self.responder.requests, "a request")
        before = reactor.seconds()  # type: ignore[attr-defined]
        await service.stopService()
        assert reactor.seconds() - before < 3  # type: ignore[attr-defined]
        assert not await is_open(port)
        assert not [event for event in self.events if "serving" in (formatEvent(event) or "")]

    async def test_a_reload_that_waits_for_the_start_ends_with_it(self) -> None:
        """It says nothing to systemd, for which a start that never was would be over."""
        self.responder.behaviour = Behaviour.SILENCE
        service = self.service()
        told = self.systemd_of(service)
        service.privilegedStartService()
        service.startService()
        asked = service.reload_soon()
        assert asked is not None
        await service.stopService()
        assert (await asked).good is False
        assert told.recv(1000) == b"STOPPING=1"
        with pytest.raises(BlockingIOError):
            told.recv(1000)

    async def test_after_a_start_that_failed_a_reload_does_nothing(self) -> None:
        """What would listen then is not there."""
        given_up: list[OperatorError] = []
        service = self.service(give_up=given_up.append)
        service.prepare()
        with socket.socket() as faster:
            faster.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            faster.bind(service.doors[0].addresses[0])
            faster.listen()
            service.startService()
            asked = service.reload_soon()
            await self.until(lambda: given_up, "the end")
            assert asked is not None
            outcome = await asked
        assert (outcome.good, outcome.line) == (False, "the server does not serve")

    def systemd_of(self, service: StaplesrvService) -> socket.socket:
        """Stand in for systemd."""
        told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.addCleanup(told.close)
        told.bind(str(self.folder / "notify"))
        service.systemd._address = told.getsockname()
        return told

    async def test_stopping_in_the_middle_of_a_reload_is_quick(self) -> None:
        """The reload ends without a word."""
        service = await self.started()
        self.responder.behaviour = Behaviour.SILENCE
        self.issue("localhost")
        service.reload_soon()
        await self.until(lambda: len(self.responder.requests) > 1, "a request for the new certificate")
        before = reactor.seconds()  # type: ignore[attr-defined]
        await service.stopService()
        assert reactor.seconds() - before < 3  # type: ignore[attr-defined]
        assert not self.flushLoggedErrors()

    def test_a_key_that_does_not_fit_is_told_with_its_key_in_the_configuration(self) -> None:
        """File, site, key, what is wrong, what to do; and nothing is bound."""
        other = CertificateAuthority().issue("localhost").write(self.folder, prefix="x-")
        file = self.write()
        file.write_text(file.read_text().replace('"privkey.pem"', f'"{other.private_key.name}"'))
        service = self.service(file)
        with pytest.raises(OperatorError) as caught:
            service.prepare()
        assert str(caught.value).startswith(
            f"{file}: site 1: private_key: {other.private_key}: the private key does not fit"
        )
        assert service.doors == ()

    def test_a_port_in_use_closes_the_others(self) -> None:
        """What was bound before it is free again."""
        with socket.socket() as taken, socket.socket() as free:
            for one in (taken, free):
                one.bind(("127.0.0.1", 0))
            taken.listen()
            ports = [one.getsockname()[1] for one in (free, taken)]
            free.close()
            endpoints = ", ".join(f'"tcp:{port}:interface=127.0.0.1"' for port in ports)
            service = self.service(self.write(top=f"listen = [{endpoints}]"))
            with pytest.raises(OperatorError) as caught:
                service.prepare()
            assert f"listen: tcp:{ports[1]}:interface=127.0.0.1: port {ports[1]} is in use" in str(caught.value)
            with socket.socket() as again:
                again.bind(("127.0.0.1", ports[0]))

    async def test_a_port_that_is_lost_before_listening_gives_up(self) -> None:
        """Two sockets may be bound to one port, but only one may listen."""
        given_up: list[OperatorError] = []
        self.responder.delay = 0.3
        service = self.service(give_up=given_up.append)
        service.prepare()
        with socket.socket() as faster:
            faster.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            faster.bind(("127.0.0.1", self.port(service)))
            faster.listen()
            service.startService()
            await self.until(lambda: given_up, "giving up")
        assert "is in use" in str(given_up[0])

    async def test_a_start_that_fails_for_a_bug_gives_up(self) -> None:
        """A process that serves nobody would be taken for one that does."""
        given_up: list[OperatorError] = []
        service = self.service(give_up=given_up.append)
        service.prepare()
        service.staff.open = self._fail  # type: ignore[method-assign]
        service.startService()
        await self.until(lambda: given_up, "giving up")
        assert str(given_up[0]) == "staplesrv: did not start; the lines above say why; report them"
        assert len(self.flushLoggedErrors(ZeroDivisionError)) == 1

    async def _fail(self) -> None:
        raise ZeroDivisionError

    async def test_sighup_shows_a_new_certificate_with_its_staple(self) -> None:
        """The signal itself, as a person sends it."""
        service = await self.started()
        before = (await visit(self.port(service))).seen
        self.issue("localhost")
        os.kill(os.getpid(), signal.SIGHUP)
        await self.said("reloaded: 1 sites, 1 with new certificates, 0 that can't be used")
        after = (await visit(self.port(service))).seen
        assert after.staple
        assert after.leaf != before.leaf

    async def test_a_reload_brings_new_sites_and_takes_old_ones(self) -> None:
        """With what is behind them."""
        service = await self.started()
        self.issue("new.test", "new-")
        (self.folder / "new").mkdir()
        (self.folder / "new" / "index.html").write_text("from new")
        new = '[[sites]]\ncertificate = "new-fullchain.pem"\nprivate_key = "new-privkey.pem"\nstatic = "new"'
        self.write(new)
        service.reload_soon()
        await self.said("reloaded: 2 sites, 1 with new certificates")
        assert (await visit(self.port(service), name="new.test")).answer.endswith(b"from new")
        self.write()
        service.reload_soon()
        await self.said("reloaded: 1 sites")
        assert (await visit(self.port(service), name="new.test")).answer.endswith(b"from www")
        assert len(service.premises.hosts.sites) == 1

    async def test_a_new_site_that_can_t_be_used_yet_appears_when_its_files_do_fit(self) -> None:
        """With what is behind it, and without another signal."""
        self.patch(reading, "PATIENCE", timedelta(seconds=0.1))
        service = await self.started()
        self.issue("new.test", "new-")
        (self.folder / "new").mkdir()
        (self.folder / "new" / "index.html").write_text("from new")
        sound = (self.folder / "new-privkey.pem").read_bytes()
        (self.folder / "new-privkey.pem").write_bytes((self.folder / "privkey.pem").read_bytes())
        new = '[[sites]]\ncertificate = "new-fullchain.pem"\nprivate_key = "new-privkey.pem"\nstatic = "new"'
        self.write(new)
        service.reload_soon()
        await self.said("reloaded: 2 sites, 0 with new certificates, 1 that can't be used")
        (self.folder / "new-privkey.pem").write_bytes(sound)
        await self.until(lambda: len(service.stapler.stage.live) == 2, "the new site")
        assert (await visit(self.port(service), name="new.test")).answer.endswith(b"from new")

    async def test_waiting_that_fails_is_no_reason_not_to_listen(self) -> None:
        """A bug would be logged; visitors are served."""
        service = self.service()

        async def broken() -> None:
            raise ZeroDivisionError

        service.stapler.ready = broken  # type: ignore[method-assign]
        service.privilegedStartService()
        service.startService()
        await self.said("serving on")
        assert (await visit(self.port(service))).answer.endswith(b"from www")
        assert len(self.flushLoggedErrors(ZeroDivisionError)) == 1

    async def test_a_reload_brings_another_folder(self) -> None:
        """Also where the certificate stays."""
        service = await self.started()
        (self.folder / "www2").mkdir()
        (self.folder / "www2" / "index.html").write_text("from www2")
        self.write(site='static = "www2"')
        service.reload_soon()
        await self.said("reloaded")
        assert (await visit(self.port(service))).answer.endswith(b"from www2")

    async def test_a_bad_configuration_changes_nothing(self) -> None:
        """One line, and what was there goes on."""
        service = await self.started()
        for bad in ("listen = [", 'listen = "tcp:0"', "x = 1"):
            (self.folder / "a.toml").write_text(bad)
            self.events.clear()
            service.reload_soon()
            line = await self.said("what was served before goes on")
            assert line.startswith(f"reload: {self.folder}/a.toml: ")
            assert "\n" not in line
            assert (await visit(self.port(service))).seen.staple
        assert not self.flushLoggedErrors()

    async def test_a_bad_resource_changes_nothing(self) -> None:
        """The operator's code may be wrong, too."""
        service = await self.started()
        self.write(site='resource = "nope_nope:x"')
        service.reload_soon()
        await self.said("nope_nope can't be imported")
        assert (await visit(self.port(service))).answer.endswith(b"from www")

    async def test_what_a_reload_can_t_change_is_named(self) -> None:
        """Settings and the directory of the state take a restart, and are named at each reload until then."""
        service = await self.started()
        self.write("[staples]\nstart_wait = 1", top='listen = "tcp:0:interface=127.0.0.1"\nstate_dir = "elsewhere"')
        for times in (1, 2):
            service.reload_soon()
            for key in ("[staples]", "state_dir"):
                await self.said(f"reload: {key} has changed, which takes a restart", times)

    async def test_listeners_come_and_go(self) -> None:
        """A new one listens, one that is no more is closed; one with other settings has its socket still."""
        service = await self.started()
        port, path = self.port(service), self.folder / "s"
        endpoint = '[[listeners]]\nendpoint = "tcp:0:interface=127.0.0.1"\nprotocols = ["http/1.1"]'
        self.write(f'{endpoint}\n[[listeners]]\nendpoint = "unix:{path}"', top=" ")
        service.reload_soon()
        await self.said("reloaded")
        assert [door.addresses[0] for door in service.doors] == [("127.0.0.1", port), str(path)]
        visited = await visit(port, alpn=(b"h2", b"http/1.1"))
        assert visited.seen.alpn == b"http/1.1"
        assert path.is_socket()
        requests = service.staff.traffic().requests
        assert requests == 1
        self.write(f'[[listeners]]\nendpoint = "unix:{path}"\ntls = "modern"', top=" ")
        service.reload_soon()
        await self.said("reloaded", times=2)
        assert not await is_open(port)
        assert service.staff.traffic().requests == requests
        assert path.is_socket()
        await service.stopService()
        assert not path.exists()

    async def test_a_listener_that_can_t_be_bound_changes_nothing(self) -> None:
        """It is one line, and all goes on."""
        service = await self.started()
        with socket.create_server(("127.0.0.1", 0)) as other:
            taken = other.getsockname()[1]
            self.write(top=f'listen = ["tcp:0:interface=127.0.0.1", "tcp:{taken}:interface=127.0.0.1"]')
            service.reload_soon()
            line = await self.said("what was served before goes on")
        assert f"port {taken} is in use" in line
        assert len(service.doors) == 1
        assert (await visit(self.port(service))).seen.staple

    async def test_systemd_is_told_how_reloads_end(self) -> None:
        """With what is served, or what is wrong; one that is asked for at the start comes after it."""
        self.responder.delay = 0.5
        service = self.service()
        told = self.systemd_of(service)
        service.privilegedStartService()
        service.startService()
        service.reload_soon()
        await self.said("serving on")
        await self.until(lambda: service._reloads.under_way is None, "the end of the reload")
        first = told.recv(1000)
        assert first.startswith(b"READY=1\nSTATUS=serving on 127.0.0.1:")
        assert told.recv(1000).startswith(b"RELOADING=1")
        assert told.recv(1000) == first
        self.write("nonsense = 1")
        service.reload_soon()
        await self.said("what was served before goes on")
        await self.until(lambda: service._reloads.under_way is None, "the end of the reload")
        assert told.recv(1000).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
        assert b"nonsense: unknown key" in told.recv(1000)
        self.write()
        service.reload_soon()
        await self.until(lambda: service._reloads.under_way is None, "the end of the reload")
        assert told.recv(1000).startswith(b"RELOADING=1")
        assert told.recv(1000).startswith(b"READY=1\nSTATUS=serving on")

    async def test_reloads_don_t_overlap(self) -> None:
        """However many signals come, one more reload follows the one that is under way."""
        service = await self.started()
        for _ in range(5):
            service.reload_soon()
        await self.said("reloaded", times=2)
        await deferLater(reactor, 0.2, lambda: None)
        lines = [formatEvent(event) for event in self.events]
        assert len([line for line in lines if line.startswith("reloaded")]) == 2

    async def test_staples_survive_a_restart(self) -> None:
        """In the directory of the state, with the responder gone."""
        state = self.folder / "state"
        state.mkdir()
        service = await self.started(state_dir=state)
        staple = (await visit(self.port(service))).seen.staple
        await service.stopService()
        await self.running.stop()
        self.events.clear()
        again = await self.started(state_dir=state)
        assert (await visit(self.port(again))).seen.staple == staple
