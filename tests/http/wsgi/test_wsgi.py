"""WSGI callables behind an exchange."""

from __future__ import annotations

import queue
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from wsgiref.validate import validator

import pytest
from fake_exchange import FakeConnection, FakeExchange, request
from hypothesis import given
from hypothesis import strategies as st

from staplesrv.http.request import Request
from staplesrv.http.wsgi.application import Wsgi
from staplesrv.http.wsgi.environ import ErrorLog, environ

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")


class Inline:
    """A reactor and its threads, which do everything at once."""

    def callInThread(self, function: Callable[..., Any], *args: Any) -> None:
        """Call it."""
        function(*args)

    def callFromThread(self, function: Callable[..., Any], *args: Any) -> None:
        """Call it."""
        function(*args)


class Threads:
    """A reactor and its threads, which are real ones; the test is the reactor."""

    def __init__(self) -> None:
        self.told: queue.Queue[Callable[[], Any]] = queue.Queue()
        self.thread: threading.Thread | None = None

    def callInThread(self, function: Callable[..., Any], *args: Any) -> None:
        """Call it in a thread."""
        self.thread = threading.Thread(target=function, args=args, daemon=True)
        self.thread.start()

    def callFromThread(self, function: Callable[..., Any], *args: Any) -> None:
        """Leave it to `turn`."""
        self.told.put(lambda: function(*args))

    def turn(self) -> None:
        """Do the next thing that a thread wants to be done."""
        self.told.get(timeout=10)()

    def end(self) -> None:
        """See the thread end."""
        assert self.thread is not None
        self.thread.join(10)
        assert not self.thread.is_alive()


def serve(application: Any, of: Request | None = None, *body: bytes) -> FakeExchange:
    """Have a callable answer."""
    exchange, inline = FakeExchange(of), Inline()
    handler = Wsgi(application, inline, inline).handle(exchange)  # type: ignore[arg-type]
    exchange.handler = handler
    if handler is not None:
        for piece in body:
            handler.body(piece)
        handler.body_end(())
    return exchange


def saying(status: str, *headers: tuple[str, str], body: Iterable[bytes] = (b"hello",)) -> Any:
    """A callable that always says the same."""

    def application(_: Any, start_response: Any) -> Iterable[bytes]:
        start_response(status, list(headers))
        return list(body)

    return application


PLAIN = ("Content-Type", "text/plain")


def checked(application: Any) -> Any:
    """A callable behind the standard library's own check of both sides of PEP 3333."""
    return validator(application)


# What it is told.


def test_the_variables_of_a_request() -> None:
    """They are those of the PEP, with what the client sent."""
    of = request(
        b"/a%20b/%C3%A9?x=%20y",
        b"GET",
        (
            (b"host", b"example.org:8443"),
            (b"content-type", b"text/x"),
            (b"x-a", b"1"),
            (b"x-a", b"2"),
            (b"cookie", b"a"),
        ),
    )
    seen: dict[str, Any] = {}
    serve(lambda variables, start: seen.update(variables) or saying("200 OK", PLAIN)(variables, start), of)
    assert {key: seen[key] for key in seen if key.isupper() and not key.startswith("HTTP_")} == {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/a b/\xc3\xa9",
        "QUERY_STRING": "x=%20y",
        "SERVER_NAME": "example.org",
        "SERVER_PORT": "443",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "192.0.2.1",
        "REMOTE_PORT": "40000",
        "CONTENT_TYPE": "text/x",
        "HTTPS": "on",
    }
    assert (seen["HTTP_HOST"], seen["HTTP_X_A"], seen["HTTP_COOKIE"]) == ("example.org:8443", "1, 2", "a")
    assert seen["wsgi.url_scheme"] == "https"


def test_fields_that_would_pass_for_others_are_left_out() -> None:
    """One with an underscore for one with a hyphen, and Proxy for a setting of libraries (CVE-2016-5385)."""
    fields = ((b"x_forwarded_for", b"evil"), (b"proxy", b"evil"), (b"transfer-encoding", b"chunked"))
    seen = environ(FakeExchange(request(fields=fields)), open(sys.executable, "rb"))  # noqa: SIM115, PTH123
    assert "evil" not in seen.values()
    assert "HTTP_TRANSFER_ENCODING" not in seen
    seen["wsgi.input"].close()


@pytest.mark.parametrize(
    ("authority", "name"),
    [
        (b"[2001:db8::1]:8443", "[2001:db8::1]"),
        (b"[::1]", "[::1]"),
        (b"a.example", "a.example"),
        (b"a.example:", "a.example"),
        (b"", "192.0.2.2"),
    ],
)
def test_the_name_of_the_server(authority: bytes, name: str) -> None:
    """It is the host that was asked for; without one, the address."""
    seen: list[str] = []
    of = Request(b"GET", b"/", authority, ((b"host", authority),))
    serve(lambda variables, start: seen.append(variables["SERVER_NAME"]) or saying("200 OK")(variables, start), of)
    assert seen == [name]


def test_crumbs_of_a_cookie_are_joined_as_one() -> None:
    """HTTP/2 sends each in a field of its own: RFC 9113 §8.2.3."""
    seen: list[str] = []
    of = request(fields=((b"cookie", b"a=1"), (b"cookie", b"b=2")), version="2")
    serve(lambda variables, start: seen.append(variables["HTTP_COOKIE"]) or saying("200 OK")(variables, start), of)
    assert seen == ["a=1; b=2"]


def test_it_is_not_secure_without_tls() -> None:
    """A plain connection is http."""
    exchange = FakeExchange(connection=FakeConnection(secure=False))
    seen = environ(exchange, open(sys.executable, "rb"))  # noqa: SIM115, PTH123
    seen["wsgi.input"].close()
    assert (seen["wsgi.url_scheme"], "HTTPS" in seen) == ("http", False)


@pytest.mark.parametrize("length", [None, 6])
def test_the_body_of_a_request(length: int | None) -> None:
    """It is complete, and has a length also where it came without one."""

    def application(variables: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [PLAIN])
        size = int(variables["CONTENT_LENGTH"])
        return [variables["wsgi.input"].read(size) + b"."]

    fields = ((b"content-length", b"6"),) if length else ()
    told = serve(checked(application), request(b"/", b"POST", fields, length=length), b"abc", b"def").told
    assert told.body == b"abcdef."


def test_the_error_stream_is_the_log(logged: list[Any]) -> None:
    """Each line is one of the log."""
    print("one\n\ntwo", file=ErrorLog())
    assert [event["line"] for event in logged] == ["one", "two"]


# What it says.


def test_a_whole_response() -> None:
    """A list is everything: it goes out at once, with its length."""
    told = serve(saying("201 Made", PLAIN, ("X-A", "\xe9"), body=[b"he", b"llo"])).told
    assert (told.status, told.body, told.finished) == (201, b"hello", True)
    assert told.fields == ((b"Content-Type", b"text/plain"), (b"X-A", b"\xe9"), (b"Content-Length", b"5"))


def test_a_response_in_pieces() -> None:
    """What is yielded goes out as it comes, without a length of ours."""

    def application(_: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [PLAIN])
        yield b"one"
        yield b""
        yield b"two"

    told = serve(checked(application)).told
    assert (told.body, told.finished, told.field(b"content-length")) == (b"onetwo", True, None)


@pytest.mark.parametrize("pieces", [[b"hello"], [b"", b"hello", b""]])
def test_a_piece_that_is_all_there_is(pieces: list[bytes]) -> None:
    """It goes out as a whole response, as most frameworks send theirs: with its length, in a generator."""
    exchange, sent = FakeExchange(), []
    inline: Any = Inline()
    inline.callFromThread = lambda function, *args: sent.append(function) or function(*args)
    application = saying_in_pieces("200 OK", ("Content-Length", "5"), body=pieces)
    Wsgi(application, inline, inline).handle(exchange)
    assert (exchange.told.body, exchange.told.finished) == (b"hello", True)
    assert len(sent) == 1


def test_more_than_was_said(logged: list[Any]) -> None:
    """The client gets what was said, and the log a word."""
    told = serve(saying_in_pieces("200 OK", ("Content-Length", "5"), body=[b"hello", b"more"])).told
    assert (told.body, told.finished) == (b"hello", True)
    assert len(logged) == 1


def saying_in_pieces(status: str, *headers: tuple[str, str], body: Iterable[bytes]) -> Any:
    """A callable that says the same in a generator."""

    def application(_: Any, start_response: Any) -> Iterator[bytes]:
        start_response(status, list(headers))
        yield from body

    return application


def test_the_write_callable() -> None:
    """It sends at once; what is returned follows."""

    def application(_: Any, start_response: Any) -> list[bytes]:
        write = start_response("200 OK", [PLAIN])
        write(b"one")
        return [b"two"]

    told = serve(checked(application)).told
    assert (told.body, told.finished) == (b"onetwo", True)


def test_an_empty_generator() -> None:
    """It is a response without content."""

    def application(_: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [PLAIN])
        yield from ()

    told = serve(application).told
    assert (told.status, told.body, told.field(b"content-length"), told.finished) == (200, b"", b"0", True)


def test_head() -> None:
    """Its length is the one that the callable says, or that of the body which it returns; nothing is made up."""
    said = ("Content-Length", "5")
    for headers, body, length in (
        ([said], [], b"5"),
        ([], [b"hello"], b"5"),
        ([said], [b"hello"], b"5"),
        ([], [], None),
    ):
        told = serve(saying("200 OK", *headers, body=body), request(method=b"HEAD")).told
        assert (told.body, told.field(b"content-length"), told.finished) == (b"", length, True)


def test_no_content() -> None:
    """A 204 has none, whatever is returned."""
    told = serve(saying("204 No Content")).told
    assert (told.status, told.fields, told.body, told.finished) == (204, (), b"", True)


def test_the_right_length_said_twice_is_said_once() -> None:
    """The callable's and ours are one field."""
    told = serve(saying("200 OK", ("content-length", "5"))).told
    assert [value for name, value in told.fields if name.lower() == b"content-length"] == [b"5"]


def test_fields_of_the_connection_are_the_versions() -> None:
    """PEP 3333 has no hop-by-hop fields."""
    told = serve(saying("200 OK", PLAIN, ("Connection", "close"), ("Transfer-Encoding", "chunked"))).told
    assert [name for name, _ in told.fields] == [b"Content-Type", b"Content-Length"]


@pytest.mark.parametrize(
    ("target", "method", "status"),
    [(b"/%00", b"GET", 400), (b"*", b"OPTIONS", 204), (b"*", b"GET", 405), (b"/", b"CONNECT", 501)],
)
def test_odd_targets_are_no_matter_of_the_callable(target: bytes, method: bytes, status: int) -> None:
    """It is not called for them."""
    assert serve(None, request(target, method)).told.status == status


# What goes wrong.


def _raises(_: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [])
    raise RuntimeError("the secret")


def _exits(*_: Any) -> list[bytes]:
    sys.exit(1)


@pytest.mark.parametrize(
    "application",
    [
        _raises,
        _exits,
        lambda *_: [b"no head"],
        lambda *_: [],
        saying("nonsense"),
        saying("100 Continue"),
        saying("2000 OK"),
        saying("200 OK", ("X", "a\r\nb")),
        saying("200 OK", ("X\n", "a")),
        saying("200 OK", ("X", "\u20ac")),
        saying("200 OK", ("Content-Length", "abc")),
        saying_in_pieces("200 OK", ("Content-Length", "abc"), body=[b"hello", b"more"]),
        saying_in_pieces("200 OK", ("Content-Length", "9"), ("Content-Length", "9"), body=[b"hello", b"more"]),
        lambda _, start: start("200 OK", []) and start("200 OK", []),
        lambda _, start: start("200 OK", []) and iter(["text"]),
    ],
)
def test_a_callable_that_fails(application: Any, logged: list[Any]) -> None:
    """It is a plain 500, and the log has the traceback, once."""
    told = serve(application).told
    assert (told.status, told.finished) == (500, True)
    assert b"secret" not in told.body
    assert len(logged) == 1


def test_a_failure_after_the_beginning(logged: list[Any]) -> None:
    """The response is broken off, so that the client notices."""

    def application(_: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"some"
        raise RuntimeError

    told = serve(application).told
    assert (told.body, told.aborted, told.finished) == (b"some", True, False)
    assert len(logged) == 1


def _fails() -> None:
    raise RuntimeError("the first")


def test_an_error_page_instead_of_what_was_said() -> None:
    """With exc_info another head is taken, until the first piece is out."""

    def application(_: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [PLAIN])
        try:
            _fails()
        except RuntimeError:
            start_response("503 Later", [PLAIN], sys.exc_info())
        return [b"sorry"]

    assert serve(checked(application)).told.status == 503


def test_an_error_page_that_comes_too_late(logged: list[Any]) -> None:
    """The error itself is raised again, and the response is broken off."""

    def application(_: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [PLAIN])(b"some")
        try:
            _fails()
        except RuntimeError:
            start_response("500 Sorry", [PLAIN], sys.exc_info())
        return []

    assert serve(checked(application)).told.aborted
    assert [str(event["log_failure"].value) for event in logged] == ["the first"]


class Closing:
    """Pieces that remember whether they were closed."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = iter(pieces)
        self.closed = 0

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return next(self._pieces)

    def close(self) -> None:
        """Remember it."""
        self.closed += 1


def returning(pieces: Any) -> Any:
    """A callable that returns these pieces."""
    return lambda _, start: start("200 OK", [PLAIN]) and pieces


def test_what_is_returned_is_closed() -> None:
    """In the end, once."""
    pieces = Closing(b"a", b"b")
    assert serve(returning(pieces)).told.finished
    assert pieces.closed == 1


@given(st.text(max_size=5), st.lists(st.tuples(st.text(max_size=5), st.text(max_size=5)), max_size=3))
def test_no_head_upsets_it(status: str, headers: list[tuple[str, str]]) -> None:
    """Whatever a callable says, it can be sent or it is 500."""
    told = serve(saying(status, *headers)).told
    assert told.finished
    assert 200 <= told.status <= 599


# Threads.


def begun(pieces: Any) -> tuple[Threads, FakeExchange, Any]:
    """A callable that is called in a thread."""
    threads, exchange = Threads(), FakeExchange()
    handler = Wsgi(returning(pieces), threads, threads).handle(exchange)  # type: ignore[arg-type]
    return threads, exchange, handler


def test_a_thread_waits_for_the_client() -> None:
    """It makes one piece in advance at most, and goes on when there is room."""
    made: list[int] = []

    def pieces() -> Iterator[bytes]:
        for number in range(4):
            made.append(number)
            yield b"%d" % number

    threads, exchange, handler = begun(pieces())
    threads.turn()  # the head
    handler.pause()
    threads.turn()
    assert exchange.told.body == b"0"
    assert threads.told.empty()
    assert len(made) <= 2
    handler.resume()
    for _ in range(4):
        threads.turn()
    threads.end()
    assert (exchange.told.body, exchange.told.finished) == (b"0123", True)


@pytest.mark.parametrize("paused", [False, True])
def test_a_client_that_goes_away(paused: bool, logged: list[Any]) -> None:  # noqa: FBT001
    """The thread notices with its next piece, closes what was returned, and ends; nobody is told of an error."""
    pieces = Closing(*[b"x"] * 1000)
    threads, exchange, handler = begun(pieces)
    threads.turn()
    if paused:
        handler.pause()
    handler.lost()
    while threads.thread is not None and threads.thread.is_alive():
        threads.thread.join(0.01)
        while not threads.told.empty():
            threads.turn()
    assert (pieces.closed, exchange.told.body, exchange.told.finished) == (1, b"", False)
    assert not logged


def test_a_thread_ends_also_where_the_reactor_has_stopped() -> None:
    """What it handed over last is never taken, and yet it does not wait for that."""
    threads, _, handler = begun(Closing(*[b"x"] * 1000))
    threads.turn()
    handler.lost()
    threads.end()


def test_a_client_that_was_gone_before_its_turn() -> None:
    """The callable is not called."""
    exchange, late, called = FakeExchange(), [], []
    pool: Any = Inline()
    pool.callInThread = lambda *call: late.append(call)
    handler: Any = Wsgi(lambda *_: called.append(1) or [], pool, pool).handle(exchange)
    handler.lost()
    function, *args = late[0]
    function(*args)
    assert not called
    assert args[1].closed
