"""What the tests of files share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from site_folder import open_descriptors


@pytest.fixture
def no_descriptor_left() -> Iterator[None]:
    """However a test ends, what was opened in it is closed."""
    before = open_descriptors()
    yield
    assert open_descriptors() == before
