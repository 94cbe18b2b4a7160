from __future__ import annotations

from pathlib import Path

import pytest

from staplesrv.errors import OperatorError
from staplesrv.server.commands.system_store import VARIABLE, anchors
from staplesrv.testing import CertificateAuthority

CA = CertificateAuthority()
OTHER = CertificateAuthority("other")


def test_the_first_bundle_that_exists_is_read(tmp_path: Path) -> None:
    """Systems keep it in different places."""
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes(CA.pem + OTHER.pem)
    assert anchors({}, [str(tmp_path / "none.pem"), str(bundle)]) == (CA.certificate, OTHER.certificate)


def test_the_variable_goes_first(tmp_path: Path) -> None:
    """As with OpenSSL's own programs."""
    bundle, named = tmp_path / "bundle.pem", tmp_path / "named.pem"
    bundle.write_bytes(CA.pem)
    named.write_bytes(OTHER.pem)
    assert anchors({VARIABLE: str(named)}, [str(bundle)]) == (OTHER.certificate,)


def test_without_a_bundle_nobody_is_trusted(tmp_path: Path) -> None:
    """That is no error."""
    assert anchors({}, [str(tmp_path)]) == ()


def test_a_bundle_that_is_named_and_missing_is_an_error(tmp_path: Path) -> None:
    """Somebody meant it to be used."""
    with pytest.raises(OperatorError, match=r"none\.pem"):
        anchors({VARIABLE: str(tmp_path / "none.pem")}, [])
