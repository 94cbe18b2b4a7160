"""The `staplesrv` command of twistd. An instance and nothing else: whatever a dropin imports, every `twistd` pays for.

The module that is named here is imported when somebody asks for the command, and not before.
"""

from twisted.application.service import ServiceMaker

staplesrv_command = ServiceMaker(  # type: ignore[no-untyped-call]  # Twisted's has no annotations
    "staplesrv",
    "staplesrv.server.tap",
    "A TLS server that staples a fresh OCSP response to every handshake.",
    "staplesrv",
)
