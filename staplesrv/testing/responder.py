"""An OCSP responder for tests: a Twisted Web resource that behaves as it is told.

    responder = OCSPResponder(authority, clock=reactor)
    running = listen(responder, reactor)
    leaf = authority.issue("example.org", responder_urls=[running.url])
    responder.behaviour = ["http-500", "good"]      # first down, then well again
    responder.behave("revoked", about=leaf)         # this leaf alone

Settings are attributes and may be changed at any time.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal, TypeAlias

from twisted.internet.interfaces import IReactorTime
from twisted.web import resource
from twisted.web.server import NOT_DONE_YET

from staplesrv.ocsp.certid import CertID
from staplesrv.testing.answers import Question, answer
from staplesrv.testing.asked import Asked, Request, headers_of, read_request, request_der
from staplesrv.testing.authority import CertificateAuthority, Subject
from staplesrv.testing.behaviour import Behaviour, Behaviours, Script
from staplesrv.testing.delivery import Delivery, after, set_headers
from staplesrv.testing.issuer_files import issuer_file
from staplesrv.testing.leaf import Leaf
from staplesrv.testing.response import WEEK, HashName, cert_id_of, make_error
from staplesrv.testing.ways import deliver, followed_redirect

Method: TypeAlias = Literal["GET", "POST"]


@dataclass(frozen=True, slots=True)
class _Made:
    """An answer, and when it was made."""

    body: bytes
    at: datetime


class OCSPResponder(resource.Resource):
    """An OCSP responder over HTTP, GET and POST.

    It says `good` of every serial number of its CAs and `unauthorized` to everything else, until told otherwise. It
    also serves its CAs' certificates: `issuer.der`, `issuer.pem`, `issuer.p7c`, `issuer-2.der` ...

    Args:
        authorities: The CAs it answers for, at least one.
        clock: For `delay` and the slow drip; `listen` sets it where it is None.

    Attributes:
        requests: What was asked, in order.
        issuer_requests: The names of the issuer files that were asked for, in order.
        issuer_behaviour: How the issuer files are served.
        lifetime: nextUpdate minus thisUpdate.
        stable: Whether the same question gets the same bytes until half their life is over, or new ones each time.
        delay: Seconds from the question to the first byte of the answer.
        drip: Seconds from byte to byte of the slow drip.
        max_age: Cache-Control's max-age; None sends none.
        retry_after: Retry-After, on every answer: a span, a moment, or any text; None sends none.
        conditional: Whether ETag and Last-Modified are sent, and 304 where they match; for GET alone.
        echo_nonce: Whether a nonce comes back.
        only_hash: The one CertID hash it knows; questions under another one are `unauthorized`.
        in_flight: Questions not answered yet.
        peak: The most of these there were at one time.
    """

    isLeaf = True

    def __init__(self, *authorities: CertificateAuthority, clock: IReactorTime | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        if not authorities:
            raise ValueError("a responder needs at least one CA")
        self.authorities: Final = authorities
        self.clock = clock
        self.requests: Final[list[Asked]] = []
        self.issuer_requests: Final[list[str]] = []
        self.issuer_behaviour: Behaviour | str = Behaviour.GOOD
        self.lifetime = WEEK
        self.stable = True
        self.delay = 0.0
        self.drip = 1.0
        self.max_age: timedelta | None = None
        self.retry_after: timedelta | datetime | str | None = None
        self.conditional = True
        self.echo_nonce = True
        self.only_hash: HashName | None = None
        self.in_flight = 0
        self.peak = 0
        self._scripts: dict[tuple[int | None, str | None], Script] = {(None, None): Script(Behaviour.GOOD)}
        self._made: dict[tuple[Behaviour, CertID, timedelta], _Made] = {}

    @property
    def behaviour(self) -> Behaviour:
        """What comes next, where nothing else was said about a certificate or a method."""
        return self._scripts[None, None].current

    @behaviour.setter
    def behaviour(self, behaviours: Behaviours) -> None:
        self.behave(behaviours)

    def behave(self, behaviours: Behaviours, *, about: Subject | None = None, method: Method | None = None) -> None:
        """Set how to behave from now on.

        Args:
            behaviours: One behaviour, or several to be used up in turn; the last one stays.
            about: For questions about this certificate alone; this takes precedence.
            method: For questions by this HTTP method alone.

        Raises:
            ValueError: If a behaviour is unknown.
        """
        self._scripts[None if about is None else _serial_of(about), method] = Script(behaviours)

    def count(self, about: Subject | None = None) -> int:
        """How often was asked, about one certificate or at all."""
        if about is None:
            return len(self.requests)
        serial_number = _serial_of(about)
        return sum(
            asked.cert_id is not None and asked.cert_id.serial_number == serial_number for asked in self.requests
        )

    def render(self, request: Request) -> int | bytes:
        """Answer a request, whatever its path and method."""
        name = request.postpath[-1] if request.postpath else b""
        behaviour = Behaviour(self.issuer_behaviour)
        file = issuer_file(name, self.authorities, behaviour)
        if file is None:
            self._answer(request)
        else:
            self.issuer_requests.append(name.decode())
            self._send(request, behaviour, file.content, file.content_type, None)
        return NOT_DONE_YET

    def _answer(self, request: Request) -> None:
        cert_id, nonce = read_request(request_der(request)) or (None, None)
        behaviour = self._behaviour(request, cert_id)
        now = self.authorities[0].now()
        method = request.method.decode("latin-1")
        self.requests.append(Asked(method, request.uri, headers_of(request), cert_id, nonce, behaviour, now))
        if cert_id is None:
            made = _Made(make_error("malformed-request"), now)
        else:
            made = self._make(behaviour, cert_id, nonce if self.echo_nonce else None)
        last_modified = made.at if self.conditional else None
        self._send(request, behaviour, made.body, "application/ocsp-response", last_modified)

    def _behaviour(self, request: Request, cert_id: CertID | None) -> Behaviour:
        # Who follows a redirect still asks the same question: no turn is used up.
        followed = followed_redirect(request)
        if followed is not None:
            return followed
        serial_number = None if cert_id is None else cert_id.serial_number
        method = request.method.decode("latin-1")
        keys = ((serial_number, method), (serial_number, None), (None, method), (None, None))
        return next(self._scripts[key] for key in keys if key in self._scripts).advance()

    def _make(self, behaviour: Behaviour, cert_id: CertID, nonce: bytes | None) -> _Made:
        authority = self._authority(cert_id)
        if authority is None or self.only_hash not in {None, cert_id.hash_name}:
            return _Made(make_error("unauthorized"), self.authorities[0].now())
        now = authority.now()
        key = (behaviour, cert_id, self.lifetime)
        held = self._made.get(key)
        if self.stable and nonce is None and held and held.at <= now < held.at + self.lifetime / 2:
            return held
        made = _Made(answer(behaviour, Question(authority, cert_id, nonce, self.lifetime)), now)
        if nonce is None:
            self._made[key] = made
        return made

    def _authority(self, cert_id: CertID) -> CertificateAuthority | None:
        for authority in self.authorities:
            if cert_id == cert_id_of(cert_id.serial_number, authority.certificate, cert_id.hash_name):
                return authority
        return None

    def _send(
        self, request: Request, behaviour: Behaviour, body: bytes, content_type: str, last_modified: datetime | None
    ) -> None:
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        request.notifyFinish().addBoth(self._sent)
        set_headers(request, max_age=self.max_age, retry_after=self.retry_after)
        delivery = Delivery(request, body, content_type, last_modified, self.clock, self.drip)
        after(self.delay, self.clock, request, lambda: deliver(delivery, behaviour))

    def _sent(self, _: object) -> None:
        self.in_flight -= 1


def _serial_of(subject: Subject) -> int:
    if isinstance(subject, int):
        return subject
    return (subject.certificate if isinstance(subject, Leaf) else subject).serial_number
