"""The admin interface, spoken to over a wire without sockets."""

from __future__ import annotations

import gc
import json
from typing import Any

import pytest
from ops.statuses import certificate, reloaded, status
from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import LogEvent, formatEvent, globalLogPublisher
from twisted.python.failure import Failure

from staplesrv.ops.admin import tree
from staplesrv.ops.admin_site import LONGEST_BODY, MOST, SECONDS, SECONDS_TO_READ, AdminSite
from staplesrv.ops.status import Reload, Status

HERE = "Host: 127.0.0.1:9443"


class FakeServer:
    """A server that is well.

    Attributes:
        how: How it is.
        wrong: Why clients should go elsewhere.
        reloading: What whoever asked for a reload waits for; None where it stops.
    """

    def __init__(self) -> None:
        self.how = status()
        self.wrong = ""
        self.reloading: Deferred[Reload] | None = Deferred()
        self.reloads = 0

    async def status(self) -> Status:
        """How it is."""
        return self.how

    def out_of_service(self) -> str:
        """Whether clients should come."""
        return self.wrong

    def reload_soon(self) -> Deferred[Reload] | None:
        """Count it."""
        self.reloads += 1
        return self.reloading


class Interface:
    """The site, and connections to it."""

    def __init__(self) -> None:
        self.server = FakeServer()
        self.clock = Clock()
        self.site = AdminSite(tree(self.server, self.clock), self.clock)

    def connect(self, *, unix: bool = False) -> tuple[Any, StringTransport]:
        """Connect; the protocol, and what it writes to."""
        host: Any = UNIXAddress(b"/run/a") if unix else IPv4Address("TCP", "127.0.0.1", 9443)
        transport = StringTransport(host)
        protocol = self.site.buildProtocol(None)
        protocol.makeConnection(transport)
        return protocol, transport

    def ask(self, method: str, path: str, *fields: str, unix: bool = False) -> tuple[int, dict[str, str], str]:
        """Ask one thing; status, fields, and the body."""
        protocol, transport = self.connect(unix=unix)
        protocol.dataReceived(request(method, path, *fields))
        answered = parsed(transport)
        protocol.connectionLost(Failure(ConnectionError()))
        return answered


def request(method: str, path: str, *fields: str) -> bytes:
    """The bytes of a request."""
    return "\r\n".join([f"{method} {path} HTTP/1.1", *fields, "", ""]).encode("latin-1")


def parsed(transport: StringTransport) -> tuple[int, dict[str, str], str]:
    """What was written: status, fields by name in lower case, and the body."""
    head, _, body = transport.value().decode().partition("\r\n\r\n")
    first, *lines = head.split("\r\n")
    pairs = (line.partition(": ") for line in lines)
    return int(first.split(" ")[1]), {name.lower(): value for name, _, value in pairs}, body


@pytest.fixture
def interface() -> Interface:
    """One to speak to."""
    return Interface()


@pytest.fixture
def events() -> Any:
    """What is logged."""
    found: list[LogEvent] = []
    globalLogPublisher.addObserver(found.append)
    yield found
    globalLogPublisher.removeObserver(found.append)


def test_what_can_be_looked_at(interface: Interface) -> None:
    """Nothing of it may be kept, or taken for something else."""
    for path, kind, begins in (
        ("/status", "application/json", '{"verdict": "ok"'),
        ("/metrics", "text/plain; version=0.0.4; charset=utf-8", "# HELP staplesrv_info "),
        ("/health", "text/plain; charset=utf-8", "ok\n"),
    ):
        code, fields, body = interface.ask("GET", path, HERE)
        assert (code, fields["content-type"]) == (200, kind)
        assert body.startswith(begins)
        assert fields["content-length"] == str(len(body.encode()))
        assert (fields["cache-control"], fields["x-content-type-options"]) == ("no-store", "nosniff")
        assert fields["server"] == "staplesrv"
        assert interface.ask("HEAD", path, HERE) == (
            200,
            {**fields, "date": interface.ask("HEAD", path)[1]["date"]},
            "",
        )


def test_a_file_may_have_a_name_that_is_no_text(interface: Interface) -> None:
    """Of a folder that is not named in UTF-8, for one: what can't be written is shown as what it is."""
    interface.server.how = status(certificate(file="/srv/\udce9/a.pem"))
    assert 'file="/srv/\\udce9/a.pem"' in interface.ask("GET", "/metrics", HERE)[2]
    assert json.loads(interface.ask("GET", "/status", HERE)[2])["certificates"][0]["file"] == "/srv/\udce9/a.pem"


def test_a_body_that_is_too_long_does_nothing(interface: Interface) -> None:
    """Not even where all of it is there at once."""
    length = LONGEST_BODY + 1
    protocol, transport = interface.connect()
    protocol.dataReceived(request("POST", "/reload", HERE, f"Content-Length: {length}") + b"x" * length)
    assert transport.value().startswith(b"HTTP/1.1 413 ")
    assert interface.server.reloads == 0


def test_a_status_is_one_json_object(interface: Interface) -> None:
    """With a line's end."""
    body = interface.ask("GET", "/status", HERE)[2]
    assert json.loads(body)["pid"] == 99
    assert body.endswith("}\n")


def test_health_is_about_service(interface: Interface) -> None:
    """With the sentence."""
    interface.server.wrong = "no worker serves"
    code, _, body = interface.ask("GET", "/health", HERE)
    assert (code, body) == (503, "no worker serves\n")


@pytest.mark.parametrize("path", ["/", "/nope", "/status/", "/status/more", "/../status", "/%00", "//", "/status%2F"])
def test_what_is_not_there(interface: Interface, path: str) -> None:
    """With what is."""
    code, _, body = interface.ask("GET", path, HERE)
    assert (code, body) == (404, "there are /status, /metrics, /health, and /reload for POST\n")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/status", "GET, HEAD"),
        ("DELETE", "/metrics", "GET, HEAD"),
        ("BREW", "/health", "GET, HEAD"),
        ("OPTIONS", "/reload", "POST"),
        ("GET", "/reload", "POST"),
        ("HEAD", "/reload", "POST"),
    ],
)
def test_other_methods(interface: Interface, method: str, path: str, allowed: str) -> None:
    """With those that there are."""
    code, fields, _ = interface.ask(method, path, HERE)
    assert (code, fields["allow"]) == (405, allowed)
    assert interface.server.reloads == 0


def test_a_reload_is_waited_for(interface: Interface) -> None:
    """The answer is the line that says what was done."""
    protocol, transport = interface.connect()
    protocol.dataReceived(request("POST", "/reload", HERE, "Content-Length: 0"))
    interface.clock.advance(SECONDS * 4)
    assert transport.value() == b""
    assert interface.server.reloading is not None
    interface.server.reloading.callback(reloaded("reloaded: 3 sites"))
    assert parsed(transport)[::2] == (200, "reloaded: 3 sites\n")


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        (reloaded("a.toml: bad", good=False), "a.toml: bad\n"),
        (reloaded("reloaded: 1 sites", "a.pem: gone", "b.pem: gone"), "a.pem: gone\nb.pem: gone\n"),
    ],
)
def test_what_can_t_be_used_is_the_answer(interface: Interface, outcome: Reload, said: str) -> None:
    """Of the whole configuration, or of some of its sites."""
    assert interface.server.reloading is not None
    interface.server.reloading.callback(outcome)
    assert interface.ask("POST", "/reload", HERE, "Content-Length: 0")[::2] == (422, said)


def test_a_server_that_stops_reloads_nothing(interface: Interface) -> None:
    """And says so."""
    interface.server.reloading = None
    assert interface.ask("POST", "/reload", HERE)[::2] == (409, "the server stops\n")


def test_whoever_left_before_the_end_gets_nothing(interface: Interface, events: list[LogEvent]) -> None:
    """And nothing goes wrong for it."""
    protocol, transport = interface.connect()
    protocol.dataReceived(request("POST", "/reload", HERE))
    protocol.connectionLost(Failure(ConnectionError()))
    assert interface.server.reloading is not None
    interface.server.reloading.callback(reloaded())
    assert transport.value() == b""
    # What went wrong in a Deferred is logged when nobody has it any more.
    del interface.server.reloading
    gc.collect()
    assert not events


def test_a_bug_is_one_of_ours(interface: Interface, events: list[LogEvent]) -> None:
    """The client is told so; the traceback is in the log."""
    assert interface.server.reloading is not None
    interface.server.reloading.errback(ZeroDivisionError())
    assert interface.ask("POST", "/reload", HERE)[::2] == (500, "this is a bug; the log says more\n")
    (event,) = events
    assert event["log_failure"].check(ZeroDivisionError)


@pytest.mark.parametrize("path", ["/status", "/metrics", "/health", "/nope"])
def test_names_of_others_get_nothing(interface: Interface, path: str) -> None:
    """A page whose name leads to loopback learns nothing; over a UNIX socket there is no such page."""
    assert interface.ask("GET", path, "Host: evil.example")[0] == 421
    assert interface.ask("GET", path, HERE, "Host: evil.example")[0] == 421
    assert interface.ask("GET", path, "Host: evil.example", unix=True)[0] in (200, 404)
    assert interface.ask("GET", path)[0] in (200, 404)


@pytest.mark.parametrize("field", ["Origin: https://evil.example", "Origin: null", "Sec-Fetch-Site: cross-site"])
def test_pages_steer_nothing(interface: Interface, field: str) -> None:
    """Wherever they come from; over a UNIX socket neither."""
    for unix in (False, True):
        assert interface.ask("POST", "/reload", HERE, field, unix=unix)[0] == 403
    assert interface.server.reloads == 0
    assert interface.ask("GET", "/status", HERE, field)[0] == 200


@pytest.mark.parametrize("field", [f"Content-Length: {LONGEST_BODY + 1}", "Transfer-Encoding: chunked"])
def test_large_bodies_are_not_read(interface: Interface, field: str, events: list[LogEvent]) -> None:
    """Whether their size is said or not."""
    protocol, transport = interface.connect()
    protocol.dataReceived(request("POST", "/reload", HERE, field) + b"5\r\nabcde\r\n" * 3)
    assert parsed(transport)[0] == 413
    assert transport.disconnecting
    protocol.connectionLost(Failure(ConnectionError()))
    assert interface.server.reloads == 0
    assert not events


def test_bytes_that_trickle_in_buy_no_time(interface: Interface, events: list[LogEvent]) -> None:
    """A request has a quarter of a minute to come, and nothing is logged where it does not."""
    protocol, transport = interface.connect()
    for byte in request("GET", "/health", HERE)[: int(SECONDS)]:
        assert not transport.disconnected
        protocol.dataReceived(bytes([byte]))
        interface.clock.advance(1)
    assert transport.disconnected
    protocol.connectionLost(Failure(ConnectionError()))
    assert not events


def test_connections_are_few(interface: Interface) -> None:
    """One that ends makes room for another one."""
    first, _ = interface.connect()
    for _ in range(MOST - 1):
        interface.connect()
    assert interface.site.buildProtocol(None) is None
    first.connectionLost(Failure(ConnectionError()))
    assert interface.connect()[0] is not None


def test_a_connection_is_good_for_one_request(interface: Interface) -> None:
    """What comes behind it is not looked at: its answers would have to be kept for a client that reads none."""
    protocol, transport = interface.connect()
    protocol.dataReceived(request("GET", "/health", HERE) * 3)
    assert parsed(transport)[1]["connection"] == "close"
    assert transport.value().count(b"HTTP/1.1") == 1
    assert transport.disconnecting


def test_an_answer_that_is_not_read_does_not_keep_a_connection(interface: Interface) -> None:
    """It ends after a minute: a few such clients would else keep everybody out."""
    protocol, transport = interface.connect()
    protocol.dataReceived(request("GET", "/metrics", HERE))
    interface.clock.advance(SECONDS_TO_READ - 1)
    assert not transport.disconnected
    interface.clock.advance(1)
    assert transport.disconnected
    protocol.connectionLost(Failure(ConnectionError()))
    assert not interface.clock.getDelayedCalls()


def test_a_path_that_is_no_utf_8_is_shown_all_the_same(interface: Interface) -> None:
    """With something in the place of what can't be written."""
    assert interface.server.reloading is not None
    interface.server.reloading.callback(reloaded("/srv/\udcff.pem: gone", good=False))
    assert interface.ask("POST", "/reload", HERE)[::2] == (422, "/srv/\\udcff.pem: gone\n")


@pytest.mark.parametrize(
    "garbage",
    [
        b"\0\0\0\r\n\r\n",
        b"GET\r\n\r\n",
        b"A" * 70000,
        b"GET / HTTP/1.1\r\nA\r\n\r\n",
        # Python reads 4300 digits at most.
        b"POST /reload HTTP/1.1\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n",
    ],
)
def test_garbage_is_refused_without_a_word(interface: Interface, garbage: bytes, events: list[LogEvent]) -> None:
    """In the log."""
    protocol, transport = interface.connect()
    protocol.dataReceived(garbage)
    # A line without an end is not worth an answer.
    assert transport.value()[:12] == (b"" if len(garbage) > 16384 else b"HTTP/1.1 400")
    assert transport.disconnecting
    assert [formatEvent(event) for event in events] == []
