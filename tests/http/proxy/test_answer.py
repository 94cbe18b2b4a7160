"""An answer of a backend as a response to the client."""

from __future__ import annotations

import pytest

from staplesrv.http.proxy.answer import Answer
from staplesrv.http.proxy.response_head import parse_head
from staplesrv.http.response import Response

HEAD = b"HTTP/1.1 %d X\r\nX-A: b\r\nContent-Length: 2\r\n"


@pytest.mark.parametrize("status", [200, 204, 304, 404])
def test_an_answer_is_a_response_like_any_other(status: int) -> None:
    """What is remembered of its head is what any response with such fields would say."""
    for _ in range(2):
        answer = Answer(parse_head(HEAD % status), b"hi")
        response = Response(status, ((b"X-A", b"b"),), b"hi")
        for attribute in ("status", "fields", "body", "length", "lines", "lower_fields", "names", "whole_fields"):
            assert getattr(answer, attribute) == getattr(response, attribute), attribute


def test_an_answer_to_head_has_a_length_all_the_same() -> None:
    """That of the content which a GET would bring."""
    answer = Answer(parse_head(HEAD % 200), b"")
    assert (answer.length, answer.body) == (2, b"")


def test_heads_that_are_like_each_other_are_read_once() -> None:
    """Long ones are not remembered."""
    assert parse_head(HEAD % 200) is parse_head(HEAD % 200)
    long = HEAD % 200 + b"X: " + b"a" * 3000 + b"\r\n"
    assert parse_head(long) is not parse_head(long)
