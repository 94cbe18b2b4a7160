"""Resources that come with Twisted, behind an exchange."""

from __future__ import annotations

import xmlrpc.client
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_exchange import FakeExchange, Told, request
from twisted.cred.checkers import InMemoryUsernamePasswordDatabaseDontUse
from twisted.cred.portal import IRealm, Portal
from twisted.internet.task import Clock
from twisted.web.guard import BasicCredentialFactory, HTTPAuthSessionWrapper
from twisted.web.resource import IResource, Resource
from twisted.web.server import NOT_DONE_YET
from twisted.web.static import Data, File
from twisted.web.template import Element, TagLoader, renderElement, renderer, tags
from twisted.web.vhost import NameVirtualHost, VHostMonsterResource
from twisted.web.wsgi import WSGIResource
from twisted.web.xmlrpc import XMLRPC
from zope.interface import implementer

from staplesrv.http.fields import Fields
from staplesrv.http.request import Request
from staplesrv.http.twisted_web.application import TwistedWeb

pytestmark = pytest.mark.filterwarnings("ignore:twisted.web.resource._Unsafe:DeprecationWarning")  # its own use of it


def ask(resource: Any, of: Request, body: bytes = b"") -> Told:
    """What a client gets in the end."""
    clock, exchange = Clock(), FakeExchange(of)
    exchange.handler = TwistedWeb(resource, clock).handle(exchange)
    if exchange.handler is not None and of.length != 0:
        exchange.handler.body(body)
        exchange.handler.body_end(())
    clock.pump([0] * 100)
    assert exchange.told.finished
    return exchange.told


class TestFile:
    SIZE = 300_000

    @pytest.fixture
    def root(self, tmp_path: Path) -> File:
        """A folder of files."""
        (tmp_path / "large.bin").write_bytes(bytes(range(100)) * (self.SIZE // 100))
        (tmp_path / "a.txt").write_bytes(b"hello")
        return File(str(tmp_path))

    def test_a_file(self, root: File) -> None:
        """Its producer writes it, to the end."""
        told = ask(root, request(b"/large.bin"))
        assert (told.status, told.body) == (200, bytes(range(100)) * (self.SIZE // 100))
        assert told.field(b"content-length") == b"%d" % self.SIZE

    @pytest.mark.parametrize(("wanted", "body"), [(b"bytes=1-3", b"ell"), (b"bytes=-2", b"lo"), (b"bytes=3-", b"lo")])
    def test_a_range(self, root: File, wanted: bytes, body: bytes) -> None:
        """A part of it."""
        told = ask(root, request(b"/a.txt", fields=((b"range", wanted),)))
        assert (told.status, told.body) == (206, body)

    def test_several_ranges(self, root: File) -> None:
        """Several parts of it."""
        told = ask(root, request(b"/a.txt", fields=((b"range", b"bytes=0-0,4-4"),)))
        assert told.status == 206
        assert told.field(b"content-length") == b"%d" % len(told.body)

    def test_what_the_client_has_already(self, root: File) -> None:
        """It is not sent again."""
        modified = ask(root, request(b"/a.txt")).field(b"last-modified")
        assert modified is not None
        told = ask(root, request(b"/a.txt", fields=((b"if-modified-since", modified),)))
        assert (told.status, told.body) == (304, b"")

    def test_head(self, root: File) -> None:
        """The head of the answer alone."""
        told = ask(root, request(b"/large.bin", b"HEAD"))
        assert (told.status, told.body, told.field(b"content-length")) == (200, b"", b"%d" % self.SIZE)

    def test_a_client_that_leaves(self, root: File) -> None:
        """The file is closed, and nothing is left to do."""
        clock, exchange = Clock(), FakeExchange(request(b"/large.bin"))
        handler = TwistedWeb(root, clock).handle(exchange)
        assert handler is not None
        handler.lost()
        assert not clock.getDelayedCalls()


class Adder(XMLRPC):
    """An XML-RPC service."""

    def xmlrpc_add(self, one: int, other: int) -> int:
        """Add."""
        return one + other


def test_xml_rpc() -> None:
    """A call and its result."""
    body = xmlrpc.client.dumps((2, 3), "add").encode()
    of = request(b"/", b"POST", ((b"content-type", b"text/xml"),), length=len(body))
    assert xmlrpc.client.loads(ask(Adder(), of, body).body) == ((5,), None)


@implementer(IRealm)
class Realm:
    """Has a page for whoever is let in."""

    def requestAvatar(self, _user: object, _mind: object, *_: object) -> Any:
        """Return it."""
        root = Resource()
        root.putChild(b"", Data(b"secret", "text/plain"))
        return IResource, root, lambda: None


@pytest.mark.parametrize(
    ("fields", "status"),
    [((), 401), (((b"authorization", b"Basic dXNlcjpwYXNz"),), 200), (((b"authorization", b"Basic eDp4"),), 401)],
)
def test_http_authentication(fields: Fields, status: int) -> None:
    """Users are let in, and others are asked who they are."""
    checker = InMemoryUsernamePasswordDatabaseDontUse(user=b"pass")  # type: ignore[no-untyped-call]
    guarded = HTTPAuthSessionWrapper(Portal(Realm(), [checker]), [BasicCredentialFactory(b"here")])
    told = ask(guarded, request(b"/", fields=fields))
    assert told.status == status
    assert (told.field(b"www-authenticate") is not None) is (status == 401)


def test_hosts_by_name() -> None:
    """Each has its tree."""
    hosts: Any = NameVirtualHost()
    for name in (b"a.example", b"b.example"):
        root = Resource()
        root.putChild(b"", Data(name, "text/plain"))
        hosts.addHost(name, root)
    for name in (b"a.example", b"b.example:8443"):
        told = ask(hosts, request(b"/", fields=((b"host", name),)))
        assert told.body == name.partition(b":")[0]


def test_a_host_that_somebody_in_front_names() -> None:
    """The resource behind sees that one."""

    class Where(Resource):
        isLeaf = True

        def render_GET(self, request: Any) -> bytes:
            url: bytes = request.prePathURL()
            return url

    root = Resource()
    root.putChild(b"vhost", VHostMonsterResource())
    root.putChild(b"x", Where())
    told = ask(root, request(b"/vhost/https/www.example.org:443/x"))
    assert told.body == b"https://www.example.org/x"


def test_a_template() -> None:
    """It is rendered, and ends the request by itself."""

    class Page(Element):
        loader = TagLoader(tags.p("a < ", tags.span(render="what")))

        @renderer
        def what(self, _request: object, tag: Any) -> Any:
            return tag("b & c")

    class Rendering(Resource):
        isLeaf = True

        def render_GET(self, request: Any) -> Any:
            renderElement(request, Page(), doctype=None)
            return NOT_DONE_YET

    assert ask(Rendering(), request()).body == b"<p>a &lt; <span>b &amp; c</span></p>"


def test_wsgi_inside_of_a_tree() -> None:
    """Twisted's own resource for it works, too."""

    class Inline:
        """A reactor and its threads, which do everything at once."""

        def callInThread(self, function: Callable[..., Any], *args: Any) -> None:
            """Call it."""
            function(*args)

        def callFromThread(self, function: Callable[..., Any], *args: Any) -> None:
            """Call it."""
            function(*args)

    def application(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [environ["SCRIPT_NAME"].encode(), b" ", environ["PATH_INFO"].encode()]

    root, inline = Resource(), Inline()
    root.putChild(b"app", WSGIResource(inline, inline, application))
    assert ask(root, request(b"/app/a/b")).body == b"/app /a/b"
