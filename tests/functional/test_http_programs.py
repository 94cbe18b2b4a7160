"""Twisted Web resources and WSGI callables of the operator's, through the whole program, over both HTTP versions."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from functional.harness import MIB, Pki, wait_until
from functional.http_server import VERSIONS, HTTPServer, curl_command, http_server, site_table
from websockets.sync.client import connect

WEB, WSGI = "web.test", "wsgi.test"
BOTH = [WEB, WSGI]
LARGE = 64 * MIB

PROGRAMS = """
import json
from twisted.internet import reactor, task
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET
from twisted.web.static import Data
from twisted.web.websocket import WebSocketResource

LARGE = {large}
lost = []
waiting = []

class Leaf(Resource):
    isLeaf = True
    def __init__(self, render):
        super().__init__()
        self.render = render

def echo(request):
    args = sorted((name.decode(), values[0].decode()) for name, values in request.args.items())
    said = dict(method=request.method.decode(), args=args, secure=request.isSecure(),
        client=request.getClientAddress().host, size=len(request.content.read()),
        host=request.getRequestHostname().decode())
    request.setHeader(b"content-type", b"application/json")
    return json.dumps(said).encode()

def later(request):
    request.write(b"begun, ")
    ended = request.notifyFinish()
    call = task.deferLater(reactor, 0.2, request.write, b"and done")
    call.addCallback(lambda _: request.finish())
    return NOT_DONE_YET

def never(request):
    waiting.append(1)
    request.notifyFinish().addErrback(lambda failure: waiting.clear() or lost.append(1))
    return NOT_DONE_YET

def fail(request):
    raise RuntimeError("the secret")

class Blocks:
    def __init__(self, request):
        self.request, self.left = request, LARGE
    def resumeProducing(self):
        self.left -= 65536
        self.request.write(bytes(65536))
        if not self.left:
            self.request.unregisterProducer()
            self.request.finish()
    def stopProducing(self):
        lost.append(1)

def large(request):
    request.setHeader(b"content-length", b"%d" % LARGE)
    request.registerProducer(Blocks(request), False)
    return NOT_DONE_YET

def visits(request):
    session = request.getSession()
    session.visits = getattr(session, "visits", 0) + 1
    return b"%d" % session.visits

class Echo:
    def buildProtocol(self, request): return self
    def negotiationStarted(self, transport): self.transport = transport
    def negotiationFinished(self): pass
    def textMessageReceived(self, message): self.transport.sendTextMessage(message)
    def bytesMessageReceived(self, data): self.transport.sendBytesMessage(data)
    def pongReceived(self, payload): pass
    def connectionLost(self, reason): lost.append(1)

def resource():
    root = Resource()
    for function in (echo, later, never, fail, large, visits):
        root.putChild(function.__name__.encode(), Leaf(function))
    root.putChild(b"lost", Leaf(lambda request: b"%d" % len(lost)))
    root.putChild(b"waiting", Leaf(lambda request: b"%d" % len(waiting)))
    root.putChild(b"socket", WebSocketResource(Echo()))
    root.putChild(b"", Data(b"hello", "text/plain"))
    return root

def application(environ, start_response):
    path = environ["PATH_INFO"]
    def start(kind="text/plain", status="200 OK", *more):
        return start_response(status, [("Content-Type", kind), *more])
    if path == "/":
        start()
        return [b"hello"]
    if path == "/echo":
        start("application/json")
        secure = environ["wsgi.url_scheme"] == "https"
        said = dict(method=environ["REQUEST_METHOD"], query=environ["QUERY_STRING"], secure=secure,
            client=environ["REMOTE_ADDR"], size=len(environ["wsgi.input"].read()), host=environ["SERVER_NAME"])
        return [json.dumps(said).encode()]
    if path == "/fail":
        raise RuntimeError("the secret")
    if path == "/large":
        start("application/octet-stream", "200 OK", ("Content-Length", str(LARGE)))
        return blocks()
    start("text/plain", "404 Not Found")
    return []

def blocks():
    try:
        for _ in range(LARGE // 65536):
            yield bytes(65536)
    except GeneratorExit:
        lost.append(1)
        raise
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HTTPServer]:
    """The program with a site for each kind."""
    folder = tmp_path_factory.mktemp("programs")
    (folder / "operators.py").write_text(PROGRAMS.replace("{large}", str(LARGE)))
    pki = Pki("ca")
    files = pki.issue(folder, *BOTH)
    sites = [
        site_table(files, names=[WEB], resource="operators:resource", max_body=4 * MIB),
        site_table(files, names=[WSGI], wsgi="operators:application", max_body=4 * MIB),
    ]
    with http_server(pki, folder, *sites, PYTHONPATH=f"{folder}:{Path(__file__).parents[2]}") as running:
        yield running
        running.program.stop()
    pki.close()


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", BOTH)
class TestBoth:
    def test_a_page(self, server: HTTPServer, name: str, version: str) -> None:
        """It has a length, the server's fields, and one of each."""
        answer = server.curl("/", name=name, version=version)
        assert (answer.status, answer.body) == (200, b"hello")
        assert (answer.fields["content-length"], answer.fields["content-type"]) == ("5", "text/plain")
        assert answer.fields["server"] == "staplesrv"

    def test_head(self, server: HTTPServer, name: str, version: str) -> None:
        """It is the same without the body."""
        answer = server.curl("/", "--head", name=name, version=version)
        assert (answer.status, answer.fields["content-length"]) == (200, "5")

    @pytest.mark.parametrize("size", [0, 3, 200_000, 4 * MIB])
    @pytest.mark.parametrize("chunked", [False, True])
    def test_a_body(
        self, server: HTTPServer, tmp_path: Path, name: str, version: str, size: int, *, chunked: bool
    ) -> None:
        """It is complete when the program sees it, with or without a length."""
        path = tmp_path / "body"
        path.write_bytes(bytes(size))
        options = ["-H", "Content-Type: x/y", "--data-binary", f"@{path}"]
        if chunked:
            # Without a length over HTTP/2, too.
            options = ["-T", "-", "-X", "POST", "-H", "Content-Type: x/y"]
            command = curl_command(server.folder, name, server.port, version)
            done = subprocess.run(
                [*command, *options, f"https://{name}:{server.port}/echo?a=1"],
                input=bytes(size),
                capture_output=True,
                check=True,
            )
            said = done.stdout
        else:
            said = server.curl("/echo?a=1", *options, name=name, version=version).body
        assert f'"size": {size},'.encode() in said
        assert b'"method": "POST"' in said
        assert b'"secure": true, "client": "127.0.0.1"' in said
        assert f'"host": "{name}"'.encode() in said

    def test_a_body_that_is_too_large(self, server: HTTPServer, tmp_path: Path, name: str, version: str) -> None:
        """It is 413, and the program sees nothing of it."""
        path = tmp_path / "body"
        path.write_bytes(bytes(4 * MIB + 1))
        assert server.curl("/echo", "--data-binary", f"@{path}", name=name, version=version).status == 413

    def test_a_failure(self, server: HTTPServer, name: str, version: str) -> None:
        """The client is told no more than that; the log has the rest."""
        answer = server.curl("/fail", name=name, version=version)
        assert answer.status == 500
        assert b"secret" not in answer.body
        assert "RuntimeError: the secret" in server.program.output()

    @pytest.mark.parametrize("target", ["/%00", "/a%00b", "/%2e%2e%00"])
    def test_a_nul_in_the_path(self, server: HTTPServer, name: str, version: str, target: str) -> None:
        """It is 400, and no error of the program's."""
        before = server.program.output().count("Traceback")
        assert server.curl(target, name=name, version=version).status == 400
        assert server.program.output().count("Traceback") == before

    def test_a_large_body_at_the_pace_of_the_client(self, small: HTTPServer, name: str, version: str) -> None:
        """What a slow client has not taken is not made yet; it comes whole."""
        answer = small.curl("/large", "--limit-rate", "80M", name=name, version=version)
        assert len(answer.body) == LARGE

    def test_a_client_that_leaves_a_large_body(self, server: HTTPServer, name: str, version: str) -> None:
        """Who makes it is told."""
        before = _lost(server)
        options = ["--output", "/dev/null", "--limit-rate", "100K", "--max-time", "1"]
        command = curl_command(server.folder, name, server.port, version)
        subprocess.run([*command, *options, f"https://{name}:{server.port}/large"], capture_output=True, check=False)
        wait_until(lambda: _lost(server) > before, "the end of it")


@pytest.mark.parametrize("version", VERSIONS)
class TestResources:
    def test_a_form(self, server: HTTPServer, version: str) -> None:
        """Its arguments join those of the target."""
        options = ["-F", "b=2", "-F", "c=@/dev/null"]
        for form in (["--data", "b=2&c="], options):
            said = server.curl("/echo?a=1", *form, name=WEB, version=version).body
            assert b'"args": [["a", "1"], ["b", "2"], ["c", ""]]' in said

    def test_an_answer_that_takes_its_time(self, server: HTTPServer, version: str) -> None:
        """It comes in pieces."""
        answer = server.curl("/later", name=WEB, version=version)
        assert (answer.body, "content-length" in answer.fields) == (b"begun, and done", False)

    def test_a_client_that_does_not_wait(self, server: HTTPServer, version: str) -> None:
        """`notifyFinish` fails."""
        before = _lost(server)
        command = [*curl_command(server.folder, WEB, server.port, version), f"https://{WEB}:{server.port}/never"]
        # Not in order: a client that has said goodbye over HTTP/1.1 may still wait for its answer.
        with subprocess.Popen(command) as client:
            wait_until(lambda: b"1" in server.curl("/waiting", name=WEB).body, "the request")
            client.kill()
        wait_until(lambda: _lost(server) > before, "the end of it")

    def test_a_session(self, server: HTTPServer, tmp_path: Path, version: str) -> None:
        """It is found again by its cookie, which is for https alone."""
        jar = str(tmp_path / "jar")
        for count in (1, 2, 3):
            answer = server.curl("/visits", "-c", jar, "-b", jar, name=WEB, version=version)
            assert answer.body == b"%d" % count
        assert "TRUE" in Path(jar).read_text().splitlines()[-1]

    def test_many_requests_down_one_connection(self, server: HTTPServer, version: str) -> None:
        """One answer each, in order."""
        urls = [f"https://{WEB}:{server.port}/echo?a={number}" for number in range(30)]
        command = [*curl_command(server.folder, WEB, server.port, version), *urls]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert [f'["a", "{number}"]' in part for number, part in enumerate(said.split("}{"))] == [True] * 30


def test_websocket(server: HTTPServer) -> None:
    """Twisted's own resource speaks it."""
    trust = ssl.create_default_context(cafile=str(server.folder / "root.pem"))
    address = ("127.0.0.1", server.port)
    with connect(f"wss://{WEB}:{server.port}/socket", address=address, proxy=None, ssl=trust, max_size=None) as one:
        for message in ("text", b"bytes", bytes(MIB)):
            one.send(message)
            assert one.recv(timeout=20) == message
    wait_until(lambda: _lost(server), "the end of it")


def _lost(server: HTTPServer) -> int:
    return int(server.curl("/lost", name=WEB).body)
