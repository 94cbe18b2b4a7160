"""Why there is no connection to a backend, in the words of the system."""

from __future__ import annotations

import os

from twisted.internet import defer
from twisted.internet import error as internet_error

_LATE = (defer.TimeoutError, internet_error.TimeoutError)


def in_words(error: BaseException | None) -> str:
    """Say it in a few words, without a full stop.

    Args:
        error: What connecting raised; of Twisted's, many have the number of the system's error.
    """
    if isinstance(error, _LATE):
        return "no time left"
    number = getattr(error, "osError", None)
    if isinstance(number, int) and number > 0:
        return os.strerror(number)
    return getattr(error, "strerror", None) or str(error).rstrip(".") or type(error).__name__
