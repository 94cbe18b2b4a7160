"""Every kind of site in a server that runs, and what is said of all of them."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from collections.abc import Sequence

import pytest
from server.client import visit
from server.served import ServedTestCase
from twisted.internet import reactor
from twisted.internet.interfaces import IReactorTCP
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.threads import deferToThread
from twisted.logger import formatEvent

from staplesrv.errors import OperatorError
from staplesrv.server.service import StaplesrvService
from staplesrv.tls.connections import Closed

CODE = """
from twisted.web.resource import Resource
class Tree(Resource):
    isLeaf = True
    def render_GET(self, request):
        return request.getClientAddress().host.encode() + b" in code"
resource = Tree()
def application(environment, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environment["wsgi.url_scheme"].encode(), b" in wsgi"]
"""


class Backend(Protocol):
    """Answers each request with the lines of its head, or says hello to whoever connects."""

    def connectionMade(self) -> None:
        """Greet."""
        if isinstance(self.factory, Greeter):
            self.transport.write(b"hello ")

    def dataReceived(self, data: bytes) -> None:
        """Repeat it."""
        if isinstance(self.factory, Greeter):
            self.transport.write(data.upper())
        else:
            self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(data) + data)


class Greeter(Factory):
    """Of a protocol where the server speaks first."""

    protocol = Backend


class Echoes(Factory):
    """Of HTTP."""

    protocol = Backend


class SitesTests(ServedTestCase):
    """One server at a time."""

    def backend(self, factory: Factory) -> int:
        """Listen with a factory; the port."""
        factory.noisy = False
        port = IReactorTCP(reactor).listenTCP(0, factory, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        return int(port.getHost().port)

    def code(self) -> None:
        """Write a module of the operator's."""
        (self.folder / "sites_code.py").write_text(CODE)
        sys.path.insert(0, str(self.folder))
        self.addCleanup(sys.path.remove, str(self.folder))
        self.addCleanup(sys.modules.pop, "sites_code", None)

    async def answer(self, service: StaplesrvService, path: str = "/") -> bytes:
        """What a visitor gets."""
        return (await visit(self.port(service), path)).answer

    async def test_a_proxy_passes_requests_on(self) -> None:
        """And says for whom."""
        port = self.backend(Echoes())
        service = await self.started(self.write(site=f'proxy = "http://127.0.0.1:{port}"'))
        answer = await self.answer(service, "/a?b")
        assert b"GET /a?b HTTP/1.1\r\n" in answer
        assert b"\r\nX-Forwarded-For: 127.0.0.1\r\n" in answer

    async def test_a_resource_knows_its_client(self) -> None:
        """As behind Twisted's own sites."""
        self.code()
        service = await self.started(self.write(site='resource = "sites_code:resource"'))
        assert (await self.answer(service)).endswith(b"127.0.0.1 in code")

    async def test_a_wsgi_application_answers_in_a_thread(self) -> None:
        """It knows that the client came over TLS."""
        self.code()
        service = await self.started(self.write(site='wsgi = "sites_code:application"'))
        assert b"https in wsgi" in await self.answer(service)

    async def test_a_redirect_keeps_path_and_query(self) -> None:
        """Below the URL that the configuration names."""
        service = await self.started(self.write(site='redirect = "https://www.example.org"'))
        answer = await self.answer(service, "/a?b")
        assert answer.startswith(b"HTTP/1.1 301 ")
        assert b"\r\nLocation: https://www.example.org/a?b\r\n" in answer

    async def test_a_tunnel_carries_any_protocol(self) -> None:
        """Also one where the server speaks first. The client's protocols are none of ours."""
        port = self.backend(Greeter())
        service = await self.started(self.write(site=f'tunnel = "tcp:127.0.0.1:{port}"'))
        visited = await visit(self.port(service), alpn=[b"h2"], until=b"GET /")
        assert visited.seen.alpn == b""
        assert visited.answer.startswith(b"hello ")

    async def test_no_kind_of_site_has_a_line_in_the_log_for_each_client(self) -> None:
        """Or clients could fill the disk."""
        self.code()
        port, greeter = self.backend(Echoes()), self.backend(Greeter())
        for site in (
            'static = "www"',
            f'proxy = "http://127.0.0.1:{port}"',
            f'tunnel = "tcp:127.0.0.1:{greeter}"',
            'resource = "sites_code:resource"',
            'wsgi = "sites_code:application"',
        ):
            self.events.clear()
            service = await self.started(self.write(site=site))
            before = len(self.events)
            visited = await visit(self.port(service), until=b"GET /")
            assert visited.answer
            assert [formatEvent(event) for event in self.events[before:]] == [], site
            await service.stopService()

    async def test_a_site_s_headers_are_in_all_its_responses(self) -> None:
        """Errors too."""
        headers = '[sites.headers]\nStrict-Transport-Security = "max-age=63072000"'
        service = await self.started(self.write(headers))
        for path in ("/", "/nope"):
            assert b"\r\nStrict-Transport-Security: max-age=63072000\r\n" in await self.answer(service, path)

    async def test_plain_http_is_led_to_https(self) -> None:
        """But for ACME's challenges; within the same limits as the rest, and in the same log."""
        (self.folder / "acme").mkdir()
        (self.folder / "acme" / "token").write_text("token.key")
        top = (
            '[access_log]\nfile = "access.log"\n[limits]\nconnections = 1\n'
            '[[listeners]]\nendpoint = "tcp:0:interface=127.0.0.1"\ntls = "off"\nhttps_port = 8443\n'
            'acme_challenges = "acme"\n'
            '[[listeners]]\nendpoint = "tcp:0:interface=127.0.0.1:backlog=5"\n'
        )
        service = await self.started(self.write(top=top))
        challenge = "/.well-known/acme-challenge/token"
        answer = await deferToThread(plain, self.port(service), challenge)
        assert answer.endswith(b"\r\n\r\ntoken.key")
        answer = await deferToThread(plain, self.port(service), "/a?b")
        assert b"\r\nLocation: https://example.org:8443/a?b\r\n" in answer
        await self.until(lambda: not service.premises.connections.open, "the clients' end")
        with socket.create_connection(("127.0.0.1", self.port(service))):
            await self.until(lambda: service.premises.connections.open, "a client")
            assert await deferToThread(plain, self.port(service), "/") == b""
        assert service.premises.connections.closed[Closed.CONNECTIONS] == 1
        await service.stopService()
        assert [line.split()[6] for line in self.log_lines()] == [challenge, "/a?b"]

    async def test_a_proxy_in_front_says_who_the_client_is(self) -> None:
        """Where the listener trusts it."""
        self.code()
        top = '[[listeners]]\nendpoint = "tcp:0:interface=127.0.0.1"\nproxy_protocol_from = ["127.0.0.0/8"]\n'
        service = await self.started(self.write(top=top, site='resource = "sites_code:resource"'))
        header = b"PROXY TCP4 203.0.113.7 192.0.2.2 4000 443\r\n"
        visited = await visit(self.port(service), before=header)
        assert visited.answer.endswith(b"203.0.113.7 in code")

    async def test_twisted_s_own_tls_is_as_good(self) -> None:
        """Where something of Twisted's stands between socket and TLS; the connection is known all the same."""
        self.code()
        top = 'listen = "haproxy:tcp:0:interface=127.0.0.1"\n[access_log]\nfile = "access.log"\n'
        service = await self.started(self.write(top=top, site='resource = "sites_code:resource"'))
        header = b"PROXY TCP4 203.0.113.7 192.0.2.2 4000 443\r\n"
        visited = await visit(self.port(service), before=header)
        assert visited.answer.endswith(b"203.0.113.7 in code")
        await service.stopService()
        (line,) = self.log_lines()
        assert line.startswith("203.0.113.7 ")
        assert line.endswith(" stapled")

    async def test_requests_are_in_the_access_log(self) -> None:
        """With what became of the staple."""
        service = await self.started(self.write(top=LISTEN + '[access_log]\nfile = "access.log"\nformat = "json"\n'))
        await self.answer(service, "/a")
        await service.stopService()
        (said,) = map(json.loads, self.log_lines())
        assert (said["target"], said["status"], said["staple"]) == ("/a", 404, "stapled")

    async def test_a_rotated_log_is_followed_by_a_new_one(self) -> None:
        """On SIGUSR1, and on SIGHUP, which reloads as well."""
        service = await self.started(self.write(top=LISTEN + '[access_log]\nfile = "access.log"\n'))
        log = self.folder / "access.log"
        for number in (signal.SIGUSR1, signal.SIGHUP):
            await self.answer(service)
            log.rename(self.folder / f"access.log.{number}")
            os.kill(os.getpid(), number)
            await self.until(log.exists, "a new log")
            assert (self.folder / f"access.log.{number}").read_text().count("\n") == 1
        await self.said("reloaded")

    async def test_sigusr1_without_a_log_is_no_reason_to_end(self) -> None:
        """As it would be for a program that leaves it to the system."""
        service = await self.started()
        os.kill(os.getpid(), signal.SIGUSR1)
        assert (await self.answer(service)).endswith(b"from www")

    async def test_a_log_that_can_t_be_written_is_told_at_the_start(self) -> None:
        """In one line, before anything is bound."""
        file = self.write(top=LISTEN + '[access_log]\nfile = "access.log"\n')
        service = self.service(file)
        (self.folder / "access.log").mkdir()
        with pytest.raises(OperatorError, match=r"access\.log: can't be written: Is a directory"):
            service.prepare()
        assert service.doors == ()

    def log_lines(self) -> Sequence[str]:
        """What is in the access log."""
        return (self.folder / "access.log").read_text().splitlines()


LISTEN = 'listen = "tcp:0:interface=127.0.0.1"\n'


def plain(port: int, path: str) -> bytes:
    """One request without TLS; all that comes back."""
    answer = b""
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: example.org\r\nConnection: close\r\n\r\n".encode())
        try:
            while data := connection.recv(65536):
                answer += data
        except ConnectionResetError:
            return b""
    return answer
