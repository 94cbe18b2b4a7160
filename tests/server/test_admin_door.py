"""The admin interface at its socket, in this process."""

from __future__ import annotations

import json
import socket
import stat
from pathlib import Path
from typing import Any

import pytest
from server.served import ServedTestCase
from twisted.internet.threads import deferToThread

from staplesrv.errors import OperatorError
from staplesrv.server.inheritance import Inheritance
from staplesrv.server.service import StaplesrvService
from staplesrv.testing import Behaviour


def ask(path: Path, request: str) -> tuple[int, str]:
    """Ask over a UNIX socket; the status, and the body."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(20)
        connection.connect(str(path))
        connection.sendall(f"{request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        head, _, body = connection.makefile("rb").read().decode().partition("\r\n\r\n")
        return int(head.split()[1]), body


class AdminDoorTests(ServedTestCase):
    """From the start of the service to its end."""

    async def ask(self, request: str) -> tuple[int, str]:
        """Ask in a thread."""
        answer: tuple[int, str] = await deferToThread(ask, self.folder / "admin", request)
        return answer

    async def status(self) -> dict[str, Any]:
        """What the service says of itself."""
        code, body = await self.ask("GET /status")
        assert code == 200
        found: dict[str, Any] = json.loads(body)
        return found

    def with_admin(self, *more: str) -> Path:
        """A configuration with the interface."""
        return self.write(*more, top='listen = "tcp:0:interface=127.0.0.1"\nadmin = "unix:admin"')

    async def test_a_service_tells_how_it_is(self) -> None:
        """While it waits for its first staple, when it serves, and while connections finish at its end."""
        self.responder.delay = 0.5
        service = self.service(self.with_admin())
        service.privilegedStartService()
        service.startService()
        assert stat.S_IMODE((self.folder / "admin").stat().st_mode) == 0o600
        found = await self.status()
        assert (found["state"], found["certificates"][0]["reason"]) == ("starting", "pending")
        assert await self.ask("GET /health") == (503, "starting: nobody can connect yet\n")
        await self.said("serving on")
        found = await self.status()
        assert (found["state"], found["verdict"], found["last_reload"]) == ("serving", "ok", None)
        assert found["listeners"] == [f"127.0.0.1:{self.port(service)}"]
        assert (await self.ask("GET /health"))[0] == 200
        with socket.create_connection(("127.0.0.1", self.port(service))):
            await self.until(lambda: service.premises.connections.open, "a client")
            stopping = service.stopService()
            assert (await self.status())["state"] == "stopping"
            assert await self.ask("POST /reload") == (409, "the server stops\n")
        await stopping
        assert not (self.folder / "admin").exists()

    async def test_a_reload_is_the_signal_s(self) -> None:
        """What was wrong stays to be seen until the next one."""
        await self.started(self.with_admin())
        file = self.with_admin("nonsense = 1")
        code, body = await self.ask("POST /reload")
        assert (code, body.count("\n")) == (422, 1)
        assert body.startswith(f"{file}: site 1: nonsense: unknown key")
        found = await self.status()
        assert (found["verdict"], found["summary"]) == ("warning", f"the last reload failed: {body.strip()}")
        assert (found["last_reload"]["good"], found["last_reload"]["line"]) == (False, body.strip())
        self.with_admin()
        line = "reloaded: 1 sites, 0 with new certificates, 0 that can't be used"
        assert await self.ask("POST /reload") == (200, f"{line}\n")
        found = await self.status()
        assert (found["verdict"], found["last_reload"]["line"]) == ("ok", line)

    async def test_another_place_takes_a_restart(self) -> None:
        """A reload says so, and the interface stays where it is."""
        await self.started(self.with_admin())
        self.write()
        assert (await self.ask("POST /reload"))[0] == 200
        await self.said("reload: admin has changed, which takes a restart")
        assert (await self.status())["state"] == "serving"

    async def test_a_certificate_without_a_staple_says_why(self) -> None:
        """With what the responder did."""
        self.responder.behaviour = Behaviour.HTTP_503
        await self.started(self.with_admin("[staples]\nstart_wait = 1"))
        (found,) = (await self.status())["certificates"]
        assert (found["stapled"], found["reason"]) == (False, "fetch-failed")
        assert "503" in found["last_failure"]

    async def test_a_bound_socket_is_let_go_of_where_another_one_can_t_be_bound(self) -> None:
        """Nothing is left of it."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            listen = f'listen = "tcp:{taken.getsockname()[1]}:interface=127.0.0.1"\nadmin = "unix:admin"'
            service = self.service(self.write(top=listen))
            with pytest.raises(OperatorError, match="is in use"):
                service.prepare()
        assert not (self.folder / "admin").exists()

    async def test_a_place_that_is_taken_is_told_with_its_key(self) -> None:
        """And nothing else is bound."""
        file = self.with_admin()
        with socket.socket(socket.AF_UNIX) as taken:
            taken.bind(str(self.folder / "admin"))
            service = self.service(file)
            with pytest.raises(OperatorError, match=r"a\.toml: admin: unix:.*: the address is in use;"):
                service.prepare()
        assert service.doors == ()

    async def test_a_port_that_is_lost_before_listening_gives_up(self) -> None:
        """Two sockets may be bound to one port, but only one may listen."""
        given_up: list[OperatorError] = []
        top = 'listen = "tcp:0:interface=127.0.0.1"\nadmin = "tcp:0:interface=127.0.0.2"'
        service = self.service(self.write(top=top), give_up=given_up.append)
        service.prepare()
        with socket.socket() as faster:
            faster.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            faster.bind(tuple(service.admin.addresses[0]))
            faster.listen()
            service.startService()
        assert [error.key for error in given_up] == ["admin"]
        assert "is in use" in str(given_up[0])

    async def test_a_socket_that_another_process_has_is_answered_when_this_one_serves(self) -> None:
        """Until then it is the other one's; the path is this one's in the end."""
        path = self.folder / "admin"
        with socket.socket(socket.AF_UNIX) as theirs:
            theirs.bind(str(path))
            theirs.listen()
            theirs.setblocking(False)
            self.responder.delay = 0.3
            inherited = Inheritance({f"unix:{path}:mode=600": [theirs.dup()]})
            service: StaplesrvService = self.service(self.with_admin(), inheritance=inherited)
            service.privilegedStartService()
            service.startService()
            asking = deferToThread(ask, path, "GET /health")
            await self.until(lambda: self.responder.requests, "a question")
            assert not asking.called
            await self.said("serving on")
            assert await asking == (200, "ok\n")
            inherited.served(None, lambda: None)
            await service.stopService()
        assert not path.exists()

    async def test_a_socket_that_another_process_has_stays_where_this_one_ends_before_it_serves(self) -> None:
        """The other one goes on."""
        path = self.folder / "admin"
        with socket.socket(socket.AF_UNIX) as theirs:
            theirs.bind(str(path))
            theirs.listen()
            inherited = Inheritance({f"unix:{path}:mode=600": [theirs.dup()]})
            service: StaplesrvService = self.service(self.with_admin(), inheritance=inherited)
            service.prepare()
            service.admin.close()
            assert path.is_socket()

    async def test_who_is_followed_leaves_the_path(self) -> None:
        """The heir has it, and takes whoever comes."""
        service = await self.started(self.with_admin())
        (sockets,) = (given for endpoint, given in service.sockets.items() if endpoint.startswith("unix:"))
        with sockets[0].dup(), socket.socket(socket.AF_UNIX) as client:
            service.admin.leave()
            await service.stopService()
            client.connect(str(self.folder / "admin"))
