"""Which site answers: by Host among those that share the certificate, 421 otherwise; and what listens without TLS."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest
from functional.harness import Pki, free_port, need
from functional.http_server import VERSIONS, HTTPServer, http_server, site_table

CHALLENGE = "token-1_2.thumbprint"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HTTPServer]:
    """Sites one.test and two.test with one certificate, other.test with another, old.test that has moved."""
    folder = tmp_path_factory.mktemp("routing")
    for name in ("one", "two", "other", "shared", "challenges"):
        (folder / name).mkdir()
        (folder / name / "index.html").write_text(f"this is {name}")
    (folder / "challenges" / "token-1_2").write_text(CHALLENGE)
    pki = Pki("ca")
    shared = pki.issue(folder / "shared", "one.test", "two.test", "old.test")
    other = pki.issue(folder / "other", "other.test", "*.other.test")
    tables = [
        site_table(shared, names=["one.test"], static=folder / "one"),
        site_table(shared, names=["two.test"], static=folder / "two"),
        site_table(other, static=folder / "other", headers={"X-Site": "other"}),
        site_table(shared, names=["old.test"], redirect="https://one.test/new"),
    ]
    plain = free_port()
    listener = (
        f'[[listeners]]\nendpoint = "tcp:{plain}:interface=127.0.0.1"\ntls = "off"\n'
        f'acme_challenges = "{folder / "challenges"}"\n'
    )
    with http_server(pki, folder, *tables, listener) as running:
        running.plain = plain
        yield running
        running.program.stop()
        assert "Traceback" not in running.program.output()
    pki.close()


@pytest.mark.parametrize("version", VERSIONS)
class TestHosts:
    @pytest.mark.parametrize(
        ("name", "page"),
        [("one.test", "one"), ("two.test", "two"), ("other.test", "other"), ("a.other.test", "other")],
    )
    def test_each_site(self, server: HTTPServer, version: str, name: str, page: str) -> None:
        """A site answers to its names, and to a wildcard's."""
        assert server.curl("/", name=name, version=version).body == f"this is {page}".encode()

    @pytest.mark.parametrize("host", ["two.test", "TWO.test", "two.test:443", "two.test."])
    def test_a_site_with_the_same_certificate(self, server: HTTPServer, version: str, host: str) -> None:
        """RFC 9113 §9.1.1: a connection for one name serves another one that its certificate is for."""
        answer = server.curl("/", "-H", f"Host: {host}", name="one.test", version=version)
        assert (answer.status, answer.body) == (200, b"this is two")

    def test_a_site_with_another_certificate(self, server: HTTPServer, version: str) -> None:
        """RFC 9110 §15.5.20: 421, whichever way round."""
        for name, host in (("one.test", "other.test"), ("other.test", "two.test"), ("other.test", "one.test")):
            answer = server.curl("/", "-H", f"Host: {host}", name=name, version=version)
            assert (answer.status, b"this is" in answer.body) == (421, False)

    def test_a_host_that_is_nobodys(self, server: HTTPServer, version: str) -> None:
        """Unknown names are the first site's, as its certificate is in the handshake for them."""
        assert server.curl("/", "--insecure", name="nobody.test", version=version).body == b"this is one"

    def test_a_site_s_own_fields(self, server: HTTPServer, version: str) -> None:
        """Fields of one site are in its answers, whatever their status, and in no other's."""
        assert server.curl("/none", name="other.test", version=version).fields["x-site"] == "other"
        assert "x-site" not in server.curl("/", name="one.test", version=version).fields

    def test_a_site_that_has_moved(self, server: HTTPServer, version: str) -> None:
        """It sends clients on, with path and query; 308 has other methods asked again as they are."""
        answer = server.curl("/a/b?c", name="old.test", version=version)
        assert (answer.status, answer.fields["location"]) == (301, "https://one.test/new/a/b?c")
        assert server.curl("/a", "--data", "x", name="old.test", version=version).status == 308


class TestWithoutTLS:
    def ask(self, server: HTTPServer, target: str, *options: str) -> str:
        """What curl shows of an answer over plain HTTP: head and body."""
        command = [need("curl"), "--silent", "--include", "--path-as-is", "--max-time", "20", *options]
        resolve = ["--resolve", f"one.test:{server.plain}:127.0.0.1", f"http://one.test:{server.plain}{target}"]
        return subprocess.run([*command, *resolve], capture_output=True, text=True, check=True).stdout

    def test_everything_moves_to_https(self, server: HTTPServer) -> None:
        """Whatever is asked for without TLS is found with TLS."""
        said = self.ask(server, "/a?b=c")
        assert said.startswith("HTTP/1.1 301")
        assert "Location: https://one.test" in said
        assert "/a?b=c\n" in said

    @pytest.mark.parametrize("host", ["bad host", "a/b", 'a"b', "a@b", ""])
    def test_a_host_that_is_none(self, server: HTTPServer, host: str) -> None:
        """Nobody is sent to where no host is."""
        assert "HTTP/1.1 400" in self.ask(server, "/", "-H", f"Host: {host}" if host else "Host;")

    def test_a_challenge(self, server: HTTPServer) -> None:
        """RFC 8555 §8.3: what answers a certificate authority's challenge comes out of the folder, and nothing else."""
        assert self.ask(server, "/.well-known/acme-challenge/token-1_2").endswith(CHALLENGE)
        for target in ("none", "index.html", "../index.html", "%74oken-1_2/", "..%2findex.html", ""):
            assert CHALLENGE not in self.ask(server, f"/.well-known/acme-challenge/{target}")
            assert "this is" not in self.ask(server, f"/.well-known/acme-challenge/{target}")
