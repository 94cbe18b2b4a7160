"""What all tests share."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# A machine that does other things besides is no bug of ours. Under CI a run says whether this change broke something,
# so it draws the same examples every time; everywhere else it looks further.
settings.register_profile(
    "unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize="CI" in os.environ
)
settings.load_profile("unhurried")
