"""URLs out of certificates, redirects and configuration."""

from __future__ import annotations

import string
from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from staplesrv.staples.asking.url import MAX_URL, BadURL, WebURL, parse_host

LABELS = st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=10).map(lambda text: f"x{text}")
HOSTS = st.lists(LABELS, min_size=1, max_size=4).map(".".join)
PORTS = st.integers(1, 65535)
TARGETS = st.text("".join(map(chr, range(0x21, 0x7F))).replace("#", "").replace("\\", ""), max_size=40)
NASTY = st.text(
    st.one_of(st.sampled_from(list(":/?#[]@%.\\\t\r\n \x00\x7f0123456789abxé。①ß\u202e\ud800")), st.characters()),
    max_size=60,
)


def refused(text: str) -> str:
    """What is wrong with a URL."""
    with pytest.raises(BadURL) as caught:
        WebURL.parse(text)
    return caught.value.problem


class TestParse:
    """`WebURL.parse` takes http and https URLs with a host, and refuses everything else as data."""

    def test_a_bare_host_gets_a_port_and_a_path(self) -> None:
        """The scheme's own port and the path "/" are filled in."""
        assert WebURL.parse("http://ocsp.example") == WebURL("http", "ocsp.example", 80, "/")
        assert WebURL.parse("https://ocsp.example") == WebURL("https", "ocsp.example", 443, "/")

    def test_path_and_query_stay_as_they_are(self) -> None:
        """What is escaped stays escaped, the same way; dots and double slashes are not tidied up."""
        url = "http://ocsp.example:8080/a//b/../MFEw%2BTz%2f%3D?x=1&y=%20?"
        assert str(WebURL.parse(url)) == url

    def test_the_fragment_is_left_out(self) -> None:
        """A fragment is for the one who asks, and is not sent."""
        assert WebURL.parse("http://ocsp.example/a#b").target == "/a"

    def test_scheme_and_host_are_lower_case(self) -> None:
        """Equal URLs become equal values."""
        assert WebURL.parse("HTTP://OCSP.Example./") == WebURL.parse("http://ocsp.example")

    def test_an_internationalised_name_becomes_a_labels(self) -> None:
        """A host outside of ASCII is looked up under its A-labels."""
        assert WebURL.parse("http://bücher.example/").host == "xn--bcher-kva.example"

    def test_a_path_outside_of_ascii_is_escaped(self) -> None:
        """What can't stand in a request line is escaped as UTF-8."""
        assert WebURL.parse("http://a.example/é").target == "/%C3%A9"

    @pytest.mark.parametrize(
        ("url", "host", "netloc"),
        [
            ("http://192.0.2.1/", "192.0.2.1", "192.0.2.1"),
            ("http://[2001:DB8:0::1]/", "2001:db8::1", "[2001:db8::1]"),
            ("http://[::1]:81/", "::1", "[::1]:81"),
            ("https://[::1]:443/", "::1", "[::1]"),
        ],
    )
    def test_addresses_are_hosts(self, url: str, host: str, netloc: str) -> None:
        """IPv4 and IPv6 addresses are kept in their canonical form."""
        assert WebURL.parse(url).host == host
        assert WebURL.parse(url).netloc == netloc

    @pytest.mark.parametrize(
        "url",
        [
            "",
            "/",
            "ocsp.example",
            "//ocsp.example/",
            "ftp://ocsp.example/",
            "file:///etc/passwd",
            "ldap://ldap.example/cn=CA?cACertificate",
            "javascript:alert(1)",
            "http:ocsp.example",
            "http:/ocsp.example",
            "http://",
            "http:///path",
            "http://:80/",
            "http://user@ocsp.example/",
            "http://user:secret@ocsp.example/",
            "http://@ocsp.example/",
            "http://ocsp.example:0/",
            "http://ocsp.example:65536/",
            "http://ocsp.example:-1/",
            "http://ocsp.example:http/",
            "http://ocsp.example:8\u0660/",
            "http://ocsp.example/a b",
            " http://ocsp.example/",
            "http://ocsp.example/\r\nHost: other.example",
            "http://ocsp.example/\t",
            "http://ocsp.example/\x00",
            "http://ocsp.example\\@other.example/",
            "http://ocsp%2eexample/",
            "http://.ocsp.example/",
            "http://ocsp..example/",
            "http://-ocsp.example/",
            "http://ocsp.example\u202e/",
            "http://" + "a" * 64 + ".example/",
            "http://" + "a." * 127 + "example/",
            "http://127.1/",
            "http://0x7f000001/",
            "http://2130706433/",
            "http://192.0.2.256/",
            "http://[::1/",
            "http://[::1%25eth0]/",
            "http://[v1.x]/",
            "http://[192.0.2.1]/",
            "http://::1/",
            "http://ocsp.example/" + "a" * MAX_URL,
            "http://ocsp.example/" + "é" * 500,
            "http://\ud800.example/",
        ],
    )
    def test_anything_else_is_refused(self, url: str) -> None:
        """A URL that is not plainly one to ask is refused, with one line that says why."""
        assert refused(url)
        assert "\n" not in str(BadURL(url, "x"))
        assert len(str(BadURL(url, "x"))) < 1000

    @given(NASTY)
    def test_no_text_ends_in_anything_but_a_url_or_a_refusal(self, text: str) -> None:
        """Whatever the text, parsing gives a value or `BadURL`; and a value's text parses to itself."""
        for candidate in (text, f"http://{text}", f"https://ocsp.example{text}"):
            with suppress(BadURL):
                url = WebURL.parse(candidate)
                assert str(url).isascii()
                assert str(url).isprintable()
                assert " " not in str(url)
                assert WebURL.parse(str(url)) == url

    @given(NASTY)
    def test_every_refusal_fits_into_a_log(self, text: str) -> None:
        """A refusal is one printable line."""
        assert str(BadURL(text, "is nothing")).isprintable()

    @given(st.sampled_from(["http", "https"]), HOSTS, PORTS, TARGETS)
    def test_a_plain_url_is_taken_apart(self, scheme: str, host: str, port: int, target: str) -> None:
        """Scheme, host, port and target come out as they went in."""
        url = WebURL.parse(f"{scheme}://{host}:{port}/{target}")
        assert (url.scheme, url.host, url.port) == (scheme, host, port)
        assert url.target == f"/{target}".removesuffix("?")


class TestJoin:
    """`WebURL.join` resolves a Location header, as suspicious as `parse`."""

    BASE = WebURL.parse("http://ocsp.example:8080/a/b?c")

    @pytest.mark.parametrize(
        ("location", "url"),
        [
            ("https://other.example/x", "https://other.example/x"),
            ("//other.example/x", "http://other.example/x"),
            ("/x", "http://ocsp.example:8080/x"),
            ("x", "http://ocsp.example:8080/a/x"),
            ("?x", "http://ocsp.example:8080/a/b?x"),
            ("../../../x", "http://ocsp.example:8080/x"),
        ],
    )
    def test_relative_and_absolute(self, location: str, url: str) -> None:
        """RFC 3986's ways of saying where all work."""
        assert str(self.BASE.join(location)) == url

    @pytest.mark.parametrize(
        "location",
        [
            "file:///etc/passwd",
            "ftp://x/",
            "gopher://x",
            "http://u@x/",
            "\t/x",
            "/x\r\nA: b",
            "//[",
            "/" + "x" * MAX_URL,
        ],
    )
    def test_elsewhere_is_refused(self, location: str) -> None:
        """A redirect to where nobody goes is refused."""
        with pytest.raises(BadURL):
            self.BASE.join(location)

    @given(NASTY)
    @example("\ud800")
    def test_no_location_ends_in_anything_but_a_url_or_a_refusal(self, location: str) -> None:
        """Whatever a Location says, the outcome is http, https or `BadURL`."""
        with suppress(BadURL):
            assert self.BASE.join(location).scheme in {"http", "https"}


class TestParseHost:
    """`parse_host` is the rule for hosts alone, as it stands in settings."""

    def test_names_and_addresses(self) -> None:
        """Names are lower-cased, addresses canonical."""
        assert parse_host("OCSP.Example") == "ocsp.example"
        assert parse_host("::0001") == "::1"

    @given(NASTY)
    def test_no_text_ends_in_anything_but_a_host_or_a_refusal(self, text: str) -> None:
        """Whatever the text, the outcome is a host that parses to itself, or `BadURL`."""
        try:
            host = parse_host(text)
        except BadURL:
            return
        assert parse_host(host) == host
