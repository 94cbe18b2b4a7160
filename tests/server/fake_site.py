"""Sites without certificates, as tables see them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from staplesrv.tls.client_policy import ClientPolicy
from staplesrv.tls.site import SiteCertificate


@dataclass(frozen=True)
class FakeLoaded:
    """What a fake site's files say."""

    certificate: SiteCertificate


@dataclass(frozen=True, eq=False)
class FakeSite:
    """A site as hosts see it."""

    loaded: FakeLoaded
    names: tuple[str, ...]
    implied_names: tuple[str, ...] = ()
    where: str = "fake"
    client: ClientPolicy | None = None


def fake_site(*names: str, file: str = "", client: ClientPolicy | None = None) -> FakeSite:
    """A site with these names, and the certificate file of its first name unless another is given."""
    return FakeSite(FakeLoaded(SiteCertificate(Path(file or names[0]), names=names)), names, client=client)
