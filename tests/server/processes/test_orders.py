"""What goes down the channel comes out as it went in."""

from __future__ import annotations

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from staplesrv.server.config import Configuration, load
from staplesrv.server.processes import orders
from staplesrv.staples.cache import Reason
from staplesrv.testing import CertificateAuthority, LeafFiles
from staplesrv.tls.limits import Limits
from staplesrv.tls.loaded import load_site


def configuration(files: LeafFiles) -> Configuration:
    """A site with files, one with a backend, one that leads elsewhere."""
    file = files.certificate.parent / "a.toml"
    site = '[[sites]]\ncertificate = "fullchain.pem"\nprivate_key = "privkey.pem"\n'
    file.write_text(
        f'{site}static = "www"\nnames = ["a.example"]\nfiles = {{ cache_control = {{ "*" = "no-cache" }} }}\n'
        f'{site}proxy = ["http://127.0.0.1:1"]\nnames = ["b.example"]\nbackends = {{ trusted = ["10.0.0.0/8"] }}\n'
        f'{site}redirect = "https://a.example"\nnames = ["c.example"]\nheaders = {{ A = "b" }}\n'
    )
    return load(file)


def test_a_configuration(files: LeafFiles) -> None:
    """All of it is equal."""
    order = orders.Prepare(3, configuration(files), Limits(), (("tcp:443", 2),))
    assert orders.unpacked(orders.packed(order)) == order


def test_sites_with_certificates_and_keys(files: LeafFiles) -> None:
    """Keys too: a worker reads no files."""
    ours = configuration(files)
    loaded = load_site(ours.sites[0].certificate, ours.settings)
    got = orders.unpacked(orders.packed(orders.Show(((1, loaded), (2, None)), ())))
    assert isinstance(got, orders.Show)
    (_, site), second = got.sites
    assert second == (2, None)
    assert site is not None
    assert (site.certificate, site.digest) == (loaded.certificate, loaded.digest)
    assert site.bundles[0].pem == loaded.bundles[0].pem
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    key = site.bundles[0].private_key.public_key().public_bytes(*form)
    assert key == loaded.bundles[0].leaf.public_key().public_bytes(*form)


def test_staples(authority: CertificateAuthority) -> None:
    """Those that there are not, too."""
    order = orders.Renew((orders.Staple(b"f" * 32, None, Reason.REVOKED),))
    assert orders.unpacked(orders.packed(order)) == order
