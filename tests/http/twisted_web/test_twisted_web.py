"""Twisted Web's resources behind an exchange."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from typing import Any

import pytest
from fake_exchange import FakeConnection, FakeExchange, request
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher
from twisted.python.failure import Failure
from twisted.web.guard import BasicCredentialFactory
from twisted.web.resource import EncodingResourceWrapper, Resource
from twisted.web.server import NOT_DONE_YET, GzipEncoderFactory
from twisted.web.static import Data, File
from twisted.web.util import Redirect

from staplesrv.http.fields import Fields
from staplesrv.http.spool import IN_MEMORY
from staplesrv.http.twisted_web.application import TwistedWeb
from staplesrv.http.twisted_web.web_request import FIELDS

pytestmark = pytest.mark.filterwarnings("ignore:twisted.web.resource._Unsafe:DeprecationWarning")  # its own use of it

Render = Callable[[Any], Any]


class Leaf(Resource):
    """A resource that does what a test says, whatever the method, and remembers the request."""

    isLeaf = True

    def __init__(self, render: Render = lambda _: b"hello") -> None:
        super().__init__()
        self._render = render
        self.request: Any = None

    def render(self, request: Any) -> Any:
        """Do it."""
        self.request = request
        return self._render(request)


class OnlyGet(Resource):
    """A resource that knows nothing of HEAD, as those without Twisted's base class."""

    isLeaf = True
    render_HEAD = None

    def render_GET(self, request: Any) -> Any:
        """Answer."""
        return b"hello"


class Waiting(Leaf):
    """A resource that answers later."""

    def __init__(self) -> None:
        super().__init__(lambda _: NOT_DONE_YET)


def web(resource: Any) -> TwistedWeb:
    """The application of a resource, without a clock that moves."""
    return TwistedWeb(resource, Clock())


def serve(resource: Any, exchange: FakeExchange, *body: bytes) -> FakeExchange:
    """Have a resource answer, the body of whose request comes in pieces."""
    handler = web(resource).handle(exchange)
    exchange.handler = handler
    if handler is not None:
        for piece in body:
            handler.body(piece)
        handler.body_end(())
    return exchange


def posted(kind: bytes, length: int | None, *others: tuple[bytes, bytes]) -> FakeExchange:
    """An exchange whose request has a body."""
    return FakeExchange(request(b"/form?a=1", b"POST", ((b"content-type", kind), *others), length=length))


@pytest.fixture
def logged() -> Any:
    """What is logged, at a level that a program's log shows."""
    events: list[Any] = []

    def observe(event: Any) -> None:
        if event["log_level"].name != "debug":
            events.append(event)

    globalLogPublisher.addObserver(observe)
    yield events
    globalLogPublisher.removeObserver(observe)


# Whole answers.


def test_a_resource_that_returns_its_body() -> None:
    """One response goes out, with Twisted's default type and the length, and nothing of the connection's."""
    told = serve(Leaf(), FakeExchange()).told
    assert (told.status, told.body, told.finished) == (200, b"hello", True)
    assert told.fields == ((b"Content-Type", b"text/html"), (b"Content-Length", b"5"))


def test_status_fields_cookies_and_validators() -> None:
    """What a resource sets on the request is what the client gets."""

    def render(request: Any) -> bytes:
        request.setResponseCode(201, b"Made")
        request.setHeader(b"content-type", b"text/plain")
        request.responseHeaders.addRawHeader(b"x-two", b"1")
        request.responseHeaders.addRawHeader(b"x-two", b"2")
        request.addCookie(b"a", b"b", path=b"/")
        request.setETag(b'"e"')
        request.setLastModified(0)
        return b""

    told = serve(Leaf(render), FakeExchange()).told
    assert told.status == 201
    assert [value for name, value in told.fields if name == b"X-Two"] == [b"1", b"2"]
    assert told.field(b"set-cookie") == b"a=b; Path=/"
    assert told.field(b"etag") == b'"e"'
    assert told.field(b"last-modified") == b"Thu, 01 Jan 1970 00:00:00 GMT"
    assert told.field(b"content-length") == b"0"


def test_fields_of_the_connection_are_the_versions() -> None:
    """What a resource says of the connection or the framing does not go out."""

    def render(request: Any) -> bytes:
        for name in (b"connection", b"transfer-encoding", b"keep-alive", b"upgrade"):
            request.setHeader(name, b"x")
        return b"hello"

    told = serve(Leaf(render), FakeExchange()).told
    assert [name for name, _ in told.fields] == [b"Content-Type", b"Content-Length"]


@pytest.mark.parametrize("status", [204, 304])
def test_answers_without_a_body(status: int) -> None:
    """They have neither type nor length."""

    def render(request: Any) -> bytes:
        request.setResponseCode(status)
        return b"nobody sees it"

    told = serve(Leaf(render), FakeExchange()).told
    assert (told.status, told.fields, told.body) == (status, (), b"")


def test_children_are_found_by_unquoted_segments() -> None:
    """As Twisted finds them, and what is missing is 404."""
    root, folder = Resource(), Resource()
    root.putChild(b"a b", folder)
    folder.putChild(b"c/d", Data(b"found", "text/plain"))
    assert serve(root, FakeExchange(request(b"/a%20b/c%2Fd?x"))).told.body == b"found"
    assert serve(root, FakeExchange(request(b"/a%20b/c/d"))).told.status == 404


def test_what_a_leaf_sees() -> None:
    """Twisted's own attributes and methods have what the client sent."""
    leaf = Leaf()
    fields: Fields = ((b"host", b"example.org:8443"), (b"cookie", b"a=b; c=d"), (b"x-a", b"1"), (b"x-a", b"2"))
    serve(leaf, FakeExchange(request(b"/p/q?a=1&a=2&b=%20", fields=fields)))
    seen = leaf.request
    assert (seen.method, seen.uri, seen.path) == (b"GET", b"/p/q?a=1&a=2&b=%20", b"/p/q")
    assert (seen.args, seen.clientproto) == ({b"a": [b"1", b"2"], b"b": [b" "]}, b"HTTP/1.1")
    assert (seen.prepath, seen.postpath) == ([], [b"p", b"q"])
    assert seen.requestHeaders.getRawHeaders(b"X-A") == [b"1", b"2"]
    assert seen.getHeader("x-a") == "2"
    assert seen.getCookie(b"c") == b"d"
    assert seen.getRequestHostname() == b"example.org"
    assert seen.isSecure()
    assert seen.getClientAddress() == IPv4Address("TCP", "192.0.2.1", 40000)
    assert seen.getHost() == seen.transport.getHost() == IPv4Address("TCP", "192.0.2.2", 443)
    assert seen.transport.getPeer() == seen.client
    assert seen.transport.negotiatedProtocol == b"http/1.1"
    assert seen.prePathURL() == b"https://example.org/"


@pytest.mark.parametrize(
    ("address", "made"),
    [(("2001:db8::1", 9), IPv6Address("TCP", "2001:db8::1", 9)), (("", 0), UNIXAddress(None))],
)
def test_addresses_of_other_kinds(address: tuple[str, int], made: object) -> None:
    """IPv6 clients have theirs, and those of a UNIX socket none."""
    leaf = Leaf()
    serve(leaf, FakeExchange(connection=FakeConnection(client=address, secure=False)))
    assert leaf.request.getClientAddress() == made
    assert not leaf.request.isSecure()


def test_another_host_may_be_set() -> None:
    """`setHost` does what `VHostMonsterResource` needs."""
    leaf = Leaf()
    serve(leaf, FakeExchange())
    leaf.request.setHost(b"www.example.org", 80)
    assert leaf.request.getHost().host == b"www.example.org"
    assert leaf.request.getHeader(b"host") == b"www.example.org:80"


def test_basic_credentials() -> None:
    """User and password come out of the field."""
    leaf = Leaf()
    serve(leaf, FakeExchange(request(fields=((b"authorization", b"Basic dXNlcjpwYXNz"),))))
    assert (leaf.request.getUser(), leaf.request.getPassword()) == (b"user", b"pass")
    assert BasicCredentialFactory(b"realm").getChallenge(leaf.request)["realm"] == b"realm"


def test_a_redirect() -> None:
    """Twisted's own redirecting resource works."""
    told = serve(Redirect(b"/there"), FakeExchange(request(b"/here"))).told
    assert (told.status, told.field(b"location")) == (302, b"/there")


def test_sessions_last_and_end() -> None:
    """A client that sends its cookie finds its session again, until that times out."""
    clock, seen = Clock(), []

    def render(request: Any) -> bytes:
        seen.append(request.getSession())
        return b""

    application = TwistedWeb(Leaf(render), clock)
    cookie = FakeExchange().give(application).field(b"set-cookie")
    assert cookie is not None
    assert b"Secure" in cookie
    again = request(fields=((b"cookie", cookie.partition(b";")[0]),))
    assert FakeExchange(again).give(application).field(b"set-cookie") is None
    clock.advance(901)
    FakeExchange(again).give(application)
    assert seen[0] is seen[1]
    assert seen[2] is not seen[0]
    application.close()
    assert not clock.getDelayedCalls()


# Methods.


@pytest.mark.parametrize("resource", [OnlyGet(), Leaf()])
def test_head_is_get_without_the_body(resource: Any) -> None:
    """Its length is the length of what GET would bring, also where the resource knows nothing of HEAD."""
    told = serve(resource, FakeExchange(request(method=b"HEAD"))).told
    assert (told.status, told.body, told.field(b"content-length"), told.finished) == (200, b"", b"5", True)


def test_head_of_a_resource_that_knows_its_length() -> None:
    """Twisted's own say it without a body."""
    root = Resource()
    root.putChild(b"", Data(b"hello", "text/html"))
    told = serve(root, FakeExchange(request(method=b"HEAD"))).told
    assert (told.status, told.body, told.field(b"content-length"), told.finished) == (200, b"", b"5", True)


def test_a_known_method_that_a_resource_has_not() -> None:
    """It is 405 with what is allowed."""
    told = serve(OnlyGet(), FakeExchange(request(method=b"PUT"))).told
    assert (told.status, told.field(b"allow")) == (405, b"GET, HEAD")


def test_a_method_that_nobody_knows() -> None:
    """It is 501."""
    assert serve(OnlyGet(), FakeExchange(request(method=b"BREW"))).told.status == 501


@pytest.mark.parametrize(("method", "status"), [(b"OPTIONS", 204), (b"GET", 405)])
def test_the_server_as_a_whole(method: bytes, status: int) -> None:
    """`*` is no path: RFC 9110 §9.3.7 has it for OPTIONS alone."""
    assert serve(Leaf(), FakeExchange(request(b"*", method))).told.status == status


# What goes wrong.


def test_a_resource_that_raises(logged: list[Any]) -> None:
    """The client gets a plain 500, the log the traceback, once, and nothing that was set goes out."""

    def render(request: Any) -> bytes:
        request.setHeader(b"x-secret", b"1")
        request.write(b"some")
        raise RuntimeError("the secret")

    told = serve(Leaf(render), FakeExchange()).told
    assert (told.status, told.finished) == (500, True)
    assert b"secret" not in told.body
    assert told.field(b"x-secret") is None
    assert [str(event["log_failure"].value) for event in logged] == ["the secret"]


@pytest.mark.parametrize("returned", ["text", None, 7])
def test_a_resource_that_returns_no_bytes(returned: object, logged: list[Any]) -> None:
    """It is 500, and what the objects look like is for the log alone."""
    told = serve(Leaf(lambda _: returned), FakeExchange()).told
    assert told.status == 500
    assert b"Leaf" not in told.body
    assert len(logged) == 1


@pytest.mark.parametrize(
    "spoil",
    [
        lambda request: request.setHeader(b"x", b"a\x00b"),
        lambda request: request.setResponseCode(100),
        lambda request: request.setResponseCode(1000),
    ],
)
@pytest.mark.parametrize("later", [False, True])
def test_a_response_that_cannot_be_sent(spoil: Render, later: bool, logged: list[Any]) -> None:  # noqa: FBT001
    """It is 500, at once and later."""
    leaf = Waiting() if later else Leaf(lambda request: spoil(request) or b"x")
    exchange = serve(leaf, FakeExchange())
    if later:
        spoil(leaf.request)
        leaf.request.finish()
    assert (exchange.told.status, exchange.told.finished) == (500, True)
    assert len(logged) == 1


def test_line_breaks_in_a_field_split_no_response() -> None:
    """Twisted makes spaces of them."""
    told = serve(Leaf(lambda request: request.setHeader(b"x", b"a\r\nSet-Cookie: b") or b""), FakeExchange()).told
    assert told.field(b"x") == b"a Set-Cookie: b"


def test_a_failure_after_the_beginning(logged: list[Any]) -> None:
    """The response is broken off, so that the client notices."""
    leaf = Waiting()
    exchange = serve(leaf, FakeExchange())
    leaf.request.write(b"some")
    leaf.request.processingFailed(_failure())
    assert exchange.told.aborted
    assert len(logged) == 1


@pytest.mark.parametrize("target", [b"/%00", b"/a/b%00.html", b"/%00?x"])
def test_a_nul_in_the_path(target: bytes, logged: list[Any]) -> None:
    """It is the client's fault, and not worth a line."""
    assert serve(File("."), FakeExchange(request(target))).told.status == 400
    assert not logged


@given(st.binary(max_size=30))
def test_no_path_upsets_a_tree(path: bytes) -> None:
    """Whatever segments come out of the escapes, the answer is a page."""
    root = Resource()
    root.putChild(b"a", Resource())
    target = b"/a/" + b"".join(b"%%%02x" % byte for byte in path)
    assert serve(root, FakeExchange(request(target))).told.status in {400, 404}


# Bodies of requests.


@pytest.mark.parametrize("length", [None, 7])
@pytest.mark.parametrize("pieces", [[b"b=2&c=3"], [b"b=2", b"&c=3"]])
def test_a_form(length: int | None, pieces: list[bytes]) -> None:
    """Its arguments are added to those of the target, and the body is there to be read all the same."""
    read = []
    leaf = Leaf(lambda request: read.append(request.content.read()) or b"")
    serve(leaf, posted(b"application/x-www-form-urlencoded", length), *pieces)
    assert leaf.request.args == {b"a": [b"1"], b"b": [b"2"], b"c": [b"3"]}
    assert read == [b"b=2&c=3"]


def test_a_form_in_parts() -> None:
    """multipart/form-data is taken apart."""
    leaf = Leaf()
    body = b'--B\r\nContent-Disposition: form-data; name="b"\r\n\r\nvalue\r\n--B--\r\n'
    serve(leaf, posted(b"multipart/form-data; boundary=B", len(body)), body)
    assert leaf.request.args == {b"a": [b"1"], b"b": [b"value"]}


@pytest.mark.parametrize("kind", [b"multipart/form-data", b"multipart/form-data; boundary=A"])
def test_a_form_that_is_none(kind: bytes, logged: list[Any]) -> None:
    """It is 400 and not worth a line."""
    told = serve(Leaf(), posted(kind, 5), b"hello").told
    assert (told.status, logged) == (400, [])


@pytest.mark.parametrize(
    ("kind", "piece"),
    [
        (b"application/x-www-form-urlencoded", b"a=1&"),
        (b"application/x-www-form-urlencoded", b"a=1;"),
        (b"multipart/form-data; boundary=B", b"--B\r\n\r\n\r\n"),
        (b"multipart/form-data; boundary=B", b"--C\r\r\r"),
    ],
)
def test_a_form_without_end(kind: bytes, piece: bytes, logged: list[Any]) -> None:
    """Nobody waits for a hundred thousand fields to be read."""
    body = piece * (FIELDS + 2)
    told = serve(Leaf(), posted(kind, len(body)), body).told
    assert (told.status, logged) == (400, [])


@pytest.mark.parametrize("data", [bytearray(b"some"), memoryview(b"some")])
@pytest.mark.parametrize("later", [False, True])
def test_other_kinds_of_bytes(data: Any, later: bool) -> None:  # noqa: FBT001
    """They are taken as bytes; text is not."""
    leaf = Waiting() if later else Leaf(lambda request: request.write(data) or NOT_DONE_YET)
    exchange = serve(leaf, FakeExchange())
    if later:
        leaf.request.write(data)
    assert exchange.told.body == b"some"
    with pytest.raises(TypeError):
        leaf.request.write("text")


@given(st.binary(max_size=40).filter(lambda kind: not set(kind) & set(b"\r\n\0")), st.binary(min_size=1, max_size=60))
def test_no_type_and_body_upset_it(kind: bytes, body: bytes) -> None:
    """Whatever a form pretends to be, it is one or it is refused."""
    for prefix in (b"", b"multipart/form-data; boundary=", b"multipart/form-data;"):
        assert serve(Leaf(), posted(prefix + kind, len(body)), body).told.status in {200, 400}


def test_a_large_body_waits_in_a_file() -> None:
    """Only its beginning is kept in memory; the resource reads all of it, and it is closed in the end."""
    read: list[int] = []
    leaf = Leaf(lambda request: read.append(len(request.content.read())) or NOT_DONE_YET)
    serve(leaf, posted(b"text/plain", 3 * IN_MEMORY), *[b"x" * IN_MEMORY] * 3)
    content = leaf.request.content
    assert read == [3 * IN_MEMORY]
    assert content._rolled
    leaf.request.finish()
    assert content.closed


def test_a_resource_is_called_once_the_body_is_there() -> None:
    """Not before, and not at all where the client goes away before."""
    leaf = Leaf()
    exchange = posted(b"text/plain", 4)
    handler = web(leaf).handle(exchange)
    assert handler is not None
    handler.body(b"ab")
    handler.lost()
    handler.body_end(())
    assert leaf.request is None
    assert not exchange.told.finished


# Answers that take their time.


def test_a_resource_that_answers_later() -> None:
    """What it writes goes out as it comes, without a length where it named none."""
    leaf = Waiting()
    exchange = serve(leaf, FakeExchange())
    assert not exchange.told.status
    leaf.request.write(b"one")
    assert (exchange.told.status, exchange.told.body, exchange.told.finished) == (200, b"one", False)
    assert exchange.told.field(b"content-length") is None
    leaf.request.write(b"two")
    leaf.request.finish()
    assert (exchange.told.body, exchange.told.finished, leaf.request.sentLength) == (b"onetwo", True, 6)


def test_a_resource_that_writes_and_goes_on() -> None:
    """What it wrote while it was called goes out at the end of the call."""
    leaf = Leaf(lambda request: request.setHeader(b"content-length", b"6") or request.write(b"one") or NOT_DONE_YET)
    exchange = serve(leaf, FakeExchange())
    assert (exchange.told.body, exchange.told.field(b"content-length")) == (b"one", b"6")
    leaf.request.write(b"two")
    leaf.request.finish()
    assert exchange.told.finished


def test_a_wrong_length_is_left_to_the_version() -> None:
    """It sees to it that the client notices."""

    def render(request: Any) -> Any:
        request.setHeader(b"content-length", b"10")
        request.write(b"short")
        request.finish()
        return NOT_DONE_YET

    told = serve(Leaf(render), FakeExchange()).told
    assert (told.field(b"content-length"), told.body) == (b"10", b"short")


def test_an_empty_answer_later() -> None:
    """Its head goes out with its end."""
    leaf = Waiting()
    exchange = serve(leaf, FakeExchange())
    leaf.request.setResponseCode(202)
    leaf.request.finish()
    assert (exchange.told.status, exchange.told.finished) == (202, True)


def test_head_of_an_answer_later() -> None:
    """No length is made up for what nobody wrote."""
    leaf = Waiting()
    exchange = serve(leaf, FakeExchange(request(method=b"HEAD")))
    leaf.request.finish()
    assert (exchange.told.finished, exchange.told.field(b"content-length")) == (True, None)


def test_notify_finish_of_an_answer() -> None:
    """It fires when the response is over."""
    leaf, fired = Waiting(), []
    serve(leaf, FakeExchange())
    leaf.request.notifyFinish().addCallback(fired.append)
    assert fired == []
    leaf.request.finish()
    assert fired == [None]


def test_a_client_that_goes_away(logged: list[Any]) -> None:
    """`notifyFinish` fails, and what the resource says from then on is for nobody, and no error."""
    leaf, failed = Waiting(), []
    exchange = serve(leaf, FakeExchange())
    leaf.request.notifyFinish().addErrback(failed.append)
    assert exchange.handler is not None
    exchange.handler.lost()
    leaf.request.write(b"x")
    leaf.request.finish()
    leaf.request.loseConnection()
    assert len(failed) == 1
    assert not exchange.told.status
    assert leaf.request.content.closed
    assert not logged


@pytest.mark.parametrize("how", ["loseConnection", "abortConnection"])
def test_a_resource_that_breaks_off(how: str) -> None:
    """The exchange is aborted, and `notifyFinish` fails."""
    leaf, failed = Waiting(), []
    exchange = serve(leaf, FakeExchange())
    leaf.request.notifyFinish().addErrback(failed.append)
    leaf.request.write(b"x")
    getattr(leaf.request.transport, how)()
    assert exchange.told.aborted
    assert len(failed) == 1


def test_what_is_asked_of_a_request_that_is_over() -> None:
    """Its facts are still there; to write is an error."""
    leaf = Leaf()
    serve(leaf, FakeExchange())
    assert leaf.request.isSecure()
    assert leaf.request.getClientAddress().host == "192.0.2.1"
    with pytest.raises(RuntimeError):
        leaf.request.write(b"more")
    with pytest.warns(UserWarning, match="twice"):
        leaf.request.finish()


def test_compression() -> None:
    """Twisted's own encoder works, and its length is that of nothing that went out."""
    told = serve(
        EncodingResourceWrapper(Leaf(lambda _: b"hello" * 100), [GzipEncoderFactory()]),
        FakeExchange(request(fields=((b"accept-encoding", b"gzip"),))),
    ).told
    assert gzip.decompress(told.body) == b"hello" * 100
    assert told.field(b"content-encoding") == b"gzip"
    assert told.field(b"content-length") == b"%d" % len(told.body)


def _failure() -> Any:
    return Failure(RuntimeError("later"))  # type: ignore[no-untyped-call]
