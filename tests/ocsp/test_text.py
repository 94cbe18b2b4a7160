"""What strangers wrote, on one line of a log."""

from __future__ import annotations

from datetime import UTC, datetime

from cryptography import x509
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from staplesrv.ocsp.text import MAX_TEXT, moment, name_line, name_text, one_line
from staplesrv.testing import CertificateAuthority


@given(st.text())
def test_a_line_is_printable_and_short(text: str) -> None:
    """Whatever goes in."""
    line = one_line(text)
    assert line.isprintable()
    assert len(line) <= MAX_TEXT + len("...")


@given(st.text(st.characters(categories=["L", "N", "P"]), max_size=MAX_TEXT))
def test_printable_text_is_left_as_it_is(text: str) -> None:
    """Letters of all scripts among it."""
    assert one_line(text) == text


def test_a_long_text_is_cut() -> None:
    """And it can be seen."""
    assert one_line("x" * 300) == "x" * MAX_TEXT + "..."


def test_what_is_not_printable_becomes_a_question_mark() -> None:
    """Line ends, escape sequences, and marks that turn the direction of writing."""
    assert one_line("a\nb\x1b[1mc\u202ed\x00") == "a?b?[1mc?d?"


def test_a_certificate_is_named_by_its_subject(ca: CertificateAuthority) -> None:
    """In the writing of RFC 4514."""
    assert name_text(ca.certificate) == "CN=Test CA"


def test_a_name_without_anything_has_a_text() -> None:
    """RFC 5280 allows it where there are alternative names."""
    assert name_line(x509.Name([])) == "an empty name"


def test_a_comma_in_a_name_is_told_from_one_between_names() -> None:
    """It is escaped."""
    name = x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "A, B"), x509.NameAttribute(NameOID.COMMON_NAME, "C")]
    )
    assert name_line(name) == r"CN=C,O=A\, B"


def test_a_moment_is_written_in_utc_to_the_second() -> None:
    """Also in the year 1."""
    assert moment(datetime(2026, 6, 1, 12, 0, 5, 999999, tzinfo=UTC)) == "2026-06-01 12:00:05Z"
    assert moment(datetime(1, 1, 1, tzinfo=UTC)).endswith("1-01-01 00:00:00Z")
