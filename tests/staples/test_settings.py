"""What an operator may set about staples."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from staplesrv.errors import OperatorError
from staplesrv.staples.settings import Settings

SECOND = timedelta(seconds=1)


def problem(**options: Any) -> OperatorError:
    """What is wrong with settings."""
    with pytest.raises(OperatorError) as caught:
        Settings(**options)
    return caught.value


class TestDefaults:
    """Settings that nobody made are those of the documentation."""

    def test_numbers(self) -> None:
        """Intervals, waits and caps."""
        settings = Settings()
        assert settings.max_interval == timedelta(hours=24)
        assert settings.min_interval == timedelta(seconds=300)
        assert settings.start_wait == timedelta(seconds=10)
        assert settings.timeout == timedelta(seconds=15)
        assert settings.max_response == 65536

    def test_choices(self) -> None:
        """The careful choice where there is one."""
        settings = Settings()
        assert (settings.on_revoked, settings.certid) == ("drop", "auto")
        assert (settings.allow_sha1, settings.nonce) == (False, False)
        assert settings.missing_next_update is None
        assert settings.http_proxy is None

    def test_what_verification_needs(self) -> None:
        """`rules` is the part that judges responses."""
        rules = Settings(allow_sha1=True, missing_next_update=SECOND, max_response=99).rules
        assert (rules.allow_sha1, rules.missing_next_update, rules.max_response) == (True, SECOND, 99)

    def test_what_the_schedule_needs(self) -> None:
        """`bounds` is the part that says when."""
        bounds = Settings(max_interval=2 * SECOND, min_interval=SECOND).bounds
        assert (bounds.max_interval, bounds.min_interval) == (2 * SECOND, SECOND)


class TestChecks:
    """Settings that can't be used don't come into being; the error names the key."""

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("http_proxy", "proxy.example:3128"),
            ("http_proxy", "https://proxy.example"),
            ("http_proxy", "socks5://proxy.example"),
            ("http_proxy", "http://user:secret@proxy.example"),
            ("http_proxy", "http://proxy.example/path"),
            ("http_proxy", ""),
            ("no_proxy", ("10.0.0.0/99",)),
            ("no_proxy", ("http://ocsp.example",)),
            ("no_proxy", ("",)),
            ("responders", {"ocsp.example": "ftp://ocsp.example"}),
            ("responders", {"http://ocsp.example": "http://ocsp.example"}),
            ("responders", {"": ""}),
            ("on_revoked", "panic"),
            ("certid", "md5"),
            ("missing_next_update", timedelta(0)),
            ("max_interval", timedelta(0)),
            ("min_interval", timedelta(0)),
            ("min_interval", timedelta(hours=25)),
            ("timeout", -SECOND),
            ("start_wait", -SECOND),
            ("max_response", 0),
        ],
    )
    def test_each_is_named(self, key: str, value: Any) -> None:
        """One line: place, key, problem, advice."""
        error = problem(**{key: value})
        assert error.key == key
        assert error.problem
        assert error.advice
        assert str(error).startswith(f"[staples]: {key}: ")

    def test_what_is_fine(self) -> None:
        """Every setting has values that are taken."""
        settings = Settings(
            http_proxy="http://proxy.example:3128",
            no_proxy=("*", ".example", "10.0.0.0/8"),
            responders={"OCSP.example.": "http://ocsp.internal", "bücher.example": ""},
            on_revoked="refuse",
            certid="sha256",
            start_wait=timedelta(0),
        )
        assert settings.responders == {"ocsp.example": "http://ocsp.internal/", "xn--bcher-kva.example": ""}

    def test_a_later_change_of_the_dictionary_does_not_count(self) -> None:
        """The value is frozen, whatever becomes of what it was made from."""
        responders = {"ocsp.example": ""}
        settings = Settings(responders=responders)
        responders["ocsp.example"] = "ftp://x"
        assert settings.responders == {"ocsp.example": ""}

    @given(st.text(max_size=50), st.text(max_size=50))
    def test_no_text_ends_in_anything_else(self, one: str, other: str) -> None:
        """Whatever is written there, the outcome is settings or an `OperatorError`."""
        for options in ({"http_proxy": one}, {"no_proxy": (one, other)}, {"responders": {one: other}}, {"certid": one}):
            with suppress(OperatorError):
                Settings(**options)
