"""Why there is no connection."""

from __future__ import annotations

import errno

import pytest
from OpenSSL import SSL
from service_identity import VerificationError
from service_identity.hazmat import DNS_ID, DNSMismatch
from twisted.internet import defer
from twisted.internet import error as internet_error

from staplesrv.no_connection import in_words


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
        (SSL.Error([("SSL routines", "", "certificate verify failed")]), "certificate verify failed"),
        (SSL.Error([("SSL routines", "", "a"), ("STORE routines", "", "b")]), "a, b"),
        (SSL.Error([]), "Error"),
        (SSL.SysCallError(-1, "Unexpected EOF"), "Unexpected EOF"),
        (
            VerificationError(errors=[DNSMismatch(mismatched_id=DNS_ID("a.test"))]),
            "its certificate is for another name",
        ),
    ],
)
def test_why_in_a_few_words(raised: Exception, said: str) -> None:
    """The system's words where there are some, and no full stop before what follows."""
    assert in_words(raised) == said
