"""The package's front door."""

from __future__ import annotations

import subprocess
import sys

import pytest

import staplesrv


@pytest.mark.parametrize("name", staplesrv.__all__)
def test_every_name_is_there(name: str) -> None:
    """What the package announces it has, and says where it comes from."""
    assert getattr(staplesrv, name) is not None


def test_unknown_name() -> None:
    """A name that isn't there is an AttributeError, as with any module."""
    with pytest.raises(AttributeError, match="no attribute 'Stabler'"):
        _ = staplesrv.Stabler


@pytest.mark.parametrize(
    "modules",
    [
        "staplesrv",
        "staplesrv; staplesrv.Stapler; staplesrv.StapleServerEndpoint; staplesrv.HTTPSite",
        "twisted.plugins.staplesrv_endpoint",
    ],
)
def test_no_reactor(modules: str) -> None:
    """Neither the package nor its names nor the endpoint's dropin install a reactor."""
    check = f"import sys; import {modules}; assert 'twisted.internet.reactor' not in sys.modules"
    subprocess.run([sys.executable, "-c", check], check=True)


def test_light() -> None:
    """The package by itself imports nothing, and the endpoint's dropin imports no HTTP client."""
    check = "import sys, staplesrv; assert 'OpenSSL' not in sys.modules; import twisted.plugins.staplesrv_endpoint"
    subprocess.run([sys.executable, "-c", f"{check}; assert 'treq' not in sys.modules"], check=True)
