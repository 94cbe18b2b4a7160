"""One exchange on its way through the proxy."""

from __future__ import annotations

import pytest
from fake_exchange import request
from passage import SMALL, Passage

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def test_a_request_goes_on_and_its_answer_comes_back() -> None:
    """What the backend answers is what the client gets."""
    passage = Passage()
    exchange = passage.get(b"/a?b=c", fields=((b"accept", b"*/*"),))
    assert passage.line.written == (
        b"GET /a?b=c HTTP/1.1\r\nHost: example.org\r\naccept: */*\r\nX-Forwarded-For: 192.0.2.1\r\n"
        b"X-Forwarded-Proto: https\r\nForwarded: for=192.0.2.1;proto=https;host=example.org\r\n"
        b"X-Forwarded-Host: example.org\r\n\r\n"
    )
    passage.line.say(b"HTTP/1.1 201 Made\r\nX-A: b\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nhi")
    assert exchange.told.finished
    assert (exchange.told.status, exchange.told.body) == (201, b"hi")
    assert exchange.told.fields == ((b"X-A", b"b"), (b"Content-Length", b"2"))


def test_the_connection_is_kept_for_the_next_request() -> None:
    """Two requests one after the other take one connection, two at a time take two."""
    passage = Passage()
    line = passage.kept()
    second = passage.get()
    third = passage.get()
    assert len(passage.backend.lines) == 2
    line.say(SMALL)
    passage.line.say(SMALL)
    assert second.told.finished
    assert third.told.finished


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        SMALL + b"HTTP/1.1 200 OK\r\n",
        SMALL + b"\n",
    ],
    ids=["close", "HTTP/1.0", "another answer", "a line feed"],
)
def test_a_connection_that_can_not_serve_another_request_is_closed(answer: bytes) -> None:
    """A backend that closes, and one that sent more than it was asked for, get no other request on that connection."""
    passage = Passage()
    exchange = passage.get()
    passage.line.say(answer)
    assert exchange.told.body == b"hi"
    assert passage.line.ended
    passage.get()
    assert len(passage.backend.lines) == 2


def test_an_http_1_0_backend_may_keep_its_connection() -> None:
    """Connection: keep-alive is what HTTP/1.0 says for that."""
    passage = Passage()
    passage.get()
    passage.line.say(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nhi")
    assert not passage.line.ended


def test_what_an_idle_backend_says_unasked_is_no_answer() -> None:
    """Bytes on a kept connection close it: they would be read as the next request's answer."""
    passage = Passage()
    passage.kept().say(SMALL)
    assert passage.line.ended
    exchange = passage.get()
    assert len(passage.backend.lines) == 2
    assert not exchange.told.status


def test_a_kept_connection_that_the_backend_closes_is_forgotten() -> None:
    """The next request gets a new one."""
    passage = Passage()
    passage.kept().close()
    passage.get()
    assert len(passage.backend.lines) == 2


def test_kept_connections_are_closed_after_their_time() -> None:
    """An idle connection is closed after `kept_seconds`, and not before."""
    passage = Passage(kept_seconds=30.0)
    line = passage.kept()
    passage.clock.advance(29)
    assert not line.ended
    passage.clock.advance(1)
    assert line.ended


def test_no_more_connections_are_kept_than_may_be() -> None:
    """With `kept` at 1 the second one that gets free is closed."""
    passage = Passage(kept=1)
    passage.get()
    passage.get()
    for line in passage.backend.lines:
        line.say(SMALL)
    assert [bool(line.ended) for line in passage.backend.lines] == [False, True]


def test_a_proxy_that_is_closed_keeps_nothing() -> None:
    """Requests under way come to their end; after that nothing is left in the reactor."""
    passage = Passage()
    passage.kept()
    under_way = passage.get()
    idle = passage.get()
    passage.backend.lines[1].say(SMALL)
    assert idle.told.finished
    passage.proxy.close()
    assert passage.backend.lines[1].ended
    passage.backend.lines[0].say(SMALL)
    assert under_way.told.finished
    assert passage.backend.lines[0].ended
    assert not passage.clock.getDelayedCalls()


# Content of requests.


def test_content_goes_on_as_it_comes() -> None:
    """A request with a length is sent with that length, and its content piece by piece."""
    passage = Passage()
    exchange = passage.ask(request(method=b"POST", length=6))
    assert exchange.handler is not None
    exchange.handler.body(b"abc")
    head, _, content = passage.line.written.partition(b"\r\n\r\n")
    assert head.endswith(b"\r\nContent-Length: 6")
    assert content == b"abc"
    exchange.handler.body(b"def")
    exchange.handler.body_end(())
    assert passage.line.written.endswith(b"\r\n\r\nabcdef")
    passage.line.say(SMALL)
    assert exchange.told.finished
    assert not passage.line.ended


def test_content_of_unknown_length_goes_on_in_chunks_with_its_trailers() -> None:
    """Trailers that would mean something in a head are left out."""
    passage = Passage()
    exchange = passage.ask(request(method=b"POST", length=None, fields=((b"te", b"trailers"),)))
    assert exchange.handler is not None
    exchange.handler.body(b"a" * 20)
    exchange.handler.body_end(((b"x-sum", b"1"), (b"x-forwarded-for", b"::1"), (b"content-length", b"3")))
    head, _, content = passage.line.written.partition(b"\r\n\r\n")
    assert head.endswith(b"\r\nTransfer-Encoding: chunked\r\nTE: trailers\r\nConnection: TE")
    assert content == b"14\r\n" + b"a" * 20 + b"\r\n0\r\nx-sum: 1\r\n\r\n"


def test_content_waits_for_the_connection() -> None:
    """The client is held back meanwhile; what came nevertheless goes out with the head."""
    passage = Passage(prompt=False)
    exchange = passage.ask(request(method=b"POST", length=3))
    assert exchange.handler is not None
    assert exchange.told.body_paused
    exchange.handler.body(b"abc")
    exchange.handler.body_end(())
    passage.backend.accept()
    assert passage.line.written.endswith(b"Content-Length: 3\r\n\r\nabc")
    passage.line.say(SMALL)
    assert exchange.told.finished
    assert not passage.line.ended


def test_a_backend_that_does_not_keep_up_holds_the_client_back() -> None:
    """The client is not read any more until the backend has taken what waits for it."""
    passage = Passage()
    exchange = passage.ask(request(method=b"POST", length=200_000))
    assert exchange.handler is not None
    passage.line.slow = True
    exchange.handler.body(b"a" * 100_000)
    assert exchange.told.body_paused
    passage.line.drain()
    assert not exchange.told.body_paused
    exchange.handler.body(b"a" * 100_000)
    exchange.handler.body_end(())
    passage.line.say(SMALL)
    assert exchange.told.finished


def test_a_connection_on_which_the_request_still_waits_is_not_kept() -> None:
    """A backend that answers before it has read all of it may never do so."""
    passage = Passage()
    exchange = passage.ask(request(method=b"POST", length=100_000))
    assert exchange.handler is not None
    passage.line.slow = True
    exchange.handler.body(b"a" * 100_000)
    exchange.handler.body_end(())
    passage.line.say(SMALL)
    assert exchange.told.finished
    assert passage.line.ended == "aborted"


@pytest.mark.parametrize("content", [b"abcd", b"ab"], ids=["more", "less"])
def test_a_backend_never_gets_more_or_less_than_was_announced(content: bytes) -> None:
    """Whatever an HTTP version lets pass: the connection is closed, and nothing follows that could be a request."""
    passage = Passage()
    exchange = passage.ask(request(method=b"POST", length=3))
    assert exchange.handler is not None
    exchange.handler.body(content)
    exchange.handler.body_end(())
    assert exchange.told.status == 400
    assert passage.line.ended == "aborted"
    assert not passage.line.written.endswith(b"abcd")


def test_an_answer_may_come_before_the_request_is_complete() -> None:
    """It goes to the client; the connection is closed, as the rest of the request never comes."""
    passage = Passage()
    exchange = passage.ask(request(method=b"POST", length=1000))
    assert exchange.handler is not None
    exchange.handler.body(b"a")
    passage.line.say(b"HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\nno")
    assert (exchange.told.status, exchange.told.body) == (413, b"no")
    assert passage.line.ended
    exchange.handler.body(b"more")
    exchange.handler.body_end(())
    assert not passage.line.written.endswith(b"more")


def test_both_directions_may_stream_at_a_time() -> None:
    """An answer that has begun does not keep the request from going on."""
    passage = Passage()
    exchange = passage.ask(request(method=b"POST", length=None))
    assert exchange.handler is not None
    exchange.handler.body(b"a")
    passage.line.say(CHUNKED + b"1\r\na\r\n")
    assert exchange.told.body == b"a"
    exchange.handler.body(b"b")
    passage.line.say(b"1\r\nb\r\n")
    exchange.handler.body_end(())
    passage.line.say(b"0\r\n\r\n")
    assert exchange.told.body == b"ab"
    assert exchange.told.finished
    assert not passage.line.ended


# Answers.


def test_content_comes_back_as_it_comes() -> None:
    """Server-sent events do not wait for one another, and chunks are gone as such."""
    passage = Passage()
    exchange = passage.get()
    passage.line.say(CHUNKED + b"8\r\ndata: 1\n")
    assert exchange.told.body == b"data: 1\n"
    passage.line.say(b"\r\n8\r\ndata: 2\n\r\n")
    assert exchange.told.body == b"data: 1\ndata: 2\n"
    assert not exchange.told.finished
    passage.line.say(b"0\r\nX-Sum: 7\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert exchange.told.finished
    assert exchange.told.trailers == ((b"x-sum", b"7"),)
    assert not exchange.told.fields


def test_a_client_that_does_not_keep_up_holds_the_backend_back() -> None:
    """The backend is not read any more until the client has taken what waits for it, and is not blamed meanwhile."""
    passage = Passage()
    exchange = passage.get()
    passage.line.say(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
    assert exchange.handler is not None
    exchange.handler.pause()
    assert not passage.line.reading
    passage.clock.advance(600)
    exchange.handler.resume()
    assert passage.line.reading
    passage.line.say(b"defghij")
    assert exchange.told.finished


def test_a_client_that_has_not_read_earlier_answers_holds_the_next_one_back() -> None:
    """Also where it did so before there was a connection to a backend."""
    passage = Passage(prompt=False)
    exchange = passage.get()
    assert exchange.handler is not None
    exchange.handler.pause()
    assert not passage.backend.accept().reading
    passage.clock.advance(600)
    exchange.handler.resume()
    assert passage.line.reading
    passage.line.say(SMALL)
    assert exchange.told.finished


def test_an_answer_may_end_with_the_connection() -> None:
    """Where there is no length, an orderly end of the connection is the end of the content."""
    passage = Passage()
    exchange = passage.get()
    passage.line.say(b"HTTP/1.0 200 OK\r\n\r\nab")
    assert not exchange.told.finished
    passage.line.say(b"c")
    passage.line.close()
    assert exchange.told.finished
    assert exchange.told.body == b"abc"
    assert passage.line.ended


@pytest.mark.parametrize(
    "begun",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
        CHUNKED + b"3\r\nabc\r\n",
        CHUNKED + b"5\r\nabc",
        CHUNKED + b"3\r\nabc\r\n0\r\n",
    ],
)
@pytest.mark.parametrize("orderly", [True, False])
def test_a_backend_that_dies_in_the_middle_is_noticed_by_the_client(begun: bytes, *, orderly: bool) -> None:
    """An answer that is not all there is never passed off as one that is."""
    passage = Passage()
    exchange = passage.get()
    passage.line.say(begun)
    (passage.line.close if orderly else passage.line.reset)()
    assert exchange.told.body == b"abc"
    assert exchange.told.aborted
    assert not exchange.told.finished


def test_an_answer_that_ends_with_the_connection_is_not_all_there_after_a_reset() -> None:
    """A reset is no orderly end."""
    passage = Passage()
    exchange = passage.get()
    passage.line.say(b"HTTP/1.0 200 OK\r\n\r\nabc")
    passage.line.reset()
    assert exchange.told.aborted


@pytest.mark.parametrize(
    ("answer", "fields"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", ((b"Content-Length", b"5"),)),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", ()),
        (b"HTTP/1.1 200 OK\r\n\r\n", ()),
    ],
)
def test_an_answer_to_head_has_no_content(answer: bytes, fields: tuple[tuple[bytes, bytes], ...]) -> None:
    """Whatever the head announces, it is over with it, and the connection is good for more."""
    passage = Passage()
    exchange = passage.get(method=b"HEAD")
    passage.line.say(answer)
    assert exchange.told.finished
    assert exchange.told.fields == fields
    assert not passage.line.ended


@pytest.mark.parametrize("status", [b"204", b"304"])
def test_answers_without_content_end_with_their_head(status: bytes) -> None:
    """204 and 304 have none, whatever they announce."""
    passage = Passage()
    exchange = passage.get()
    passage.line.say(b"HTTP/1.1 " + status + b' X\r\nContent-Length: 5\r\nETag: "a"\r\n\r\n')
    assert exchange.told.finished
    assert exchange.told.fields == ((b"ETag", b'"a"'),)


def test_interim_answers_are_passed_on() -> None:
    """103 goes to the client; a 100 that it did not ask for does not."""
    passage = Passage()
    exchange = passage.get()
    passage.line.say(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + SMALL)
    assert exchange.told.informed == [(103, ((b"Link", b"</a>"),))]
    assert exchange.told.body == b"hi"


def test_the_backend_decides_whether_the_client_continues() -> None:
    """Expect goes to the backend, and its 100 to the client."""
    passage = Passage()
    exchange = passage.ask(
        request(method=b"PUT", length=3, expects_continue=True, fields=((b"expect", b"100-continue"),))
    )
    assert exchange.holds_continue
    assert b"\r\nExpect: 100-continue\r\n" in passage.line.written
    assert not exchange.told.informed
    passage.line.say(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert exchange.told.informed == [(100, ())]
    assert exchange.handler is not None
    exchange.handler.body(b"abc")
    exchange.handler.body_end(())
    passage.line.say(SMALL)
    assert exchange.told.finished


@pytest.mark.parametrize(
    "garbage",
    [
        b"SSH-2.0-OpenSSH_9.9\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70_000,
        b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\n\r\n",
        b"HTTP/1.1 103 Hints\r\n\r\n" * 100,
    ],
    ids=["another protocol", "two lengths", "a head without an end", "nobody asked", "hints without an end"],
)
def test_garbage_is_a_bad_gateway(garbage: bytes) -> None:
    """What is no answer is a 502, and the connection is closed."""
    passage = Passage()
    exchange = passage.get()
    passage.line.say(*[garbage[at : at + 1000] for at in range(0, len(garbage), 1000)])
    assert exchange.told.status == 502
    assert passage.line.ended == "aborted"


def test_bad_chunks_break_the_answer_off() -> None:
    """The client notices."""
    passage = Passage()
    exchange = passage.get()
    passage.line.say(CHUNKED, b"xyz\r\n")
    assert exchange.told.aborted


# Trying again.


def test_a_kept_connection_that_turns_out_closed_costs_nothing() -> None:
    """The request goes out once more, on a new connection to the same backend, which is not to blame."""
    passage = Passage()
    line = passage.kept()
    exchange = passage.get()
    assert line.written
    line.close()
    assert not exchange.told.status
    passage.line.say(SMALL)
    assert exchange.told.body == b"hi"


def test_what_must_not_happen_twice_is_not_sent_twice() -> None:
    """A POST that may have been acted upon is a 502."""
    passage = Passage()
    passage.kept()
    exchange = passage.get(method=b"POST")
    passage.line.close()
    assert exchange.told.status == 502
    assert len(passage.backend.lines) == 1


def test_what_must_not_happen_twice_gets_a_connection_that_is_open() -> None:
    """A kept connection that the backend has closed already is not used for it."""
    passage = Passage()
    passage.kept().stale = True
    exchange = passage.get(method=b"POST")
    assert len(passage.backend.lines) == 2
    passage.line.say(SMALL)
    assert exchange.told.finished


def test_content_that_was_sent_is_not_there_any_more() -> None:
    """A PUT could be repeated, but for its content."""
    passage = Passage()
    passage.kept()
    exchange = passage.ask(request(method=b"PUT", length=3))
    assert exchange.handler is not None
    exchange.handler.body(b"abc")
    passage.line.reset()
    assert exchange.told.status == 502


def test_another_backend_is_asked_where_one_can_not_be_reached() -> None:
    """Also with a POST: nothing was sent."""
    passage = Passage(2, prompt=False)
    exchange = passage.ask(request(method=b"POST", length=3))
    first = next(backend for backend in passage.backends if backend.asked)
    other = next(backend for backend in passage.backends if backend is not first)
    first.refuse()
    other.accept()
    assert exchange.handler is not None
    exchange.handler.body(b"abc")
    exchange.handler.body_end(())
    other.line.say(SMALL)
    assert exchange.told.finished


def test_another_backend_is_asked_where_one_closes_without_an_answer() -> None:
    """Each backend once."""
    passage = Passage(2)
    exchange = passage.get()
    for backend in sorted(passage.backends, key=lambda backend: not backend.lines):
        assert not exchange.told.status
        backend.line.close()
    assert exchange.told.status == 502
    assert [len(backend.lines) for backend in passage.backends] == [1, 1]


def test_no_backend_at_all_is_a_bad_gateway() -> None:
    """A 502 where they refuse."""
    passage = Passage(prompt=False)
    exchange = passage.get()
    passage.backend.refuse()
    assert exchange.told.status == 502


def test_the_least_busy_backend_is_asked() -> None:
    """Requests go where the fewest are under way."""
    passage = Passage(3)
    for _ in range(6):
        passage.get()
    assert [len(backend.lines) for backend in passage.backends] == [2, 2, 2]
    busy, *others = passage.backends
    for backend in others:
        for line in backend.lines:
            line.say(SMALL)
    for _ in range(4):
        passage.get()
    assert len(busy.lines) == 2


def test_a_backend_that_can_not_be_reached_is_left_alone_for_a_while() -> None:
    """For ten seconds, then twenty; an answer makes up for it."""
    passage = Passage(2, prompt=False)
    first, second = passage.backends
    second.prompt = True
    for seconds in (10, 20, 40, 60, 60):
        while not first.asked:
            passage.get()
        first.refuse()
        passage.clock.advance(seconds - 0.1)
        for _ in range(5):
            passage.get()
        assert not first.asked
        passage.clock.advance(0.2)
    while not first.asked:
        passage.get()
    first.accept().say(SMALL)
    while not first.asked:
        passage.get()
    first.refuse()
    passage.clock.advance(10)
    passage.get()
    assert first.asked


def test_all_backends_are_tried_where_none_is_well() -> None:
    """Somebody has to be asked."""
    passage = Passage(2, prompt=False)
    for _ in range(3):
        exchange = passage.get()
        for _ in range(2):
            assert not exchange.told.status
            next(backend for backend in passage.backends if backend.asked).refuse()
        assert exchange.told.status == 502


def test_more_connections_than_may_be_are_refused() -> None:
    """A 503 where every backend has its most."""
    passage = Passage(connections=2)
    passage.get()
    passage.get()
    assert passage.get().told.status == 503


# Time.


def test_connecting_has_its_time() -> None:
    """A 504 after five seconds."""
    passage = Passage(prompt=False)
    exchange = passage.get()
    passage.clock.advance(4.9)
    assert not exchange.told.status
    passage.clock.advance(0.2)
    assert exchange.told.status == 504
    assert passage.backend.cancelled == 1


def test_answers_have_their_time() -> None:
    """A 504 after sixty seconds without a head, and the connection is closed."""
    passage = Passage()
    exchange = passage.get()
    passage.clock.advance(59)
    passage.line.say(b"HTTP/1.1 200 OK\r\n")
    assert not exchange.told.status
    passage.clock.advance(1)
    assert exchange.told.status == 504
    assert passage.line.ended == "aborted"


def test_content_has_its_time() -> None:
    """An answer that stops in the middle is broken off after sixty seconds of silence, counted from its last bytes."""
    passage = Passage()
    exchange = passage.get()
    passage.line.say(CHUNKED)
    for _ in range(3):
        passage.clock.advance(59)
        passage.line.say(b"1\r\na\r\n")
    passage.clock.advance(59)
    assert not exchange.told.aborted
    passage.clock.advance(1)
    assert exchange.told.aborted


def test_a_client_that_uploads_slowly_is_not_the_backends_fault() -> None:
    """The time for the answer begins with the end of the request."""
    passage = Passage()
    exchange = passage.ask(request(method=b"POST", length=3))
    assert exchange.handler is not None
    for _ in range(3):
        passage.clock.advance(100)
        exchange.handler.body(b"a")
    assert not exchange.told.status
    exchange.handler.body_end(())
    passage.clock.advance(60)
    assert exchange.told.status == 504


def test_a_backend_that_stops_taking_content_is_given_up() -> None:
    """A 504 after sixty seconds in which nothing went out."""
    passage = Passage()
    exchange = passage.ask(request(method=b"POST", length=200_000))
    assert exchange.handler is not None
    passage.line.slow = True
    exchange.handler.body(b"a" * 100_000)
    passage.clock.advance(60)
    assert exchange.told.status == 504


def test_a_backend_that_has_taken_all_and_does_not_answer_is_given_up() -> None:
    """A 504, also where the end of the content had to wait for it."""
    passage = Passage(answer_seconds=30.0)
    exchange = passage.ask(request(method=b"POST", length=100_000))
    assert exchange.handler is not None
    passage.line.slow = True
    exchange.handler.body(b"a" * 100_000)
    exchange.handler.body_end(())
    passage.clock.advance(20)
    passage.line.drain()
    passage.clock.advance(10)
    assert exchange.told.status == 504


# Clients that go away.


def test_a_client_that_goes_away_takes_its_request_along() -> None:
    """The connection to the backend is closed, so that it can stop."""
    passage = Passage()
    exchange = passage.get()
    assert exchange.handler is not None
    exchange.handler.lost()
    assert passage.line.ended == "aborted"


def test_a_client_that_goes_away_early_leaves_no_connection() -> None:
    """Connecting is given up."""
    passage = Passage(prompt=False)
    exchange = passage.get()
    assert exchange.handler is not None
    exchange.handler.lost()
    assert passage.backend.cancelled == 1
    assert not exchange.told.status


def test_busy_backends_get_idle_again() -> None:
    """However requests end, none is counted for ever."""
    passage = Passage()
    for end in ("say", "reset", "close", "lost"):
        exchange = passage.get(method=b"POST")
        assert exchange.handler is not None
        if end == "lost":
            exchange.handler.lost()
        elif end == "say":
            passage.line.say(SMALL)
        else:
            getattr(passage.line, end)()
    assert passage.proxy._backends._backends[0].busy == 0


def test_what_a_backend_runs_is_nobodys_business() -> None:
    """Server and Date are the server's own, which each HTTP version adds; as nginx has it."""
    passage = Passage()
    exchange = passage.get()
    passage.line.say(b"HTTP/1.1 200 OK\r\nServer: Old/1.0\r\nDate: then\r\nContent-Length: 0\r\n\r\n")
    assert exchange.told.fields == ((b"Content-Length", b"0"),)
