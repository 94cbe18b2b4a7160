"""What is read out of a response file."""

from __future__ import annotations

import base64
import os
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from staplesrv.staples.failure import FailureKind, FetchFailed
from staplesrv.staples.keeping.response_file import MAX_FILE, decode, examine

DER = b"\x30\x82\x01\x00" + bytes(range(256))
HERE = Path("response.der")


def test_der_is_taken_as_it_is() -> None:
    """DER comes back byte for byte."""
    assert decode(DER, HERE) == DER


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_pem_is_unwrapped(end: bytes) -> None:
    """The first PEM block is decoded, whatever its label and line ends, and whatever stands around it."""
    pem = b"-----BEGIN OCSP RESPONSE-----" + end + base64.encodebytes(DER).replace(b"\n", end)
    assert decode(b"made today" + end + pem + b"-----END OCSP RESPONSE-----" + end + b"more", HERE) == DER


def test_bare_base64_is_decoded() -> None:
    """base64 alone, with line breaks or without, is decoded."""
    assert decode(base64.encodebytes(DER), HERE) == decode(base64.b64encode(DER), HERE) == DER


@pytest.mark.parametrize("content", [b"hello, world!", b"\x00\x01\x02", b"-----BEGIN X-----\n!!!\n-----END X-----"])
def test_the_rest_is_refused(content: bytes) -> None:
    """What is none of the three is a failure that names the file."""
    with pytest.raises(FetchFailed, match=r"response\.der") as caught:
        decode(content, HERE)
    assert caught.value.kind is FailureKind.BAD_RESPONSE


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_any_content(content: bytes) -> None:
    """No content ends in anything but bytes or a failure."""
    with suppress(FetchFailed):
        assert isinstance(decode(content, HERE), bytes)


@given(st.binary(min_size=1, max_size=300), st.sampled_from([b"OCSP RESPONSE", b"X"]))
def test_whatever_was_wrapped_comes_out(content: bytes, label: bytes) -> None:
    """Unwrapping undoes wrapping."""
    pem = b"-----BEGIN %s-----\n%s-----END %s-----\n" % (label, base64.encodebytes(content), label)
    assert decode(pem, HERE) == content


def test_an_unchanged_file_is_not_read(tmp_path: Path) -> None:
    """A file that looks as it did comes back without content; one that was written again comes back with it."""
    path = tmp_path / "response"
    path.write_bytes(DER)
    look, content = examine(path, None)
    assert content == DER
    assert examine(path, look) == (look, None)
    os.utime(path, (1, 1))
    again, content = examine(path, look)
    assert (again != look, content) == (True, DER)


def test_links_are_followed(tmp_path: Path) -> None:
    """The file is the operator's choice: a link to it will do, as renewal tools make them."""
    (tmp_path / "real").write_bytes(DER)
    (tmp_path / "link").symlink_to("real")
    assert examine(tmp_path / "link", None)[1] == DER


@pytest.mark.parametrize("make", ["nothing", "directory", "pipe", "huge", "empty", "unreadable", "loop"])
def test_what_is_no_file_is_a_failure(tmp_path: Path, make: str) -> None:
    """What is not there, no plain file, empty, too large or not ours to read is a failure that names the path."""
    path = tmp_path / "response"
    if make == "directory":
        path.mkdir()
    elif make == "pipe":
        os.mkfifo(path)
    elif make == "loop":
        path.symlink_to(path)
    elif make != "nothing":
        path.write_bytes(b"" if make == "empty" else b"0" * (MAX_FILE + 1))
        path.chmod(0 if make == "unreadable" else 0o600)
    with pytest.raises(FetchFailed, match="response"):
        examine(path, None)
