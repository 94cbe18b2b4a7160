"""One question to one responder, over treq: the only door to HTTP.

Everything a responder can do is bounded: 5 s to connect, `Settings.timeout` for the whole exchange,
`Settings.max_response` bytes of body, three redirects. Whatever comes of it is an `Answer` or a `FetchFailed`.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final, Literal

from cryptography import x509
from hyperlink import EncodedURL
from treq.client import HTTPClient
from twisted.internet.defer import CancelledError, Deferred
from twisted.web.client import BrowserLikePolicyForHTTPS, HostnameCachingHTTPSPolicy
from twisted.web.http_headers import Headers
from twisted.web.iweb import IPolicyForHTTPS

from staplesrv import __version__, sources
from staplesrv.no_connection import in_words
from staplesrv.ocsp.request import get_url
from staplesrv.sources import WallClock
from staplesrv.staples.asking.agent import ResponderAgent
from staplesrv.staples.asking.answer import Answer, make_answer, refusal
from staplesrv.staples.asking.body import WholeBody, abandon, read_body
from staplesrv.staples.asking.connection import Connections, IResponderReactor, Pool
from staplesrv.staples.asking.deadline import within
from staplesrv.staples.asking.url import BadURL, WebURL
from staplesrv.staples.failure import FailureKind, FetchFailed
from staplesrv.staples.issuer import read_certificates
from staplesrv.staples.settings import Settings

__all__ = ["CONNECT_TIMEOUT", "Answer", "Method", "ResponderClient"]

CONNECT_TIMEOUT = timedelta(seconds=5)
"""For the name look-up and the connection, over all addresses of a host."""

IDLE_CONNECTION_SECONDS = 15
"""Many certificates share a responder, and at a start they ask one after the other. Later questions are hours apart."""

Method = Literal["GET", "POST"]

_USER_AGENT: Final = {"User-Agent": f"staplesrv/{__version__}"}
_OK: Final = 200
_NOT_MODIFIED: Final = 304


class ResponderClient:
    """Asks OCSP responders, and fetches what CAs publish, with bounds on all that a stranger can make of it.

    Args:
        reactor: Where connections and timers are made.
        settings: For proxy, time-out and size cap.
        wall_clock: Compared with a Retry-After that is a date.
        connect_timeout: See `CONNECT_TIMEOUT`.
        https_policy: How https servers are verified; the platform's trust and the host's name, if None.
    """

    def __init__(
        self,
        reactor: IResponderReactor,
        settings: Settings,
        *,
        wall_clock: WallClock = sources.wall_clock,
        connect_timeout: timedelta = CONNECT_TIMEOUT,
        https_policy: IPolicyForHTTPS | None = None,
    ) -> None:
        self._reactor = reactor
        self._settings = settings
        self._wall_clock = wall_clock
        policy = https_policy or HostnameCachingHTTPSPolicy(BrowserLikePolicyForHTTPS())  # type: ignore[no-untyped-call]
        self._connections = Connections(reactor, policy, connect_timeout, settings.max_response)
        self._pool = Pool(reactor)  # type: ignore[no-untyped-call]
        self._pool.cachedConnectionTimeout = IDLE_CONNECTION_SECONDS
        self._http = HTTPClient(ResponderAgent(reactor, settings, self._connections, self._pool))
        self._under_way: set[Deferred[Answer]] = set()

    async def ask(
        self,
        url: str,
        request_der: bytes,
        *,
        method: Method = "GET",
        etag: str | None = None,
        last_modified: str | None = None,
    ) -> Answer:
        """Ask one responder one question (RFC 6960 appendix A).

        Args:
            url: The responder's.
            request_der: The OCSP request.
            method: "GET" is a POST all the same where the URL with the request in it would be over 255 bytes.
            etag: Of the answer held, sent with a GET; a 304 may then come back.
            last_modified: Of the answer held, likewise.

        Raises:
            FetchFailed: no answer, or none that HTTP calls one.
            CancelledError: the caller cancelled; the connection is closed.
        """
        responder = _parse(url)
        headers = {**_USER_AGENT, "Accept": "application/ocsp-response"}
        asked = get_url(str(responder), request_der) if method == "GET" else None
        if asked is None:
            headers["Content-Type"] = "application/ocsp-request"
            return await self._exchange("POST", responder, headers, request_der, told=str(responder))
        if etag is not None:
            headers["If-None-Match"] = etag
        if last_modified is not None:
            headers["If-Modified-Since"] = last_modified
        return await self._exchange("GET", _parse(asked), headers, told=str(responder))

    async def fetch_certificates(self, url: str) -> list[x509.Certificate]:
        """Fetch the certificates that a CA publishes at a caIssuers URL (RFC 5280 §4.2.2.1).

        Args:
            url: Out of a certificate.

        Returns:
            At least one; nothing says that any of them issued anything.

        Raises:
            FetchFailed: nothing came, or no certificate.
            CancelledError: the caller cancelled; the connection is closed.
        """
        headers = {**_USER_AGENT, "Accept": "application/pkix-cert, application/pkcs7-mime, */*;q=0.1"}
        answer = await self._exchange("GET", _parse(url), headers, told=url)
        certificates = read_certificates(answer.body or b"")
        if not certificates:
            raise FetchFailed(FailureKind.BAD_RESPONSE, "holds no certificate in DER, PEM or PKCS#7", url=url)
        return certificates

    async def close(self) -> None:
        """Cancel what is under way, close every connection, and wait until they are closed."""
        for exchange in list(self._under_way):
            exchange.cancel()
        await self._pool.closeCachedConnections()  # type: ignore[no-untyped-call]
        await self._connections.close()

    async def _exchange(
        self, method: Method, url: WebURL, headers: dict[str, str], body: bytes = b"", *, told: str
    ) -> Answer:
        # `told` is the URL that a failure names: without the OCSP request that a GET has in it.
        seconds = self._settings.timeout.total_seconds()
        exchange = within(
            seconds,
            self._talk(method, url, headers, body),
            self._reactor,
            lambda: FetchFailed(FailureKind.NETWORK, f"no whole answer within {seconds:g} s"),
        )
        self._under_way.add(exchange)
        try:
            return await exchange
        except CancelledError:
            raise
        except FetchFailed as failure:
            failure.url = failure.url or told
            raise
        except Exception as error:
            # HTTP, TLS and DNS libraries raise dozens of classes over a stranger's bytes; this is where they end.
            raise _translated(error, told) from error
        finally:
            self._under_way.discard(exchange)

    async def _talk(self, method: Method, url: WebURL, headers: dict[str, str], body: bytes) -> Answer:
        response = await self._http.request(
            method,
            _Verbatim.from_text(str(url)),
            headers=Headers({name: [value] for name, value in headers.items()}),
            data=WholeBody(body) if body else None,
            allow_redirects=False,
            unbuffered=True,
            reactor=self._reactor,  # type: ignore[arg-type]  # the same interfaces, by treq's own name
        )
        conditional = not headers.keys().isdisjoint(("If-None-Match", "If-Modified-Since"))
        if response.code == _OK:
            content = await read_body(response, self._settings.max_response)
            if not content:
                raise FetchFailed(FailureKind.BAD_RESPONSE, "an empty body")
            return make_answer(content, str(url), response)
        abandon(response)
        if response.code == _NOT_MODIFIED and conditional:
            return make_answer(None, str(url), response)
        raise refusal(response, sources.utc(self._wall_clock()))


class _Verbatim(EncodedURL):
    # treq calls this before it asks. hyperlink's own escapes what is fine and fails on IPv6 addresses; ours come out of
    # WebURL and are ready for the wire.
    def to_uri(self) -> EncodedURL:
        return self


def _parse(url: str) -> WebURL:
    try:
        return WebURL.parse(url)
    except BadURL as error:
        raise FetchFailed(FailureKind.REFUSED, f"a URL that is not asked: {error}") from error


def _translated(error: Exception, url: str) -> FetchFailed:
    cause = _innermost(error)
    if isinstance(cause, FetchFailed):
        cause.url = cause.url or url
        return cause
    return FetchFailed(FailureKind.NETWORK, in_words(cause), url=url)


def _innermost(error: Any) -> Any:
    """What lies at the bottom of the errors that Twisted's HTTP client packs into each other."""
    reasons = getattr(error, "reasons", None)
    return _innermost(reasons[0].value) if reasons else error
