"""A TLS server and library on Twisted that staples a fresh OCSP response to every handshake.

The public names; each is imported when it is first used, so that `import staplesrv` costs nothing and installs no
reactor.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from staplesrv.errors import NotIssuedBy, OperatorError, ResponderError, StaplesrvError
    from staplesrv.server.http_site import HTTPSite
    from staplesrv.staples.settings import Settings
    from staplesrv.tls.bound_ports import BoundPorts
    from staplesrv.tls.context_factory import ContextFactory
    from staplesrv.tls.endpoint import StapleServerEndpoint
    from staplesrv.tls.limits import Limits
    from staplesrv.tls.reload import Reloaded
    from staplesrv.tls.site import SiteCertificate
    from staplesrv.tls.stapler import Stapler

__all__ = [
    "BoundPorts",
    "ContextFactory",
    "HTTPSite",
    "Limits",
    "NotIssuedBy",
    "OperatorError",
    "Reloaded",
    "ResponderError",
    "Settings",
    "SiteCertificate",
    "StapleServerEndpoint",
    "Stapler",
    "StaplesrvError",
    "__version__",
]

_HOMES = {
    "BoundPorts": "staplesrv.tls.bound_ports",
    "ContextFactory": "staplesrv.tls.context_factory",
    "HTTPSite": "staplesrv.server.http_site",
    "Limits": "staplesrv.tls.limits",
    "NotIssuedBy": "staplesrv.errors",
    "OperatorError": "staplesrv.errors",
    "Reloaded": "staplesrv.tls.reload",
    "ResponderError": "staplesrv.errors",
    "Settings": "staplesrv.staples.settings",
    "SiteCertificate": "staplesrv.tls.site",
    "StapleServerEndpoint": "staplesrv.tls.endpoint",
    "Stapler": "staplesrv.tls.stapler",
    "StaplesrvError": "staplesrv.errors",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(home), name)
    return value
