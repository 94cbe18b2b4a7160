"""What an operator may say about a folder, and what is known without a word."""

from __future__ import annotations

from typing import Any

import pytest

from staplesrv.errors import OperatorError
from staplesrv.http.static.media_types import media_type
from staplesrv.http.static.settings import StaticSettings


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("cache_control", {"*": "no-cache\r\nSet-Cookie: a=b"}),
        ("cache_control", {"*": ""}),
        ("cache_control", {"*": " no-cache"}),
        ("media_types", {".x": "text/x\n"}),
        ("media_types", {"x": "text/x"}),
        ("media_types", {".X": "text/x"}),
        ("media_types", {".x": "text"}),
        ("media_types", {".x": "text/x y"}),
        ("media_types", {".x": "text/"}),
        ("not_found", "../404.html"),
        ("not_found", "errors/"),
        ("fallback", ".hidden"),
        ("fallback", "a//b"),
        ("file_in_memory", -1),
        ("file_in_memory", 1 << 30),
        ("memory", -1),
        ("check_seconds", -1),
        ("check_seconds", float("nan")),
        ("check_seconds", 3601),
    ],
)
def test_a_setting_that_can_not_be_used_is_one_line(key: str, value: Any) -> None:
    """With the key in it."""
    with pytest.raises(OperatorError) as caught:
        StaticSettings(**{key: value})
    assert caught.value.key == key
    assert "\n" not in str(caught.value)


def test_pages_may_have_any_name() -> None:
    """They are names of files, not of URLs."""
    settings = StaticSettings(not_found="/errors/100%.html", fallback="a b/ü.html")
    assert (settings.not_found, settings.fallback) == ("/errors/100%.html", "a b/ü.html")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (b"a.html", b"text/html; charset=utf-8"),
        (b"A.HTML", b"text/html; charset=utf-8"),
        (b"a.min.js", b"text/javascript; charset=utf-8"),
        (b"a.json", b"application/json"),
        (b"a.tar.gz", b"application/gzip"),
        (b"a.svg", b"image/svg+xml"),
        (b"a.woff2", b"font/woff2"),
        (b"a.webmanifest", b"application/manifest+json"),
        (b"README", b"application/octet-stream"),
        (b"html", b"application/octet-stream"),
        (b"a.html/b", b"application/octet-stream"),
        (b"a.", b"application/octet-stream"),
        (b"a.unheard-of", b"application/octet-stream"),
        ("ü.ü".encode(), b"application/octet-stream"),
        (b"a.mine", b"text/mine"),
        (b"a.css", b"text/other"),
    ],
)
def test_media_types_go_by_extension(name: bytes, expected: bytes) -> None:
    """The operator's own first; texts are UTF-8; what is not known is no page."""
    assert media_type(name, {".mine": "text/mine", ".css": "text/other"}) == expected
