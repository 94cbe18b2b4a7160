"""The attempts at one request: which backend is asked, which were, and what the client is told when none is left."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as NoTimeLeft
from twisted.internet.error import TimeoutError as ConnectTimeout
from twisted.python.failure import Failure

from staplesrv.http.proxy.backend import Backend
from staplesrv.http.proxy.backends import Backends
from staplesrv.http.proxy.connection import BackendConnection
from staplesrv.no_connection import in_words

_REPEATABLE = frozenset({b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"})
"""RFC 9110 §9.2.2: sent twice, these do what they do once."""


class Attempts:
    """One request's attempts, one after the other.

    Args:
        backends: Who may be asked.
        method: Of the request.
        upgrades: It asks for a tunnel, and so is none to be repeated.

    Attributes:
        repeatable: Another backend may be asked where one did not answer.
        status: Of the answer where nobody is left to be asked.
    """

    # What is the same for most of them is not set for each.
    status = 503
    _backend: Backend | None = None
    _tried: frozenset[Backend] = frozenset()
    _fresh = False
    """No kept connection is tried any more."""

    def __init__(self, backends: Backends, method: bytes, *, upgrades: bool) -> None:
        self._backends = backends
        self.repeatable = method in _REPEATABLE and not upgrades

    def next(self) -> BackendConnection | Deferred[BackendConnection] | None:
        """Return a connection to the backend that is to be asked now, or what becomes one; None where none is left."""
        backend = self._backend = self._backends.choose(self._tried)
        if backend is None:
            return None
        backend.busy += 1
        return self._kept(backend) or backend.connect()

    def answered(self) -> None:
        """The backend gave an answer."""
        if self._backend is not None:
            self._backend.answered()

    def missed(self, failure: Failure) -> None:
        """There was no connection to be had to the backend."""
        backend = self._backend
        if backend is None:
            return
        late = failure.check(NoTimeLeft, ConnectTimeout)  # type: ignore[no-untyped-call]
        backend.unreachable(in_words(failure.value))
        self._tried |= {backend}
        self.status = 504 if late else 502
        self.end()

    def broke_off(self, *, blamed: bool) -> None:
        """The backend gave no answer, or not all of one."""
        backend = self._backend
        if backend is None:
            return
        self._tried |= {backend}
        if blamed:
            backend.broke()
        self.went_stale()

    def went_stale(self) -> None:
        """A connection that was kept turned out closed: that may be so at any time, and nobody is to blame."""
        self._fresh = True
        self.status = 502
        self.end()

    def end(self) -> None:
        """The backend has nothing more to do with the request."""
        if self._backend is not None:
            self._backend.busy -= 1
            self._backend = None

    def _kept(self, backend: Backend) -> BackendConnection | None:
        connection = None if self._fresh else backend.kept()
        # A request that can't be repeated is worth a look first: the backend may have closed the connection already.
        while connection is not None and not self.repeatable and not connection.is_open():
            connection.drop()
            connection = backend.kept()
        return connection
