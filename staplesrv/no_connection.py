"""Why there is no connection to a backend or a responder, in the words of the system."""

from __future__ import annotations

import os

from service_identity import VerificationError
from twisted.internet import defer
from twisted.internet import error as internet_error

_LATE = (defer.TimeoutError, internet_error.TimeoutError)


def in_words(error: BaseException | None) -> str:
    """Say it in a few words, without a full stop.

    Args:
        error: What connecting raised; of Twisted's, many have the number of the system's error. Over TLS it may be
            pyOpenSSL's, which has a list of OpenSSL's errors or a number and a text.
    """
    if isinstance(error, _LATE):
        return "no time left"
    if isinstance(error, VerificationError):
        return "its certificate is for another name"
    number = getattr(error, "osError", None)
    if isinstance(number, int) and number > 0:
        return os.strerror(number)
    return getattr(error, "strerror", None) or _text(error).rstrip(".") or type(error).__name__


def _text(error: BaseException | None) -> str:
    match error:
        case Exception(args=([*reasons],)):
            return ", ".join(str(reason[-1] if isinstance(reason, tuple) and reason else reason) for reason in reasons)
        case Exception(args=(int(), str(text))):
            return text
    return str(error)
