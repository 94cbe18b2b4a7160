"""The configuration as a whole, and its sites."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from staplesrv.errors import OperatorError
from staplesrv.ops.admin_address import AdminAddress
from staplesrv.rates import Rate
from staplesrv.server.config import Configuration, build, load
from staplesrv.server.configuration.access_log_table import AccessLogSettings
from staplesrv.server.configuration.content import Folder, Resource
from staplesrv.server.configuration.listener import Listener
from staplesrv.server.configuration.place import Place
from staplesrv.staples.settings import Settings
from staplesrv.testing import LeafFiles
from staplesrv.tls.limits import Limits
from staplesrv.tls.site import SiteCertificate

SITE = 'certificate = "fullchain.pem"\nprivate_key = "privkey.pem"\nstatic = "www"\n'
ONE_SITE = f'listen = "tcp:443"\n[[sites]]\n{SITE}'

Read = Callable[[str], Configuration]
Refuse = Callable[[str], str]


@pytest.fixture
def read(tmp_path: Path, files: LeafFiles, monkeypatch: pytest.MonkeyPatch) -> Read:
    """Reads a configuration that lies beside a certificate, its key and a folder."""
    monkeypatch.chdir(tmp_path)

    def reading(text: str) -> Configuration:
        (tmp_path / "a.toml").write_text(text)
        return load(Path("a.toml"))

    return reading


@pytest.fixture
def refuse(read: Read, tmp_path: Path) -> Refuse:
    """Reads a configuration that can't be used; what is said, with paths as they were written."""

    def refusing(text: str) -> str:
        with pytest.raises(OperatorError) as caught:
            read(text)
        said = str(caught.value)
        assert said.startswith("a.toml: ")
        return said.removeprefix("a.toml: ").replace(f"{tmp_path}/", "")

    return refusing


def test_the_smallest_configuration(read: Read, tmp_path: Path) -> None:
    """One listener, one site; names come from the certificate, all else has its default."""
    got = read(ONE_SITE)
    assert got.listeners == (Listener("tcp:443"),)
    (site,) = got.sites
    assert site.certificate == SiteCertificate(tmp_path / "fullchain.pem", tmp_path / "privkey.pem")
    assert site.content == Folder(tmp_path / "www")
    assert (site.fields, site.max_body) == ((), 1024 * 1024)
    assert got.access_log is None
    assert got.settings == Settings()
    assert got.limits == Limits()
    assert got.drain == 30
    assert got.state_dir is None
    assert got.file == tmp_path / "a.toml"


def test_without_a_listener_it_is_a_port_without_privileges(read: Read) -> None:
    """The same as on the command line."""
    assert read(f"[[sites]]\n{SITE}").listeners == (Listener("tcp:8443"),)


def test_everything_at_once(read: Read, tmp_path: Path) -> None:
    """Every key of this version."""
    for name in ("rsa.pem", "rsa.key"):
        shutil.copy(tmp_path / "fullchain.pem", tmp_path / name)
    got = read(
        """
        listen = ["tcp:443", "tcp:444"]
        workers = 1
        drain = 2.5
        state_dir = "state"
        [access_log]
        file = "access.log"
        format = "json"
        [staples]
        start_wait = 3
        [limits]
        handshakes = 100
        [[sites]]
        names = ["example.org", "*.example.org", "192.0.2.1", "bücher.example"]
        certificate = ["fullchain.pem", "rsa.pem"]
        private_key = ["privkey.pem", "rsa.key"]
        resource = "package.module:attribute"
        staple_file = ["a.der", "b.der"]
        responder = "http://ocsp.internal"
        must_staple = "refuse"
        issuer = "rsa.pem"
        [[sites]]
        certificate = "fullchain.pem"
        static = "www"
        responder = ""
        max_body = 0
        request_rate = 2.5
        request_burst = 20
        [sites.headers]
        Strict-Transport-Security = "max-age=63072000"
        [[listeners]]
        endpoint = "tcp:8443"
        tls = "modern"
        protocols = ["http/1.1"]
        """
    )
    assert [one.endpoint for one in got.listeners] == ["tcp:443", "tcp:444", "tcp:8443"]
    assert got.listeners[2].tls == "modern"
    assert got.state_dir == tmp_path / "state"
    assert got.drain == 2.5
    assert got.settings.start_wait.total_seconds() == 3
    assert got.limits == Limits(handshakes=100)
    first, second = got.sites
    assert first.certificate == SiteCertificate(
        (tmp_path / "fullchain.pem", tmp_path / "rsa.pem"),
        (tmp_path / "privkey.pem", tmp_path / "rsa.key"),
        names=("example.org", "*.example.org", "192.0.2.1", "bücher.example"),
        issuer=tmp_path / "rsa.pem",
        responder="http://ocsp.internal/",
        staple_file=(tmp_path / "a.der", tmp_path / "b.der"),
        must_staple="refuse",
    )
    assert first.content == Resource("package.module:attribute")
    assert second.fields == ((b"Strict-Transport-Security", b"max-age=63072000"),)
    assert second.max_body is None
    assert (first.request_rate, second.request_rate) == (None, Rate(2.5, 20))
    assert got.access_log == AccessLogSettings(tmp_path / "access.log", "json")
    assert second.certificate.private_key == second.certificate.certificate
    assert second.certificate.responder == ""


def test_relative_paths_count_from_the_file(read: Read, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not from where somebody happens to be."""
    read(ONE_SITE)
    monkeypatch.chdir("/")
    assert load(tmp_path / "a.toml").sites[0].content == Folder(tmp_path / "www")


def test_absolute_paths_stay(read: Read, tmp_path: Path) -> None:
    """As they are."""
    assert read(ONE_SITE.replace('"www"', f'"{tmp_path}/www"')).sites[0].content == Folder(tmp_path / "www")


def test_links_are_not_resolved(read: Read, tmp_path: Path) -> None:
    """Renewers point them at other files later."""
    (tmp_path / "live.pem").symlink_to("fullchain.pem")
    got = read(ONE_SITE.replace("fullchain.pem", "live.pem"))
    assert got.sites[0].certificate.certificate == (tmp_path / "live.pem",)


def test_reading_again_reads_the_file_again(read: Read, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From wherever the process is by then: twistd changes directory."""
    got = read(ONE_SITE)
    (tmp_path / "a.toml").write_text(ONE_SITE.replace("443", "444"))
    monkeypatch.chdir("/")
    again = got.again()
    assert again.listeners == (Listener("tcp:444"),)
    (tmp_path / "a.toml").write_text("listen = 1")
    with pytest.raises(OperatorError, match=r"^a\.toml: listen: is 1"):
        again.again()


def test_what_came_from_options_is_the_same_again(files: LeafFiles, tmp_path: Path) -> None:
    """There is no file to read."""
    site = {"certificate": str(files.certificate), "static": "www"}
    got = build({"listen": "tcp:1", "sites": [site]}, Place("options"), tmp_path)
    assert got.again() is got


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "sites: there is none; add a [[sites]] with certificate, private_key and static"),
        ("listen = []", 'listen: is empty; name an endpoint, as in listen = "tcp:443"'),
        ("listen = []\nlisteners = []", 'listen: is empty; name an endpoint, as in listen = "tcp:443"'),
        ('listen = "tcp:1"', "sites: there is none; add a [[sites]] with certificate, private_key and static"),
        ('listen = ["tcp:1", "tcp:1"]', "listen: tcp:1 is there twice; keep one of them"),
        (
            '[[listeners]]\nendpoint = "tcp:1"\ntls = "off"',
            (
                'listen: every listener has tls = "off", so that no site is served; '
                'add one with TLS, as in listen = "tcp:443"'
            ),
        ),
        ("listen = [", "is not TOML: Invalid value (at end of document); mend it there"),
        (f"{ONE_SITE}[staples]\ntimeout = -1", "[staples]: timeout: is negative; give a number of seconds"),
        (
            f"{ONE_SITE}[limits]\nconnections = 0",
            "[limits]: connections: is not above zero; use a number of connections",
        ),
        (f"handshakes = 5\n{ONE_SITE}", "handshakes: does not belong here; move it into [limits]"),
        (f"drain = -1\n{ONE_SITE}", "drain: is out of range; use from 0 to 86400 seconds"),
        (f"drain = nan\n{ONE_SITE}", "drain: is out of range; use from 0 to 86400 seconds"),
        (f'drain = "1"\n{ONE_SITE}', "drain: is '1'; give a number of seconds"),
        (f'state_dir = ""\n{ONE_SITE}', "state_dir: is empty; name a directory, or leave the key out"),
        (
            f'state_dir = "privkey.pem"\n{ONE_SITE}',
            "state_dir: privkey.pem: is a file, not a directory; name the directory that it is in",
        ),
    ],
)
def test_a_mistake_in_the_file_is_one_line(refuse: Refuse, text: str, said: str) -> None:
    """File, key, what is wrong, what to do."""
    assert refuse(text) == said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('certificate = "nope.pem"', "certificate: nope.pem: does not exist; check the path"),
        ('private_key = "www"', "private_key: www: is a directory; name a file in it"),
        ('private_key = ""', "private_key: is empty; give the path of a file"),
        ("certificate = []", "certificate: is empty; give the path of a file"),
        ('certificate = ["fullchain.pem", ""]', "certificate: is empty; give the path of a file"),
        ('issuer = "nope.pem"', "issuer: nope.pem: does not exist; check the path"),
        ('staple_file = "www"', "staple_file: www: is a directory; name a file in it"),
        ('static = "nope"', "static: nope: does not exist; check the path"),
        ('static = "a.toml"', "static: a.toml: is a file, not a directory; name the directory that it is in"),
        ('static = ""', "static: is empty; name the directory to serve"),
        ('resource = "a:b"', "resource: static is there too; keep one of them"),
        ("names = []", "names: is empty; name a host, or leave the key out: then the certificate's names count"),
        ('responder = "ftp://a/"', "responder: 'ftp://a/': is neither http nor https; give an http or https URL"),
        ('responder = "http://"', "responder: 'http://': has no host; give an http or https URL"),
        ("request_rate = -1", "request_rate: is out of range; use from 0.001 to 1000000 a second, or 0 for no limit"),
        ("request_rate = '1/s'", "request_rate: is '1/s'; give a number a second"),
        ("request_burst = 5", "request_burst: says nothing without request_rate; give both"),
        ('must_staple = "yes"', 'must_staple: is \'yes\'; give "serve" or "refuse"'),
        ('client_auth = "yes"', 'client_auth: is \'yes\'; give "off", "request" or "require"'),
        (
            'client_auth = "require"',
            """client_auth: is "require", but no CA is named; name the PEM file of the clients' CA as client_ca""",
        ),
        ("client_ca = []", "client_ca: is empty; give the path of a file"),
        ('client_ca = "none.pem"', "client_ca: none.pem: does not exist; check the path"),
        ('certificat = "a"', "certificat: unknown key; did you mean certificate?"),
        ('proxy = "http://a"', "proxy: static is there too; keep one of them"),
        ("max_body = -1", "max_body: is negative; give a number of bytes, or 0 for no limit"),
    ],
)
def test_a_mistake_in_a_site_names_the_site(refuse: Refuse, text: str, said: str) -> None:
    """By its number; a second key of the same name would be no TOML, so it replaces the first."""
    key = text.split(" ", maxsplit=1)[0]
    kept = [line for line in SITE.splitlines() if not line.startswith(f"{key} ")]
    assert refuse("\n".join(['listen = "tcp:443"', "[[sites]]", *kept, text])) == f"site 1: {said}"


def test_a_site_with_a_name_is_called_by_it(refuse: Refuse) -> None:
    """Its number says where it stands, its name which it is."""
    other = f'[[sites]]\nnames = ["b.example", "c.example"]\n{SITE}bad = 1'
    assert refuse(f"{ONE_SITE}{other}").startswith("site 2 (b.example): bad: unknown key;")


def test_a_bad_name_is_told(refuse: Refuse) -> None:
    """Spaces, empty labels, a wildcard in the middle."""
    for name in ("a b", "a..b", "a.*.b", "", "-" * 300):
        said = refuse(f'{ONE_SITE}names = ["ok.example", "{name}"]')
        assert said.startswith("site 1 (ok.example): names: ")
        assert said.endswith("; use DNS names, *.NAME or IP addresses")


def test_two_sites_with_one_name_are_refused(refuse: Refuse) -> None:
    """Case and a dot at the end make no difference to a client."""
    text = f'{ONE_SITE}names = ["x.example", "a.example"]\n[[sites]]\n{SITE}names = ["A.Example."]'
    assert refuse(text) == (
        "site 2 (A.Example.): names: A.Example. is also a name of site 1 (x.example); leave it to one of them"
    )


def test_one_address_may_be_a_name_of_two_sites(read: Read) -> None:
    """No client sends an address as a server name, so that nothing is in doubt."""
    text = f'{ONE_SITE}names = ["192.0.2.1"]\n[[sites]]\n{SITE}names = ["192.0.2.1"]'
    assert len(read(text).sites) == 2


def test_a_tunnel_has_application_protocols_of_its_own(read: Read, refuse: Refuse) -> None:
    """None unless some are named; other sites leave them to the listener."""
    tunnel = ONE_SITE.replace('static = "www"', 'tunnel = "tcp:127.0.0.1:5432"')
    assert read(tunnel).sites[0].certificate.protocols == ()
    assert read(f'{tunnel}protocols = ["postgresql"]').sites[0].certificate.protocols == (b"postgresql",)
    assert read(ONE_SITE).sites[0].certificate.protocols is None
    for name in ("", "x" * 256):
        said = refuse(f'{tunnel}protocols = ["{name}"]')
        assert said == "site 1: protocols: has a name that ALPN can't carry; use names of 1 to 255 bytes"


def test_numbers_of_files_must_agree(refuse: Refuse) -> None:
    """A key per certificate."""
    text = ONE_SITE.replace('"fullchain.pem"', '["fullchain.pem", "fullchain.pem"]')
    assert refuse(text).startswith("site 1: private_key: 2 certificates, but 1 private keys;")


def test_a_site_needs_something_to_serve(refuse: Refuse) -> None:
    """A folder, or anything else."""
    said = refuse(ONE_SITE.replace('static = "www"', ""))
    assert said == (
        "site 1: static: is missing; "
        "name the directory to serve, or give one of proxy, resource, wsgi, tunnel, redirect"
    )


@pytest.mark.parametrize("name", ["module", "module:", ":a", "a b:c", "a:b c", "a.:b", "1a:b", "a/b:c", "a:b:c"])
def test_a_resource_names_a_module_and_an_attribute(refuse: Refuse, name: str) -> None:
    """Anything else is told at once, without an import."""
    said = refuse(ONE_SITE.replace('static = "www"', f'resource = "{name}"'))
    assert said.endswith('names no attribute of a module; write it like "package.module:attribute"')


def test_a_staple_file_may_come_later(read: Read) -> None:
    """It is watched for."""
    assert read(f'{ONE_SITE}staple_file = "later.der"').sites[0].certificate.staple_file[0].name == "later.der"


def test_every_file_that_is_read_later_is_named_once(read: Read, tmp_path: Path) -> None:
    """For the question who can read them then."""
    more = 'staple_file = "later.der"\nissuer = "fullchain.pem"'
    names = ("a.toml", "fullchain.pem", "privkey.pem", "later.der", "www")
    assert read(f"{ONE_SITE}{more}").files == tuple(tmp_path / name for name in names)


def test_what_takes_a_restart_is_named(read: Read) -> None:
    """Sites and listeners do not, and any number of workers may become another one."""
    before = read(ONE_SITE)
    assert before.needs_restart_for(read(f'{ONE_SITE.replace("443", "444")}names = ["a.example"]')) == ()
    assert read(f"workers = 2\n{ONE_SITE}").needs_restart_for(read(f"workers = 3\n{ONE_SITE}")) == ()
    changed = read(
        'admin = "unix:a"\n'
        f'state_dir = "x"\nuser = "a"\ngroup = 5\n{ONE_SITE}[staples]\nnonce = true\n[limits]\nhandshakes = 9\n'
        '[http]\nfields = 50\n[access_log]\nfile = "a.log"'
    )
    keys = ("admin", "[access_log]", "[http]", "[limits]", "[staples]", "state_dir", "workers", "user", "group")
    assert before.needs_restart_for(changed) == keys
    kept = changed.as_far_as_reloaded(before)
    assert before.needs_restart_for(kept) == ()
    assert (changed.user, changed.group, kept.user, kept.workers) == ("a", "5", None, 1)


def test_the_admin_interface_has_a_place_of_its_own(read: Read, tmp_path: Path) -> None:
    """Relative to the file; there is none where nothing is said."""
    assert read(ONE_SITE).admin is None
    assert read(f'admin = "unix:a"\n{ONE_SITE}').admin == AdminAddress(path=tmp_path / "a")
    assert read(f'admin = "tcp:9443:interface=127.0.0.1"\n{ONE_SITE}').admin == AdminAddress("127.0.0.1", 9443)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('admin = "tcp:9443"', "admin: would be open to everybody, and asks nobody who they are; write tcp:9443:inter"),
        ("admin = 9443", 'admin: is 9443; give "tcp:PORT:interface=127.0.0.1" or "unix:PATH"'),
        (
            'admin = "tcp:9443:interface=127.0.0.1"\nlisten = "tcp:9443:interface=127.0.0.1"',
            "admin: is also listened on for clients; give it a place of its own",
        ),
    ],
)
def test_a_place_that_the_admin_interface_can_t_have(refuse: Refuse, text: str, said: str) -> None:
    """As strangers, or clients, would be there."""
    assert refuse(f"{text}\n[[sites]]\n{SITE}").startswith(said)


def test_an_error_about_a_file_is_explained_by_its_key(read: Read, tmp_path: Path) -> None:
    """What the stapler finds later names the file; the configuration knows which key led there."""
    got = read(f'{ONE_SITE}names = ["example.org"]')
    found = OperatorError(str(tmp_path / "privkey.pem"), "does not fit", "name the other key")
    assert str(got.explain(found)) == (
        f"a.toml: site 1 (example.org): private_key: {tmp_path}/privkey.pem: does not fit; name the other key"
    )
    names = OperatorError(str(tmp_path / "fullchain.pem"), "is taken", "leave it", key="names")
    assert got.explain(names).key == "site 1 (example.org): names"
    no_key = OperatorError(found.where, "is a certificate, not a private key", "name it", key="private_key")
    assert got.explain(no_key).key == "site 1 (example.org): private_key"


def test_an_error_about_something_else_stays(read: Read) -> None:
    """It says by itself where it belongs."""
    found = OperatorError("elsewhere", "is odd", "mend it")
    assert read(ONE_SITE).explain(found) is found


texts = (
    st.sampled_from(["tcp:443", "fullchain.pem", "www", "", "a\0b", "/", ".", "..", "\ud800", "x" * 300]) | st.text()
)
scalars = texts | st.integers() | st.floats() | st.booleans() | st.datetimes() | st.dates() | st.times()
values = scalars | st.lists(scalars, max_size=3) | st.dictionaries(texts, scalars, max_size=2)
site_keys = st.sampled_from(
    [
        *("certificate", "private_key", "names", "static", "resource", "issuer", "responder", "staple_file", "x"),
        *("files", "proxy", "backends", "wsgi", "tunnel", "send_proxy_protocol", "protocols", "redirect", "headers"),
        "max_body",
    ]
)
sites = st.dictionaries(site_keys, values, max_size=6).map(
    lambda site: {"certificate": "fullchain.pem", **({} if KINDS & site.keys() else {"static": "www"}), **site}
)
KINDS = {"static", "proxy", "resource", "wsgi", "tunnel", "redirect"}
tables = st.fixed_dictionaries(
    {},
    optional={
        "listen": st.just("tcp:443") | values,
        "sites": st.lists(sites, max_size=3) | values,
        "staples": st.dictionaries(st.sampled_from(["timeout", "no_proxy", "responders", "http_proxy"]), values)
        | values,
        "limits": st.dictionaries(st.sampled_from(["connections", "handshake_seconds"]), values) | values,
        "listeners": st.lists(st.dictionaries(st.sampled_from(["endpoint", "tls", "protocols"]), values)) | values,
        "state_dir": values,
        "workers": values,
    },
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(tables)
def test_any_tables_end_in_a_value_or_in_one_line(files: LeafFiles, table: dict[str, Any]) -> None:
    """Whatever stands in them, and whatever paths lead to."""
    try:
        assert isinstance(build(table, Place("a.toml"), files.certificate.parent), Configuration)
    except OperatorError as error:
        line = str(error)
        assert line.startswith("a.toml: ")
        assert "\n" not in line
