"""What the tests of `staplesrv.testing` share."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime

import pytest

from staplesrv.testing import CertificateAuthority, Leaf

NOW = datetime(2026, 3, 1, 12, 30, 15, 987654, tzinfo=UTC)


@pytest.fixture
def ca() -> CertificateAuthority:
    """A root at a fixed time, not a whole second."""
    return CertificateAuthority(now=NOW)


@pytest.fixture
def leaf(ca: CertificateAuthority) -> Leaf:
    """A leaf of that root."""
    return ca.issue("example.org")


@pytest.fixture
def openssl() -> str:
    """The openssl program; a skip where it is missing, a failure where everything is required."""
    found = shutil.which("openssl")
    if found is None:
        message = "openssl is not installed"
        if os.environ.get("STAPLESRV_REQUIRE_ALL") == "1":
            pytest.fail(message)
        pytest.skip(message)
    return found
