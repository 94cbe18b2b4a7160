"""One site of the configuration: its certificates, and what is behind them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

from staplesrv.errors import OperatorError
from staplesrv.http.fields import Fields
from staplesrv.http.static.settings import StaticSettings
from staplesrv.rates import Rate
from staplesrv.server.configuration.content import Backends, Content, Folder, RedirectTo
from staplesrv.server.configuration.content_keys import read_content
from staplesrv.server.configuration.paths import file_problem
from staplesrv.server.configuration.place import Place
from staplesrv.server.configuration.response_fields import read_fields
from staplesrv.server.configuration.schema import ELSEWHERE, SiteTable
from staplesrv.server.configuration.table import read_table
from staplesrv.staples.asking.url import BadURL, WebURL
from staplesrv.tls.site import SiteCertificate
from staplesrv.tls.sni import normal_name

MAX_BODY = 1024 * 1024
"""Bytes of a request's body where nothing is said: as nginx has it."""

_LONGEST_PROTOCOL = 255


@dataclass(frozen=True, slots=True)
class Site:
    """What an operator says about one site.

    Args:
        certificate: Names, certificates and keys, and how they are stapled.
        content: What is behind it.
        place: For errors.
        fields: Header fields of every response.
        max_body: Bytes of a request's body; None for no limit.
        request_rate: How often one address may ask; None for no limit.

    Attributes:
        key: What it is known by in all processes and over reloads, which may change its number: ASCII, and short.
    """

    certificate: SiteCertificate
    content: Content
    place: Place = field(compare=False)
    fields: Fields = ()
    max_body: int | None = MAX_BODY
    request_rate: Rate | None = None
    key: str = field(init=False, compare=False)

    def __post_init__(self) -> None:
        # Once: what workers count is looked up by it every few seconds, for all sites.
        known_by = self.certificate.names[0] if self.certificate.names else self.certificate.where
        object.__setattr__(self, "key", sha256(os.fsencode(known_by)).hexdigest()[:32])

    @property
    def visited(self) -> tuple[Path, ...]:
        """Every file and folder that whoever serves has to read."""
        content = self.content
        if isinstance(content, Folder):
            return (content.path,)
        return (content.ca_file,) if isinstance(content, Backends) and content.ca_file is not None else ()

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file and folder that a reload or a request reads."""
        return (*self.certificate.files, *self.certificate.staple_file, *self.visited)

    @property
    def awaited(self) -> Iterator[tuple[Place, str, Path]]:
        """The files that may come after the start: where each is named, and by which key."""
        for file in self.certificate.staple_file:
            yield self.place, "staple_file", file
        if isinstance(self.content, Folder):
            settings, here = self.content.settings, self.place.inside("files")
            for key, name in (("fallback", settings.fallback), ("not_found", settings.not_found)):
                if name and name != StaticSettings().not_found:
                    yield here, key, self.content.path / name.removeprefix("/")

    @property
    def leads_to_itself(self) -> bool:
        """Whether it redirects to one of its own names, on whatever port."""
        return isinstance(self.content, RedirectTo) and urlsplit(self.content.url).hostname in self.certificate.names

    def explain(self, error: OperatorError) -> OperatorError | None:
        """Say which key of this site an error is about that names one of its files; None where it names none."""
        for key in ("certificate", "private_key", "issuer", "staple_file", "client_ca"):
            value = getattr(self.certificate, key)
            if error.where in map(str, value if isinstance(value, tuple) else (value,)):
                problem = f"{error.where}: {error.problem}"
                return self.place.error(error.key or key, problem, error.advice)
        return None


def read_site(value: object, number: int, place: Place, base: Path) -> Site:
    """Make a site out of one of `[[sites]]`.

    Args:
        value: The table as it stands in the file.
        number: Which one it is, from 1.
        place: The file as a whole, for errors.
        base: The folder that relative paths count from.

    Raises:
        OperatorError: a key is unknown or missing, its value can't be used, or a path leads to nothing.
    """
    here = place.within(_label(value, number))
    table = read_table(value, SiteTable, here, elsewhere=ELSEWHERE)
    content = read_content(table, here, base)
    certificate = _certificate(table, here, base)
    fields = read_fields(table.headers, here)
    return Site(certificate, content, here, fields, _max_body(table.max_body, here), _request_rate(table, here))


def same_names(sites: Sequence[Site]) -> OperatorError | None:
    """Look for two sites with one name, as they stand in the configuration."""
    seen: dict[bytes, Site] = {}
    for site in sites:
        for text in site.certificate.names:
            name = normal_name(text)
            # An IP address has none: no client sends one as a server name.
            other = site if name is None else seen.setdefault(name, site)
            if other is not site:
                problem = f"{text} is also a name of {other.place.label}"
                return site.place.error("names", problem, "leave it to one of them")
    return None


def _certificate(table: SiteTable, place: Place, base: Path) -> SiteCertificate:
    certificate = _files(table.certificate, "certificate", place, base)
    private_key = _files(table.private_key, "private_key", place, base)
    issuer = _files(table.issuer, "issuer", place, base)
    staple_file = _files(table.staple_file, "staple_file", place, base, may_be_missing=True)
    client_ca = _files(table.client_ca, "client_ca", place, base)
    names = _names(table.names, place)
    responder = _responder(table.responder, place)
    protocols = _protocols(table, place)
    # Numbers of files that don't agree, or keys that don't go together.
    with place.explaining():
        return SiteCertificate(
            certificate,
            private_key,
            names=names,
            issuer=next(iter(issuer), None),
            responder=responder,
            staple_file=staple_file,
            must_staple=table.must_staple,
            protocols=protocols,
            client_ca=client_ca,
            client_auth=table.client_auth,
        )


def _label(value: object, number: int) -> str:
    """Name a site by its number and its first name; nothing is known of the table yet."""
    names = value.get("names") if isinstance(value, dict) else None
    name = names[0] if isinstance(names, list) and names and isinstance(names[0], str) else ""
    return f"site {number}" + (f" ({name[:100]})" if name and name.isprintable() else "")


def _files(
    value: str | list[str] | None, key: str, place: Place, base: Path, *, may_be_missing: bool = False
) -> tuple[Path, ...]:
    texts = [value] if isinstance(value, str) else value or []
    if value == [] or not all(texts):
        raise place.error(key, "is empty", "give the path of a file")
    # Not resolved any further: a link may lead somewhere else tomorrow, as those of certificate renewers do.
    paths = tuple(base / text for text in texts)
    for path in paths:
        if wrong := file_problem(path, may_be_missing=may_be_missing):
            raise place.path_error(key, path, wrong)
    return paths


def _names(names: list[str] | None, place: Place) -> tuple[str, ...]:
    if names == []:
        raise place.error("names", "is empty", "name a host, or leave the key out: then the certificate's names count")
    for name in names or ():
        try:
            normal_name(name)
        except ValueError as error:
            raise place.error("names", str(error), "use DNS names, *.NAME or IP addresses") from error
    return tuple(names or ())


def _protocols(table: SiteTable, place: Place) -> list[str] | None:
    """The ALPN names of a tunnel: none unless some are named. All other sites speak what their listener does."""
    names = table.protocols or []
    # RFC 7301 §3.1: the length of a name is one byte.
    if not all(0 < len(name.encode("utf-8", "replace")) <= _LONGEST_PROTOCOL for name in names):
        raise place.error("protocols", "has a name that ALPN can't carry", "use names of 1 to 255 bytes")
    return None if table.tunnel is None else names


def _responder(url: str | None, place: Place) -> str | None:
    if not url:
        # Empty: never ask. None: ask the certificate's own.
        return url
    try:
        return str(WebURL.parse(url))
    except BadURL as error:
        raise place.error("responder", str(error), "give an http or https URL") from error


def _request_rate(table: SiteTable, place: Place) -> Rate | None:
    given = table.request_rate is not None or table.request_burst is not None
    if given and table.tunnel is not None:
        raise place.error(
            "request_rate", "does not go with tunnel", "limit handshakes instead: handshake_rate in [limits]"
        )
    with place.explaining():
        return Rate.of(table.request_rate or 0, table.request_burst or 0, where=place.where, kind="request")


def _max_body(size: int | None, place: Place) -> int | None:
    if size is None:
        return MAX_BODY
    if size < 0:
        raise place.error("max_body", "is negative", "give a number of bytes, or 0 for no limit")
    return size or None
