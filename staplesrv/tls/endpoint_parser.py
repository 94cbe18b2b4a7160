r"""The `staple:` endpoint string: TLS with staples for any Twisted program, without a line of code.

staple:8443:certificate=fullchain.pem:privateKey=key.pem
staple:unix\:/run/site.sock:certificate=rsa.pem,ec.pem:privateKey=rsa-key.pem,ec-key.pem:mustStaple=refuse
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from twisted.internet.endpoints import quoteStringArgument
from twisted.internet.interfaces import IStreamServerEndpoint, IStreamServerEndpointStringParser
from twisted.plugin import IPlugin
from zope.interface import implementer

from staplesrv.errors import OperatorError

if TYPE_CHECKING:
    from staplesrv.tls.preset import PresetName
    from staplesrv.tls.site import ClientAuth, SiteCertificate

_SITE = ("certificate", "privateKey", "issuer", "responder", "stapleFile", "mustStaple", "clientCA", "clientAuth")
_LISTEN = ("interface", "backlog")
_OTHER = ("stateDir", "tls")
_PRESETS = ("intermediate", "modern")
_LISTS = ("certificate", "privateKey", "stapleFile", "clientCA")


@implementer(IPlugin, IStreamServerEndpointStringParser)
class StapleEndpointParser:
    """Makes an endpoint of `staple:WHERE:OPTION=VALUE...`.

    WHERE is a TCP port, or another endpoint description with its colons quoted. Options:

    - `certificate`: PEM file, leaf first; several with commas between them.
    - `privateKey`: its key; several in the same order. Left out, it is in the certificate's file.
    - `interface`, `backlog`: as with `tcp:`; every address, IPv4 and IPv6, and 1024 by default.
    - `stateDir`: a directory where staples survive restarts.
    - `responder`, `issuer`, `stapleFile`, `mustStaple`, `clientCA`, `clientAuth`: see `SiteCertificate`.
    - `tls`: `intermediate`, the default, or `modern`.
    """

    prefix = "staple"

    def parseStreamServer(self, reactor: Any, *args: Any, **kwargs: Any) -> IStreamServerEndpoint:
        """Parse; see `IStreamServerEndpointStringParser`. No file is read and nothing is bound.

        Raises:
            OperatorError: an option is missing, unknown, or has no such value.
        """
        _check_options(args, kwargs)
        # Late: Twisted loads this module to look for any endpoint that it does not know itself.
        from staplesrv.tls.endpoint import StapleServerEndpoint  # noqa: PLC0415 - see above
        from staplesrv.tls.stapler import Stapler  # noqa: PLC0415 - see above

        stapler = Stapler([_site(kwargs)], state_dir=kwargs.get("stateDir"), preset=_preset(kwargs), reactor=reactor)
        return StapleServerEndpoint(reactor, _description(args[0], kwargs), stapler, own_stapler=True)


def _check_options(args: tuple[str, ...], options: Mapping[str, str]) -> None:
    if len(args) != 1 or not args[0]:
        raise _bad("", "it needs one place to listen on", "write staple:PORT:certificate=FILE:privateKey=FILE")
    known = (*_SITE, *_LISTEN, *_OTHER)
    for option in options:
        if option not in known:
            near = difflib.get_close_matches(option, known, 1)
            raise _bad(
                option, "there is no such option", f"did you mean {near[0]}?" if near else f"use {', '.join(known)}"
            )
    if not options.get("certificate"):
        raise _bad("certificate", "is missing", "add certificate=FILE")


def _site(options: Mapping[str, str]) -> SiteCertificate:
    from staplesrv.tls.site import SiteCertificate  # noqa: PLC0415 - see parseStreamServer

    files = {
        option: [Path(part) for part in options[option].split(",") if part] if option in options else []
        for option in _LISTS
    }
    must_staple = options.get("mustStaple", "serve")
    if must_staple not in ("serve", "refuse"):
        raise _bad("mustStaple", f"{must_staple!r} is no choice", "use serve or refuse")
    if "clientCA" in options and not files["clientCA"]:
        # Out of a variable that is not set, perhaps; nobody should be let in for that.
        raise _bad("clientCA", "is empty", "name the PEM file of the clients' CA")
    client_auth = options.get("clientAuth")
    if client_auth not in (None, "off", "request", "require"):
        raise _bad("clientAuth", f"{client_auth!r} is no choice", "use off, request or require")
    return SiteCertificate(
        files["certificate"],
        files["privateKey"],
        issuer=options.get("issuer"),
        responder=options.get("responder"),
        staple_file=files["stapleFile"],
        must_staple=cast("Literal['serve', 'refuse']", must_staple),
        client_ca=files["clientCA"],
        client_auth=cast("ClientAuth | None", client_auth),
    )


def _preset(options: Mapping[str, str]) -> PresetName:
    preset = options.get("tls", "intermediate")
    if preset not in _PRESETS:
        raise _bad("tls", f"{preset!r} is no choice", f"use {' or '.join(_PRESETS)}")
    return cast("PresetName", preset)


def _description(place: str, options: Mapping[str, str]) -> str:
    parts = [f"tcp:{place}" if place.isdigit() else place]
    for option in _LISTEN:
        if option in options:
            # An IPv6 address has colons.
            quoted = quoteStringArgument(options[option])  # type: ignore[no-untyped-call]
            parts.append(f"{option}={quoted}")
    return ":".join(parts)


def _bad(option: str, problem: str, advice: str) -> OperatorError:
    return OperatorError("staple endpoint", problem, advice, key=option)
