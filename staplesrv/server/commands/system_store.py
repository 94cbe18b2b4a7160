"""The certificates that this machine trusts, where the usual systems keep them in one file."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.utils import CryptographyDeprecationWarning

from staplesrv.server.commands import input_file
from staplesrv.staples import armour

BUNDLES: Final = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Alpine, Arch
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora, RHEL
    "/etc/ssl/ca-bundle.pem",  # openSUSE
    "/etc/ssl/cert.pem",  # macOS, the BSDs
)

VARIABLE: Final = "SSL_CERT_FILE"
"""What OpenSSL's programs look at first, and so do we."""


def anchors(
    environment: Mapping[str, str] = os.environ, bundles: Iterable[str] = BUNDLES
) -> tuple[x509.Certificate, ...]:
    """Read the first bundle that exists; none is no error, as then nobody is trusted.

    Raises:
        OperatorError: the file is there and can't be used.
    """
    named = environment.get(VARIABLE)
    chosen = named or next((bundle for bundle in bundles if Path(bundle).is_file()), None)
    if not chosen:
        return ()
    with warnings.catch_warnings():
        # Old roots have odd serial numbers: nothing that an operator could mend.
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        return tuple(input_file.read(chosen, armour.certificates))
