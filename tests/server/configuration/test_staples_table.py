"""The `[staples]` table."""

from __future__ import annotations

import tomllib
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from staplesrv.errors import OperatorError
from staplesrv.server.configuration.place import Place
from staplesrv.server.configuration.schema import StaplesTable
from staplesrv.server.configuration.staples_table import LONGEST, read_settings
from staplesrv.staples.settings import Settings

HERE = Place("a.toml")
ALL = """
http_proxy = "http://proxy.internal:3128"
no_proxy = ["internal", "10.0.0.0/8"]
responders = {"ocsp.example" = "http://ocsp.internal/", "never.example" = ""}
on_revoked = "refuse"
missing_next_update = 86400
allow_sha1 = true
certid = "sha256"
nonce = true
max_interval = 3600
min_interval = 60.5
start_wait = 0
timeout = 5
max_response = 20000
"""


def read(text: str) -> Settings:
    """The settings that a table says."""
    return read_settings(tomllib.loads(text), HERE)


def refusal(text: str) -> str:
    """What is said about a table that can't be used."""
    with pytest.raises(OperatorError) as caught:
        read(text)
    return str(caught.value).removeprefix("a.toml: [staples]: ")


def test_an_empty_table_is_the_defaults() -> None:
    """Which stand in one place, the settings themselves."""
    assert read("") == Settings()


def test_every_setting_can_be_set() -> None:
    """Durations are seconds there and spans of time here."""
    assert read(ALL) == Settings(
        http_proxy="http://proxy.internal:3128",
        no_proxy=("internal", "10.0.0.0/8"),
        responders={"ocsp.example": "http://ocsp.internal/", "never.example": ""},
        on_revoked="refuse",
        missing_next_update=timedelta(days=1),
        allow_sha1=True,
        certid="sha256",
        nonce=True,
        max_interval=timedelta(hours=1),
        min_interval=timedelta(seconds=60.5),
        start_wait=timedelta(0),
        timeout=timedelta(seconds=5),
        max_response=20000,
    )


def test_every_setting_has_a_key() -> None:
    """The table and the settings have the same names."""
    assert set(StaplesTable.__struct_fields__) == set(Settings.__dataclass_fields__)


def test_a_missing_next_update_can_be_rejected_in_words() -> None:
    """Which is the default."""
    assert read('missing_next_update = "reject"').missing_next_update is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("timeout = -1", "timeout: is negative; give a number of seconds"),
        ("timeout = 0", "timeout: is not above zero; use a number of seconds"),
        ("timeout = nan", "timeout: is no number; give a number of seconds"),
        ("timeout = inf", "timeout: is too long; give at most 86400 seconds"),
        ("start_wait = -inf", "start_wait: is negative; give a number of seconds"),
        ("max_interval = 1e300", "max_interval: is too long; give at most 31622400 seconds"),
        ("missing_next_update = 0", 'missing_next_update: is not above zero; use a number of seconds, or "reject"'),
        ("max_response = -5", "max_response: is not above zero; use a number of bytes"),
        ("min_interval = 90000", "min_interval: is above max_interval; make it the smaller one"),
        ("certid = 'md5'", "certid: 'md5' is no hash; use one of auto, sha1, sha256, sha384, sha512"),
        ("http_proxy = 'socks://a'", "http_proxy: 'socks://a': is neither http nor https; use an http or https URL"),
        ("no_proxy = ['a b']", "no_proxy: 'a b' matches no host; use a domain, an IP address, a network or *"),
    ],
)
def test_a_setting_that_can_t_be_is_told_with_its_key(text: str, said: str) -> None:
    """Whether this table or the settings themselves found it."""
    assert refusal(text) == said


def test_an_unknown_setting_is_refused() -> None:
    """With the near one suggested."""
    assert refusal("start_wiat = 1") == "start_wiat: unknown key; did you mean start_wait?"


@given(st.sampled_from(sorted(LONGEST)), st.floats() | st.integers())
def test_any_number_for_a_duration_ends_in_settings_or_in_one_line(key: str, number: float) -> None:
    """No number overflows anywhere."""
    try:
        assert isinstance(read_settings({key: number}, HERE), Settings)
    except OperatorError as error:
        assert key in str(error)  # noqa: PT017 - a value is just as good
