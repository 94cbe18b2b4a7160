"""Which site answers for a server name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import ip_address
from typing import Generic, Protocol, TypeVar

import idna

from staplesrv.errors import OperatorError

_LABEL = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789-_")
_MAX_LABEL = 63
_MAX_NAME = 253


class Named(Protocol):
    """What a table holds: something with names."""

    @property
    def where(self) -> str:
        """What an error about it names as its place."""

    @property
    def names(self) -> Sequence[str]:
        """The names the operator gave it."""

    @property
    def implied_names(self) -> Sequence[str]:
        """Names it also answers for, where nobody else claims them: its certificates'."""


SiteT = TypeVar("SiteT", bound=Named)


class SiteTable(Generic[SiteT]):
    """An immutable map from server names to sites. Whoever holds one swaps it by one assignment.

    Names match without regard to case and to a trailing dot; a wildcard stands for exactly one label (RFC 6125
    §6.4.3); an exact name wins over a wildcard. Unknown names, and none at all, get the first site.

    Args:
        sites: At least one.

    Raises:
        OperatorError: two sites have one name, or a name is none.
    """

    __slots__ = ("__weakref__", "_default", "_exact", "_wildcards", "sites")

    def __init__(self, sites: Sequence[SiteT]) -> None:
        self.sites = tuple(sites)
        self._default = self.sites[0]
        given = _given(self.sites)
        for site in self.sites:
            for name in _implied(site):
                given.setdefault(name, site)
        self._exact = {name: site for name, site in given.items() if not name.startswith(b"*.")}
        self._wildcards = {name[2:]: site for name, site in given.items() if name.startswith(b"*.")}

    def find(self, server_name: bytes | None) -> SiteT:
        """Return the site for a name as a client sent it: any bytes, or None."""
        site = None if server_name is None else self.named(server_name)
        return self._default if site is None else site

    def named(self, server_name: bytes) -> SiteT | None:
        """Return the site that has a name; None where none has it, which is then the first one's to answer."""
        name = server_name.lower().removesuffix(b".")
        site = self._exact.get(name)
        if site is None:
            label, _, parent = name.partition(b".")
            site = self._wildcards.get(parent) if label else None
        return site


def normal_name(text: str) -> bytes | None:
    """Return a DNS name as clients send it: A-labels in lower case, without a trailing dot.

    Args:
        text: A DNS name, with `*` as its whole first label or without; U-labels are fine.

    Returns:
        The name, or None for an IP address, which is no server name (RFC 6066 §3).

    Raises:
        ValueError: it is no name.
    """
    name = text.strip().removesuffix(".")
    if is_address(name):
        return None
    star, rest = ("*.", name[2:]) if name.startswith("*.") else ("", name)
    encoded = star.encode() + _a_labels(rest).lower()
    labels = encoded.removeprefix(b"*.").split(b".")
    if len(encoded) > _MAX_NAME or not all(
        0 < len(label) <= _MAX_LABEL and _LABEL.issuperset(label) for label in labels
    ):
        raise ValueError(f"{text!a} is no DNS name")
    return encoded


def _a_labels(name: str) -> bytes:
    if name.isascii():
        return name.encode()
    try:
        # UTS 46 folds case and full-width dots first, as browsers do.
        return idna.encode(name, uts46=True)
    except idna.IDNAError as error:
        raise ValueError(f"{name!a} is no DNS name: {error}") from error


def is_address(text: str) -> bool:
    """Whether a host is given as an IP address, which is never sent as a server name (RFC 6066 §3)."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _given(sites: Iterable[SiteT]) -> dict[bytes, SiteT]:
    table: dict[bytes, SiteT] = {}
    for site in sites:
        for text in site.names:
            name = _checked(site, text)
            if name is None:
                continue
            other = table.setdefault(name, site)
            if other is not site:
                problem = f"{text} is also a name of the site with {other.where}"
                raise OperatorError(site.where, problem, "leave the name to one of them", key="names")
    return table


def _checked(site: Named, text: str) -> bytes | None:
    try:
        return normal_name(text)
    except ValueError as error:
        raise OperatorError(site.where, str(error), "use DNS names, *.NAME or IP addresses", key="names") from error


def _implied(site: Named) -> Iterable[bytes]:
    # What stands in a certificate is somebody else's input: a name that is none is nobody's.
    for text in site.implied_names:
        try:
            name = normal_name(text)
        except ValueError:
            continue
        if name is not None:
            yield name
