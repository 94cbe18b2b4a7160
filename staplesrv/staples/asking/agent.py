"""The agent below treq: what is asked of a responder, hop by hop, without the comforts of a browser.

treq offers gzip, keeps cookies and follows redirects by itself; here all of that is taken out again, so that neither a
bomb nor a cookie nor a `file:` URL gets through. Redirects are followed by this agent:

- 301, 302, 307 and 308 repeat the request as it was, a POST as a POST. RFC 9110 lets a client turn the POST of a 301
  or 302 into a GET, as browsers do, but a GET without the OCSP request in it has no answer.
- 303 is followed for a GET. For a POST it points to something that is no OCSP response, and is refused.
"""

from __future__ import annotations

from typing import Final

from twisted.internet.defer import Deferred
from twisted.web.client import URI, Agent, HTTPConnectionPool, ProxyAgent
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IBodyProducer, IResponse
from zope.interface import implementer

from staplesrv.staples.asking.body import abandon
from staplesrv.staples.asking.connection import Connections, IResponderReactor
from staplesrv.staples.asking.no_proxy import bypasses
from staplesrv.staples.asking.url import BadURL, WebURL
from staplesrv.staples.failure import FailureKind, FetchFailed
from staplesrv.staples.settings import Settings

MAX_REDIRECTS = 3

_SEE_OTHER: Final = 303
_REDIRECTS: Final = frozenset({301, 302, _SEE_OTHER, 307, 308})
_OK: Final = 200


@implementer(IAgent)
class ResponderAgent:
    """Asks one question and follows its redirects.

    Args:
        reactor: Where connections are made.
        settings: For `http_proxy` and `no_proxy`.
        connections: Makes connections.
        pool: Keeps them for the next question.
    """

    def __init__(
        self,
        reactor: IResponderReactor,
        settings: Settings,
        connections: Connections,
        pool: HTTPConnectionPool,
    ) -> None:
        self._no_proxy = settings.no_proxy
        self._direct: IAgent = Agent.usingEndpointFactory(reactor, connections, pool)  # type: ignore[no-untyped-call]
        self._proxy: IAgent | None = None
        if settings.http_proxy is not None:
            proxy = URI.fromBytes(str(WebURL.parse(settings.http_proxy)).encode("ascii"))  # type: ignore[no-untyped-call]
            self._proxy = ProxyAgent(connections.endpointForURI(proxy), reactor, pool)  # type: ignore[no-untyped-call]

    def request(
        self, method: bytes, uri: bytes, headers: Headers | None = None, bodyProducer: IBodyProducer | None = None
    ) -> Deferred[IResponse]:
        """Ask, and return the first response that is no redirect.

        Fails with `FetchFailed` where a redirect is not followed or the body is compressed, or with Twisted's errors.
        """
        return Deferred.fromCoroutine(self._request(method, uri, headers, bodyProducer))

    async def _request(
        self, method: bytes, uri: bytes, headers: Headers | None, body: IBodyProducer | None
    ) -> IResponse:
        url = WebURL.parse(uri.decode("ascii"))
        plain = _without_comforts(headers)
        for _ in range(MAX_REDIRECTS + 1):
            response = await self._agent_for(url).request(method, str(url).encode("ascii"), plain, body)
            if response.code not in _REDIRECTS:
                return _undecoded(response)
            abandon(response)
            url = _next_hop(url, method, response)
        raise FetchFailed(FailureKind.HTTP_STATUS, f"more than {MAX_REDIRECTS} redirects", status=response.code)

    def _agent_for(self, url: WebURL) -> IAgent:
        if self._proxy is None or url.scheme == "https" or bypasses(url.host, self._no_proxy):
            return self._direct
        return self._proxy


def _without_comforts(headers: Headers | None) -> Headers:
    plain = Headers() if headers is None else headers.copy()
    plain.removeHeader(b"Cookie")
    # treq always adds gzip. No header at all would mean that any encoding will do (RFC 9110 §12.5.3).
    plain.setRawHeaders(b"Accept-Encoding", [b"identity"])
    return plain


def _undecoded(response: IResponse) -> IResponse:
    encodings = b",".join(response.headers.getRawHeaders(b"Content-Encoding", [])).split(b",")
    compressed = any(encoding.strip().lower() not in (b"", b"identity") for encoding in encodings)
    if compressed and response.code == _OK:
        abandon(response)
        raise FetchFailed(FailureKind.BAD_RESPONSE, "the body is compressed, which was not offered")
    # treq's decoder and cookie jar find nothing to work on.
    response.headers.removeHeader(b"Content-Encoding")
    response.headers.removeHeader(b"Set-Cookie")
    return response


def _next_hop(url: WebURL, method: bytes, response: IResponse) -> WebURL:
    location = response.headers.getRawHeaders(b"Location", [b""])[0]
    if response.code == _SEE_OTHER and method != b"GET":
        raise _not_followed(response, "a 303 leads away from the answer to a POST")
    if not location:
        raise _not_followed(response, "a redirect without a Location")
    try:
        return url.join(location.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise _not_followed(response, "a redirect to a Location that is no text") from error
    except BadURL as error:
        raise _not_followed(response, f"a redirect to {error}") from error


def _not_followed(response: IResponse, detail: str) -> FetchFailed:
    return FetchFailed(FailureKind.HTTP_STATUS, detail, status=response.code)
