from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from OpenSSL import SSL

from staplesrv.errors import StaplesrvError
from staplesrv.tls.handshake_failure import HandshakeFailed, failure


@pytest.mark.parametrize(
    ("said", "alert"),
    [
        ("ssl/tls alert handshake failure", "handshake_failure"),
        ("sslv3 alert handshake failure", "handshake_failure"),
        ("tls alert handshake failure", "handshake_failure"),
        ("tlsv1 alert protocol version", "protocol_version"),
        ("tlsv1 unrecognized name", "unrecognized_name"),
        ("tlsv1 bad certificate status response", "bad_certificate_status_response"),
        ("tlsv13 alert certificate required", "certificate_required"),
        ("tlsv1 alert no application protocol", "no_application_protocol"),
    ],
)
def test_an_alert_has_the_name_of_the_standard(said: str, alert: str) -> None:
    """What any version of OpenSSL says of an alert becomes the name that RFC 8446 has for it."""
    error = failure(SSL.Error([("SSL routines", "", said)]))
    assert error.alert == alert
    assert str(error) == error.reason == f"the server refused with the alert {alert}"


@pytest.mark.parametrize("said", ["wrong version number", "no protocols available", "tls alert made up"])
def test_what_is_no_alert_is_told_as_it_is(said: str) -> None:
    """Our own side's reasons, and alerts that nobody knows, are handed on in OpenSSL's words."""
    error = failure(SSL.Error([("SSL routines", "", said)]))
    assert (error.alert, error.reason) == ("", said)


@pytest.mark.parametrize("error", [SSL.SysCallError(-1, "Unexpected EOF"), SSL.ZeroReturnError()])
def test_the_end_of_the_connection_is_told_as_that(error: SSL.Error) -> None:
    """However the connection ended, the reason is that the server closed it."""
    assert failure(error).reason == "the server closed the connection"


@pytest.mark.parametrize("arguments", [(), ([],), ("text",), ([("", "", "")],)])
def test_an_error_without_a_reason_has_one_all_the_same(arguments: tuple[object, ...]) -> None:
    """Where OpenSSL says nothing the reason says so."""
    assert failure(SSL.Error(*arguments)).reason == "TLS failed without a reason"


@given(st.lists(st.tuples(st.text(), st.text(), st.text())))
def test_any_error_queue_has_a_reason(queue: list[tuple[str, str, str]]) -> None:
    """Whatever stands in OpenSSL's queue, there is a reason and no other error."""
    assert failure(SSL.Error(queue)).reason


def test_a_failure_is_one_of_ours() -> None:
    """Who catches StaplesrvError catches it."""
    assert issubclass(HandshakeFailed, StaplesrvError)
