"""What the tests of the server share."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.logger import LogEvent, formatEvent, globalLogPublisher

from staplesrv.testing import CertificateAuthority, LeafFiles

with warnings.catch_warnings():
    # Twisted's own module warns of what it uses itself when it is imported.
    warnings.simplefilter("ignore", DeprecationWarning)
    import twisted.web.static  # noqa: F401 - imported here so that no test is the first


@pytest.fixture(scope="session")
def authority() -> CertificateAuthority:
    """One CA for all: keys take time."""
    return CertificateAuthority()


@pytest.fixture
def files(tmp_path: Path, authority: CertificateAuthority) -> LeafFiles:
    """A certificate for example.org with its key, beside a folder `www` with a page."""
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "index.html").write_text("<h1>hello</h1>")
    return authority.issue("example.org").write(tmp_path)


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """What is logged."""
    said: list[str] = []

    def observe(event: LogEvent) -> None:
        said.append(formatEvent(event))

    globalLogPublisher.addObserver(observe)
    yield said
    globalLogPublisher.removeObserver(observe)
