"""What an operator may say about a site's files, and how they are loaded."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from staplesrv.errors import OperatorError
from staplesrv.staples.settings import Settings
from staplesrv.testing import CertificateAuthority
from staplesrv.tls.client_policy import ClientPolicy
from staplesrv.tls.loaded import load_site
from staplesrv.tls.site import SiteCertificate

CA = CertificateAuthority()


def test_paths_become_tuples() -> None:
    """One path, text or several are all kept as tuples of paths."""
    one = SiteCertificate("a.pem", Path("b.pem"), names=["x"], staple_file="s.der")
    assert one.certificate == (Path("a.pem"),)
    assert one.private_key == (Path("b.pem"),)
    assert one.names == ("x",)
    assert one.staple_file == (Path("s.der"),)
    assert SiteCertificate(["a", Path("b")], ["c", "d"]).certificate == (Path("a"), Path("b"))


def test_key_beside_the_certificate() -> None:
    """Without a key's file the key is in the certificate's."""
    assert SiteCertificate("a.pem").private_key == (Path("a.pem"),)
    assert SiteCertificate("a.pem").files == (Path("a.pem"),)


def test_equal_and_hashable() -> None:
    """Equal sites are equal keys."""
    assert len({SiteCertificate("a"), SiteCertificate(Path("a")), SiteCertificate("b")}) == 2


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        ({"certificate": []}, "certificate"),
        ({"certificate": ["a", "b"], "private_key": ["c"]}, "private_key"),
        ({"certificate": "a", "private_key": ["c", "d"]}, "private_key"),
        ({"certificate": ["a", "b"], "private_key": ["c", "d"], "staple_file": "s"}, "staple_file"),
        ({"certificate": "a", "must_staple": "yes"}, "must_staple"),
        ({"certificate": "a", "client_auth": "yes"}, "client_auth"),
        ({"certificate": "a", "client_auth": "require"}, "client_auth"),
        ({"certificate": "a", "client_auth": "request"}, "client_auth"),
    ],
)
def test_numbers_agree(arguments: dict[str, object], key: str) -> None:
    """Numbers of files that don't agree, and unknown choices, are errors that name the key."""
    with pytest.raises(OperatorError) as caught:
        SiteCertificate(**arguments)  # type: ignore[arg-type]
    assert caught.value.key == key


def test_a_clients_ca_is_meant() -> None:
    """What is left out never opens a site; switched off the file is not even looked at."""
    assert SiteCertificate("a").client_auth == "off"
    guarded = SiteCertificate("a", client_ca=["b", "c"])
    assert (guarded.client_auth, guarded.files) == ("require", (Path("a"), Path("b"), Path("c")))
    off = SiteCertificate("a", client_ca="b", client_auth="off")
    assert (off.client_auth, off.files) == ("off", (Path("a"),))


class TestLoading:
    def test_two_kinds(self, tmp_path: Path) -> None:
        """RSA and ECDSA load side by side, each with its assignment and its staple file."""
        rsa = CA.issue("a", key="rsa", responder_urls=["http://r"]).write(tmp_path, prefix="rsa-")
        ecdsa = CA.issue("a", must_staple=True).write(tmp_path, prefix="ec-")
        site = SiteCertificate(
            [rsa.certificate, ecdsa.certificate], [rsa.private_key, ecdsa.private_key], staple_file=["1", "2"]
        )
        loaded = load_site(site, Settings())
        assert [one.must_staple for one in loaded.assignments] == [False, True]
        assert [one.staple_file for one in loaded.assignments] == [Path("1"), Path("2")]
        assert loaded.assignments[0].responder_urls == ("http://r/",)
        assert loaded.assignments[0].target is not None
        assert [one.fingerprint for one in loaded.assignments] == [one.fingerprint for one in loaded.bundles]

    def test_one_kind_twice(self, tmp_path: Path) -> None:
        """Two certificates of one kind of key are an error: a context holds one of each."""
        first = CA.issue("a").write(tmp_path, prefix="1")
        second = CA.issue("b").write(tmp_path, prefix="2")
        site = SiteCertificate([first.certificate, second.certificate], [first.private_key, second.private_key])
        with pytest.raises(OperatorError, match=r"has an ECDSA key, as .*1fullchain\.pem of the same site has"):
            load_site(site, Settings())

    def test_swapped_keys(self, tmp_path: Path) -> None:
        """Keys in the other order than their certificates don't fit."""
        first = CA.issue("a").write(tmp_path, prefix="1")
        second = CA.issue("b", key="rsa").write(tmp_path, prefix="2")
        site = SiteCertificate([first.certificate, second.certificate], [second.private_key, first.private_key])
        with pytest.raises(OperatorError, match="does not fit"):
            load_site(site, Settings())

    def test_issuer_file(self, tmp_path: Path) -> None:
        """The issuer's own file makes a question possible where the chain lacks it."""
        leaf = CA.issue("a")
        files = leaf.write(tmp_path)
        files.certificate.write_bytes(leaf.fullchain_pem[: leaf.fullchain_pem.index(b"-----END") + 26])
        (tmp_path / "ca.pem").write_bytes(CA.pem)
        assert load_site(SiteCertificate(*files), Settings()).assignments[0].target is None
        site = SiteCertificate(*files, issuer=tmp_path / "ca.pem")
        assert load_site(site, Settings()).assignments[0].target is not None
        assert site.files[-1] == tmp_path / "ca.pem"

    def test_unchanged(self, tmp_path: Path) -> None:
        """Unchanged files give the known object back; changed ones, or another site, do not."""
        site = SiteCertificate(*CA.issue("a").write(tmp_path))
        known = load_site(site, Settings())
        assert load_site(site, Settings(), known=known) is known
        assert load_site(SiteCertificate(*site.files, names=["b"]), Settings(), known=known) is not known
        CA.issue("a").write(tmp_path)
        assert load_site(site, Settings(), known=known) is not known

    def test_a_clients_ca(self, tmp_path: Path) -> None:
        """Its certificates are the policy's; another file makes another site, the same one does not."""
        (tmp_path / "clients.pem").write_bytes(CA.pem)
        files = CA.issue("a").write(tmp_path)
        site = SiteCertificate(*files, client_ca=tmp_path / "clients.pem", client_auth="request")
        known = load_site(site, Settings())
        assert known.client == ClientPolicy(False, (CA.certificate.public_bytes(Encoding.DER),))
        assert load_site(SiteCertificate(*files), Settings()).client is None
        assert load_site(site, Settings(), known=known) is known
        (tmp_path / "clients.pem").write_bytes(CertificateAuthority("other").pem)
        assert load_site(site, Settings(), known=known).client != known.client

    def test_bad_responder(self, tmp_path: Path) -> None:
        """A responder that is no URL is an operator's error."""
        site = SiteCertificate(*CA.issue("a").write(tmp_path), responder="ftp://x")
        with pytest.raises(OperatorError):
            load_site(site, Settings())
