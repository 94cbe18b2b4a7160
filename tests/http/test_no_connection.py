"""Why there is no connection to a backend."""

from __future__ import annotations

import errno

import pytest
from twisted.internet import defer
from twisted.internet import error as internet_error

from staplesrv.http.no_connection import in_words


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (internet_error.ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), "Connection refused"),
        (internet_error.ConnectError(errno.ENOENT, "No such file or directory"), "No such file or directory"),
        (internet_error.TimeoutError(), "no time left"),
        (defer.TimeoutError(5, "Deferred"), "no time left"),
        (internet_error.DNSLookupError("no results for a.test"), "DNS lookup failed: no results for a.test"),
        (OSError(errno.EMFILE, "Too many open files"), "Too many open files"),
        (ValueError(), "ValueError"),
    ],
)
def test_why_in_a_few_words(raised: Exception, said: str) -> None:
    """The system's words where there are some, and no full stop before what follows."""
    assert in_words(raised) == said
