"""Endpoints: bound first, listening once the staples are there. The sockets are real, the reactor is not."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tls.hand_reactor import HandReactor
from tls.place import Place
from tls.world import World
from twisted.internet.address import IPv4Address
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.endpoints import AdoptedStreamServerEndpoint, serverFromString
from twisted.internet.interfaces import IStreamServerEndpoint, IStreamServerEndpointStringParser
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.logger import LogEvent, formatEvent, globalLogPublisher
from twisted.plugin import getPlugins
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from zope.interface import implementer
from zope.interface.verify import verifyObject

from staplesrv.errors import OperatorError
from staplesrv.tls.binder import BACKLOG, Binder
from staplesrv.tls.bound_ports import BoundPorts
from staplesrv.tls.connections import Connections
from staplesrv.tls.endpoint import StapleServerEndpoint
from staplesrv.tls.endpoint_parser import StapleEndpointParser
from staplesrv.tls.limits import Limits


class FakePort:
    """What a reactor makes of an adopted socket."""

    def __init__(self, descriptor: int, family: int, factory: Factory) -> None:
        self.socket = socket.socket(family, fileno=os.dup(descriptor))
        self.factory = factory
        self.stopped = False
        factory.doStart()

    def getHost(self) -> Any:
        """Return the address."""
        return IPv4Address("TCP", *self.socket.getsockname()[:2])

    def stopListening(self) -> Deferred[None]:
        """Close."""
        self.stopped = True
        self.socket.close()
        self.factory.doStop()
        return succeed(None)


class FakeReactor(Clock):
    """A clock that adopts sockets and knows of its end."""

    def __init__(self) -> None:
        super().__init__()
        self.ports: list[FakePort] = []
        self.readers: list[Any] = []
        self.triggers: dict[int, Callable[[], object]] = {}

    def adoptStreamPort(self, descriptor: int, family: int, factory: Factory) -> FakePort:
        """Adopt a socket."""
        self.ports.append(FakePort(descriptor, family, factory))
        return self.ports[-1]

    def addReader(self, port: Any) -> None:
        """Watch a UNIX socket."""
        self.readers.append(port)

    def removeReader(self, port: Any) -> None:
        """Watch it no more."""
        self.readers = [one for one in self.readers if one is not port]

    def removeWriter(self, port: Any) -> None:
        """Nothing was ever written."""

    def addSystemEventTrigger(self, phase: str, event: str, call: Callable[[], object]) -> int:
        """Keep what is to be called."""
        assert (phase, event) == ("before", "shutdown")
        self.triggers[len(self.triggers)] = call
        return len(self.triggers) - 1

    def removeSystemEventTrigger(self, number: int) -> None:
        """Forget it."""
        del self.triggers[number]


@pytest.fixture
def reactor() -> Iterator[FakeReactor]:
    """A reactor whose sockets are closed in the end."""
    made = FakeReactor()
    yield made
    for port in made.ports:
        port.socket.close()


def is_listening(bound: socket.socket) -> bool:
    """Ask the kernel."""
    return bool(bound.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))


class Hello(Factory):
    """Counts its starts and stops."""

    noisy = False
    protocol = Protocol
    running = 0

    def doStart(self) -> None:
        """Count."""
        self.running += 1

    def doStop(self) -> None:
        """Count."""
        self.running -= 1


class TestBoundPorts:
    def test_binds_then_listens(self, reactor: FakeReactor) -> None:
        """Nothing listens before `listen`; then the factory serves on every socket."""
        ports = BoundPorts.bind(reactor, "tcp:0")
        assert not reactor.ports
        (address, *others) = ports.addresses
        assert all(other[1] == address[1] for other in others)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", address[1]), timeout=5)
        factory = Hello()
        ports.listen(factory)
        assert all(is_listening(port.socket) for port in reactor.ports)
        assert isinstance(reactor.ports[0].factory.buildProtocol(None), Protocol)
        assert ports.getHost().port == address[1]
        assert factory.running == len(reactor.ports)
        ports.stopListening()
        assert all(port.stopped for port in reactor.ports)
        assert factory.running == 0
        assert not ports.addresses

    def test_closed_without_listening(self, reactor: FakeReactor) -> None:
        """Sockets that never listened are closed."""
        ports = BoundPorts.bind(reactor, "tcp:0:interface=127.0.0.1")
        port = ports.addresses[0][1]
        ports.close()
        ports.close()
        BoundPorts.bind(reactor, f"tcp:{port}:interface=127.0.0.1").close()

    @pytest.mark.parametrize(
        ("description", "backlog"),
        [("tcp:0", BACKLOG), ("tcp:0:backlog=50", 50), ("tcp:0:backlog=7", 7), ("tcp6:0:interface=\\:\\:1", BACKLOG)],
    )
    def test_backlog(self, reactor: FakeReactor, description: str, backlog: int) -> None:
        """The backlog is 1024, or what the description says."""
        try:
            ports = BoundPorts.bind(reactor, description)
        except OperatorError:
            pytest.skip("IPv6 is off here")
        assert {bound._backlog for bound in ports._bound} == {backlog}
        ports.close()

    def test_given(self, reactor: FakeReactor) -> None:
        """Sockets that another process has bound are listened on, whether it did so or not, and parted into rows."""
        ours = BoundPorts.bind(reactor, "tcp:0")
        beside = ours.sibling()
        ours.hold()
        description = f"tcp:{ours.addresses[0][1]}"
        ports = BoundPorts.bind(reactor, description, [one.dup() for one in (*ours.sockets, *beside.sockets)])
        assert ports.addresses == ours.addresses
        assert [row.addresses for row in ports.rows()] == [ours.addresses, ours.addresses]
        assert not any(map(is_listening, beside.sockets))
        ports.listen(Hello())
        assert all(map(is_listening, beside.sockets))
        for one in (ports, ours, beside):
            one.stopListening()

    def test_sibling(self, reactor: FakeReactor) -> None:
        """It listens beside one that listens already, though that was not bound for it."""
        ports = BoundPorts.bind(reactor, "tcp:0:interface=127.0.0.1:backlog=7")
        ports.hold()
        sibling = ports.sibling()
        sibling.hold()
        assert sibling.addresses == ports.addresses
        assert {bound._backlog for bound in sibling._bound} == {7}
        sibling.close()
        ports.close()

    def test_no_sibling(self, reactor: FakeReactor) -> None:
        """Where another process was faster to listen it can't be bound."""
        ports = BoundPorts.bind(reactor, "tcp:0:interface=127.0.0.1")
        with (
            socket.create_server(("127.0.0.1", ports.addresses[0][1])),
            pytest.raises(OperatorError, match="can't be bound once more"),
        ):
            ports.sibling()
        ports.close()

    def test_unix(self, reactor: FakeReactor, tmp_path: Path) -> None:
        """A UNIX socket is bound with its mode, which it keeps, listens later, and is removed in the end."""
        ports = BoundPorts.bind(reactor, f"unix:{tmp_path}/s:mode=600")
        assert ports.addresses == (f"{tmp_path}/s",)
        factory = Hello()
        ports.listen(factory)
        (port,) = reactor.readers
        assert is_listening(port.socket)
        assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == 0o600
        stopping = ports.stopListening()
        reactor.pump([0, 0])
        assert stopping.called
        assert (reactor.readers, factory.running) == ([], 0)
        assert list(tmp_path.iterdir()) == []

    def test_unix_that_stays(self, reactor: FakeReactor, tmp_path: Path) -> None:
        """A path that can't be removed is one line in the log, and nothing else."""
        ports = BoundPorts.bind(reactor, f"unix:{tmp_path}/s")
        (tmp_path / "s").unlink()
        # That can't be removed by anybody in this way.
        (tmp_path / "s").mkdir()
        lines: list[str] = []

        def observe(event: LogEvent) -> None:
            lines.append(formatEvent(event))

        globalLogPublisher.addObserver(observe)
        try:
            ports.close()
        finally:
            globalLogPublisher.removeObserver(observe)
        assert [f"can't be removed: [Errno 21] Is a directory: '{tmp_path}/s'" in line for line in lines] == [True]

    def test_descriptor(self, reactor: FakeReactor) -> None:
        """A socket that an endpoint adopts is taken as it is, listening."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            ports = BoundPorts(reactor, "some:endpoint")
            binder = Binder(reactor, ports.add, "some:endpoint")
            ports._settle(AdoptedStreamServerEndpoint(binder, os.dup(server.fileno()), socket.AF_INET).listen(Hello()))
            assert ports.addresses == (server.getsockname(),)
            assert ports._bound[0]._backlog is None
            ports.listen(Hello())
            ports.stopListening()

    def test_handed_over(self, reactor: FakeReactor) -> None:
        """A socket that systemd handed over to another process, which has given it to this one, is taken as it is."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            ports = BoundPorts.bind(reactor, "systemd:name=https", [server.dup()])
            assert ports.addresses == (server.getsockname(),)
            ports.listen(Hello())
            ports.stopListening()

    def test_wrapper(self, reactor: FakeReactor) -> None:
        """An endpoint that wraps another one, as `haproxy:` does, is bound like it, and its wrapping is kept."""
        ports = BoundPorts.bind(reactor, "haproxy:tcp:0:interface=127.0.0.1")
        factory = Hello()
        ports.listen(factory)
        assert type(reactor.ports[0].factory).__name__ == "HAProxyWrappingFactory"
        ports.stopListening()

    @pytest.mark.parametrize(
        "description",
        [
            *("", "tcp", "tcp:", "tcp:http", "tcp:0:intrface=x", "nonsense:1", "unix", "systemd:INET", "a\\"),
            *("tcp:0:backlog=many", "systemd:domain=X:index=0", ":", "tcp:0:0:0:0"),
        ],
    )
    def test_no_endpoint(self, reactor: FakeReactor, description: str) -> None:
        """What is no description is one line that says so."""
        with pytest.raises(OperatorError) as caught:
            BoundPorts.bind(reactor, description)
        assert "is no endpoint" in str(caught.value)
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize("description", ["ssl:0:privateKey=x", "staple:0:certificate=x", "SSL:0"])
    def test_tls_in_tls(self, reactor: FakeReactor, description: str) -> None:
        """Descriptions that bring their own TLS are refused."""
        with pytest.raises(OperatorError, match="brings its own TLS"):
            BoundPorts.bind(reactor, description)

    def test_in_use(self, reactor: FakeReactor) -> None:
        """A port in use is named."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            with pytest.raises(OperatorError, match=f"port {port} is in use"):
                BoundPorts.bind(reactor, f"tcp:{port}:interface=127.0.0.1")

    def test_faster_one(self, reactor: FakeReactor) -> None:
        """Where another process was faster, everything is closed again."""
        ports = BoundPorts.bind(reactor, "tcp:0:interface=127.0.0.1")
        with socket.create_server(("127.0.0.1", ports.addresses[0][1])), pytest.raises(OperatorError, match="in use"):
            ports.listen(Hello())
        assert not ports.addresses
        assert not reactor.ports

    def test_no_place_for_a_preamble(self, reactor: FakeReactor, world: World) -> None:
        """What comes before a handshake is read where TLS is straight on the socket, and refused elsewhere."""
        ports = BoundPorts.bind(reactor, "haproxy:tcp:0:interface=127.0.0.1")
        context_factory = world.factory(world.site(world.ca.issue("a.example")))
        connections = Connections(Limits(), HandReactor())
        with pytest.raises(OperatorError, match="no place for what comes before"):
            ports.listen_tls(Hello(), context_factory, connections, make_preamble=lambda _: None)
        assert not ports.addresses
        assert not reactor.ports


class TestEndpoint:
    def test_listens_when_ready(self, place: Place, reactor: FakeReactor) -> None:
        """It listens once the first staples are there, and not before."""
        place.write()
        place.responders.delay = 3
        stapler = place.stapler()
        stapler.startService()
        endpoint = StapleServerEndpoint(reactor, "tcp:0:interface=127.0.0.1", stapler)
        verifyObject(IStreamServerEndpoint, endpoint)
        listening = Result(endpoint.listen(Hello()))
        place.go(2.5)
        assert not listening.values
        assert not reactor.ports
        place.go(1)
        assert is_listening(reactor.ports[0].socket)
        factory: Any = reactor.ports[0].factory
        assert isinstance(factory.wrapped, TLSMemoryBIOFactory)
        listening.values[0].stopListening()
        assert stapler.running

    def test_bound_at_once(self, place: Place, reactor: FakeReactor) -> None:
        """Sockets are bound and files read in the turn in which `listen` is called, or `bind` before it."""
        place.write()
        with socket.create_server(("127.0.0.1", 0)) as server:
            where = f"tcp:{server.getsockname()[1]}:interface=127.0.0.1"
            endpoint = StapleServerEndpoint(reactor, where, place.stapler())
            with pytest.raises(OperatorError, match="in use"):
                endpoint.bind()
            failed = Result(endpoint.listen(Hello())).values[0]
            assert failed.check(OperatorError)
        endpoint.bind()
        endpoint._close()

    def test_bad_certificate(self, place: Place, reactor: FakeReactor) -> None:
        """A certificate that can't be used fails at once, and leaves nothing bound."""
        endpoint = StapleServerEndpoint(reactor, "tcp:0:interface=127.0.0.1", place.stapler(), own_stapler=True)
        failed = Result(endpoint.listen(Hello())).values[0]
        assert failed.check(OperatorError)
        assert endpoint._bound is None

    def test_own_stapler(self, place: Place, reactor: FakeReactor) -> None:
        """A stapler of its own starts with it and stops with its port."""
        place.write()
        stapler = place.stapler()
        endpoint = StapleServerEndpoint(reactor, "tcp:0:interface=127.0.0.1", stapler, own_stapler=True)
        listening = Result(endpoint.listen(Hello()))
        assert stapler.running
        place.go(1)
        port = listening.values[0]
        assert port.getHost().port
        stopped = Result(port.stopListening())
        place.go(1)
        assert stopped.values
        assert not stapler.running
        assert not reactor.triggers
        assert reactor.ports[0].stopped

    def test_shutdown(self, place: Place, reactor: FakeReactor) -> None:
        """The reactor's end is the end of a stapler of its own."""
        place.write()
        stapler = place.stapler()
        endpoint = StapleServerEndpoint(reactor, "tcp:0:interface=127.0.0.1", stapler, own_stapler=True)
        listening = Result(endpoint.listen(Hello()))
        place.go(1)
        reactor.triggers.pop(0)()
        place.go(1)
        assert not stapler.running
        assert Result(listening.values[0].stopListening()).values

    def test_cancel(self, place: Place, reactor: FakeReactor) -> None:
        """Cancelled while it waits, it closes its sockets and stops its own stapler."""
        place.write()
        place.responders.delay = 9
        stapler = place.stapler()
        endpoint = StapleServerEndpoint(reactor, "tcp:0:interface=127.0.0.1", stapler, own_stapler=True)
        waiting = endpoint.listen(Hello())
        result = Result(waiting)
        place.go(1)
        assert endpoint._bound is not None
        waiting.cancel()
        place.go(1)
        assert result.values[0].check(CancelledError)
        assert endpoint._bound is None
        assert not stapler.running
        assert not reactor.ports

    def test_endpoint_object(self, place: Place, reactor: FakeReactor) -> None:
        """An endpoint object is not touched until the staples are there."""

        @implementer(IStreamServerEndpoint)
        class Inner:
            factories: list[object] = []  # noqa: RUF012 - one test's

            def listen(self, factory: object) -> Deferred[Any]:
                self.factories.append(factory)
                return succeed("port")

        place.write()
        place.responders.delay = 2
        stapler = place.stapler()
        stapler.startService()
        listening = Result(StapleServerEndpoint(reactor, Inner(), stapler).listen(Hello()))
        place.go(1)
        assert not Inner.factories
        place.go(2)
        assert listening.values == ["port"]
        assert isinstance(Inner.factories[0], TLSMemoryBIOFactory)


class Result:
    """What came of a Deferred so far."""

    def __init__(self, deferred: Deferred[Any]) -> None:
        self.values: list[Any] = []
        deferred.addBoth(self.values.append)


class TestParser:
    def parse(self, place: Place, text: str) -> Any:
        """Parse as any Twisted program does; @ is the directory."""
        return serverFromString(place.clock, text.replace("@", str(place.directory)))

    def test_plugin(self) -> None:
        """Twisted finds the parser under its prefix."""
        found = [one for one in getPlugins(IStreamServerEndpointStringParser) if one.prefix == "staple"]
        assert len(found) == 1
        verifyObject(IStreamServerEndpointStringParser, found[0])

    def test_least(self, place: Place) -> None:
        """A port, a certificate and a key are enough; no file is read yet."""
        endpoint = self.parse(place, "staple:8443:certificate=@/fullchain.pem:privateKey=@/privkey.pem")
        assert isinstance(endpoint, StapleServerEndpoint)
        assert endpoint._endpoint == "tcp:8443"
        assert endpoint._stapler.stage.sites == (place.site(),)
        assert endpoint._own_stapler

    def test_everything(self, place: Place) -> None:
        """Every option gets to where it belongs."""
        endpoint = self.parse(
            place,
            "staple:0:certificate=a.pem,b.pem:privateKey=a.key,b.key:interface=\\:\\:1:backlog=9:stateDir=@/state"
            ":responder=http\\://r.example/:issuer=ca.pem:stapleFile=a.der,b.der:mustStaple=refuse:tls=modern"
            ":clientCA=c.pem,d.pem:clientAuth=request",
        )
        assert endpoint._endpoint == "tcp:0:interface=\\:\\:1:backlog=9"
        (site,) = endpoint._stapler.stage.sites
        assert site.certificate == (Path("a.pem"), Path("b.pem"))
        assert site.private_key == (Path("a.key"), Path("b.key"))
        assert site.issuer == Path("ca.pem")
        assert site.responder == "http://r.example/"
        assert site.staple_file == (Path("a.der"), Path("b.der"))
        assert site.must_staple == "refuse"
        assert (site.client_ca, site.client_auth) == ((Path("c.pem"), Path("d.pem")), "request")
        assert endpoint._stapler.context_factory()._preset == "modern"

    def test_other_place(self, place: Place) -> None:
        """In place of the port there may be another description, with its colons quoted."""
        endpoint = self.parse(place, "staple:unix\\:/run/site.sock:certificate=a.pem")
        assert endpoint._endpoint == "unix:/run/site.sock"

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("staple:8443", "certificate: is missing"),
            ("staple:8443:certificate=", "certificate: is missing"),
            ("staple:certificate=a", "it needs one place to listen on"),
            ("staple:8443:8444:certificate=a", "it needs one place to listen on"),
            ("staple:8443:certificate=a:privatekey=b", "privatekey: there is no such option; did you mean privateKey"),
            ("staple:8443:certificate=a:xyz=b", "xyz: there is no such option; use certificate"),
            ("staple:8443:certificate=a:tls=old", "tls: 'old' is no choice"),
            ("staple:8443:certificate=a:mustStaple=yes", "mustStaple: 'yes' is no choice"),
            ("staple:8443:certificate=a:clientAuth=yes", "clientAuth: 'yes' is no choice"),
            ("staple:8443:certificate=a:clientAuth=require", "but no CA is named"),
            ("staple:8443:certificate=a:clientCA=", "clientCA: is empty"),
            ("staple:8443:certificate=a,b:privateKey=c", "2 certificates, but 1 private keys"),
        ],
    )
    def test_wrong(self, place: Place, text: str, words: str) -> None:
        """Wrong options are one line that names the option and what to do."""
        with pytest.raises(OperatorError) as caught:
            self.parse(place, text)
        assert words in str(caught.value)

    def test_listens(self, place: Place) -> None:
        """A parsed endpoint whose files are missing fails with one line."""
        parser = StapleEndpointParser()
        endpoint = parser.parseStreamServer(place.clock, "0", certificate="missing.pem")
        failure = Result(endpoint.listen(Hello())).values[0]
        assert isinstance(failure, Failure)
        assert "missing.pem: there is no such file" in str(failure.value)
