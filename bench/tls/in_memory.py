"""OpenSSL's own share: the server's side of connections in memory, without a socket, a reactor or a protocol."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from load import BODY, GROUP, ONE, client_context
from OpenSSL import SSL
from program import CLOSING
from servers import Place
from twisted.internet import task
from twisted.internet.defer import Deferred

from staplesrv import SiteCertificate, Stapler
from staplesrv.tls.openssl import calls

WARM_UP = 200
CONNECTIONS = 3000
STEPS = ("made", "handshake", "answer", "close")

Make = Callable[[], SSL.Connection]
T = TypeVar("T")


class Costs(Counter[str]):
    """CPU nanoseconds of this thread, per step."""

    def of(self, step: str, call: Callable[[], T]) -> T:
        """Call, and count what it took."""
        start = time.thread_time_ns()
        try:
            return call()
        finally:
            self[step] += time.thread_time_ns() - start


def measure(place: Place) -> None:
    """Print the microseconds of each step, full and resumed."""

    async def run(reactor: Any) -> None:
        files = place.files
        site = SiteCertificate(files["certificate"], files["key"], staple_file=files["staple"])
        stapler = Stapler([site], reactor=reactor)
        stapler.startService()
        await stapler.ready()
        print(f"{'us of CPU on the server side':34}" + "".join(f"{step:>11}" for step in (*STEPS, "in all")))
        bare = bare_context(place)
        for title, make in (
            ("OpenSSL alone", lambda: SSL.Connection(bare)),
            ("staplesrv's contexts", stapler.context_factory().connection),
        ):
            for kind in ("full", "resumed"):
                costs = repeated(make, client_context(place.suite), resumed=kind == "resumed")
                each = [costs[step] / CONNECTIONS / 1e3 for step in STEPS]
                print(f"{title + ', ' + kind:34}" + "".join(f"{us:>11.1f}" for us in (*each, sum(each))))
        await stapler.stopService()

    task.react(lambda reactor: Deferred.fromCoroutine(run(reactor)))


def bare_context(place: Place) -> SSL.Context:
    """Make a context that does the same without any code of ours: no server names, always the same staple."""
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    context.set_session_id(b"bench")
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.use_certificate_chain_file(place.files["certificate"])
    context.use_privatekey_file(place.files["key"])
    calls.set_groups(context, GROUP.encode())
    staple_der = place.files["staple"].read_bytes()
    context.set_ocsp_server_callback(lambda _connection, _data: staple_der)
    return context


def repeated(make: Make, context: SSL.Context, *, resumed: bool) -> Costs:
    """Have many conversations, and return what the last `CONNECTIONS` of them cost the server."""
    session = converse(make, context, Costs()) if resumed else None
    costs = Costs()
    for number in range(WARM_UP + CONNECTIONS):
        if number == WARM_UP:
            costs.clear()
        converse(make, context, costs, session)
    return costs


def converse(make: Make, context: SSL.Context, costs: Costs, session: SSL.Session | None = None) -> SSL.Session | None:
    """Do a handshake, ask, answer and close; return the client's session."""
    client = SSL.Connection(context)
    client.set_connect_state()
    client.set_tlsext_host_name(b"bench.example")
    client.request_ocsp()
    if session is not None:
        client.set_session(session)
    server = costs.of("made", make)
    server.set_accept_state()
    for _ in range(2):
        with suppress(SSL.WantReadError):
            client.do_handshake()
        server.bio_write(client.bio_read(1 << 14))
        with suppress(SSL.WantReadError):
            costs.of("handshake", server.do_handshake)
        client.bio_write(server.bio_read(1 << 14))
    client.send(ONE)
    server.bio_write(client.bio_read(1 << 14))
    assert costs.of("answer", lambda: server.recv(1 << 14)) == ONE
    costs.of("answer", lambda: server.send(CLOSING))
    costs.of("close", server.shutdown)
    client.bio_write(server.bio_read(1 << 14))
    assert client.recv(1 << 14).endswith(BODY)
    assert (session is not None) == calls.resumed(client)
    # A session is good for more connections once this one was closed in order.
    client.shutdown()
    return client.get_session()
