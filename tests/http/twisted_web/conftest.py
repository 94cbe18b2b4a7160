"""What the tests of Twisted Web's resources need."""

from __future__ import annotations

import warnings

with warnings.catch_warnings():
    # Twisted uses what it calls deprecated.
    warnings.simplefilter("ignore", DeprecationWarning)
    import twisted.web.static
    import twisted.web.xmlrpc  # noqa: F401 - imported here so that no test is the first
