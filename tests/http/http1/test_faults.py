"""Applications that fail."""

from __future__ import annotations

from typing import NoReturn

import pytest
from twisted.logger import globalLogPublisher
from wire import Calls, Wire

from staplesrv.http.exchange import Exchange
from staplesrv.http.response import Response

GET = b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: example.org\r\nContent-Length: 3\r\n\r\nabc"


class Failing(Calls):
    """Raises in one of its calls.

    Args:
        at: The call's name.
    """

    def __init__(self, at: str) -> None:
        super().__init__()
        setattr(self, at, self._fail)

    def _fail(self, *_: object) -> NoReturn:
        raise ZeroDivisionError("as the test wants it")


@pytest.fixture
def logged() -> list[str]:
    """What was logged, as formats; more than one line per test is too much."""
    lines: list[str] = []

    def observe(event: dict[str, str]) -> None:
        lines.append(event["log_format"])

    globalLogPublisher.addObserver(observe)  # type: ignore[arg-type]
    yield lines  # type: ignore[misc]
    globalLogPublisher.removeObserver(observe)  # type: ignore[arg-type]


def test_in_handle(logged: list[str]) -> None:
    """An application that raises costs its own request, and one traceback."""
    wire = Wire(Failing("handle"))
    wire.send(GET)
    assert wire.answer.startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
    assert b"as the test wants it" not in wire.answer
    assert len(logged) == 1
    assert len(wire.done) == 1


@pytest.mark.parametrize("at", ["body", "body_end"])
def test_in_a_handler(at: str, logged: list[str]) -> None:
    """A handler that raises costs its exchange: a 500; it is not called again."""
    application = Failing(at)
    wire = Wire(application)
    wire.send(POST)
    assert wire.answer.startswith(b"HTTP/1.1 500 ")
    assert application.names == (["body"] if at == "body_end" else [])
    assert len(logged) == 1


def test_after_the_start(logged: list[str]) -> None:
    """Where the response has begun the client notices by its end."""
    application = Failing("body_end")
    wire = Wire(application)
    wire.send(POST[:-1])
    application.exchange.start(200, ())
    wire.send(b"c")
    assert wire.ended == "broken"
    assert len(logged) == 1


def test_after_the_answer(logged: list[str]) -> None:
    """An application that raises after it has answered spoils nothing."""

    def handle(exchange: Exchange) -> NoReturn:
        exchange.send(Response(200, (), b"fine"))
        raise ZeroDivisionError

    wire = Wire(Calls(handle))
    wire.send(GET)
    assert wire.answer.endswith(b"\r\n\r\nfine")
    assert not wire.ended
    assert len(logged) == 1


def test_when_lost(logged: list[str]) -> None:
    """A handler that raises when its client is gone is logged, and the rest is told all the same."""
    wire = Wire(Failing("lost"))
    wire.send(GET)
    wire.vanish()
    assert len(wire.done) == 1
    assert len(logged) == 1


def test_neither_answer_nor_handler(logged: list[str]) -> None:
    """An application that does nothing at all does not keep its client waiting."""

    class Nothing:
        def handle(self, exchange: Exchange) -> None:
            """Do nothing."""

    wire = Wire(Nothing())
    wire.send(GET)
    assert wire.answer.startswith(b"HTTP/1.1 500 ")
    assert len(logged) == 1
