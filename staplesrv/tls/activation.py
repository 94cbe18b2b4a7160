"""Socket activation: sockets that systemd has bound and handed over to this process, listening: sd_listen_fds(3).

They stay open for as long as the process lives: what is served on are copies. So a listener may go and come again,
several may share a socket, and an upgrade hands on all of them.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from twisted.internet.endpoints import serverFromString

from staplesrv.errors import OperatorError

KIND = "systemd"
"""How descriptions of such sockets begin."""

_KEYS = {"domain", "name", "index"}


@dataclass(frozen=True, slots=True)
class Handed:
    """One socket that was handed over.

    Args:
        descriptor: Its number.
        name: What the unit's `FileDescriptorName=` calls it; several may have the same.
    """

    descriptor: int
    name: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a description asks for, as in `systemd:name=https` or `systemd:domain=INET6:name=https`.

    Args:
        name: All sockets of this name,
        index: or the one with this number, from 0.
        domain: Only those of a family: `INET`, `INET6` or `UNIX`; None for any.
    """

    name: str | None
    index: int | None
    domain: str | None

    @classmethod
    def read(cls, description: str) -> Wanted:
        """Read a description.

        Raises:
            ValueError: it is none.
        """
        _, *words = description.split(":")
        # As Twisted has it, whose parser takes one socket of a name alone: the domain may stand first without its key.
        pairs = [word.partition("=") if "=" in word else ("domain", "=", word) for word in words]
        given = {key: value for key, _, value in pairs}
        if len(given) < len(words) or not given.keys() <= _KEYS or ("name" in given) == ("index" in given):
            raise ValueError("give name= as FileDescriptorName= in the socket's unit has it")
        domain = given.get("domain")
        if domain is not None and not hasattr(socket, f"AF_{domain}"):
            raise ValueError(f"{domain} is no domain; INET, INET6 and UNIX are")
        index = given.get("index")
        return cls(given.get("name"), None if index is None else int(index), domain)

    def fits(self, number: int, name: str, family: int) -> bool:
        """Whether a socket is meant."""
        right = self.name == name if self.index is None else self.index == number
        return right and (self.domain is None or getattr(socket, f"AF_{self.domain}") == family)


def handed_over(environment: Mapping[str, str] = os.environ) -> Sequence[Handed]:
    """Return what systemd has handed over, in its order."""
    descriptors: list[int] = []
    # Twisted takes how many there are out of the environment when it is imported, for this parser of its own.
    with suppress(IndexError):
        while True:
            described = f"{KIND}:domain=INET:index={len(descriptors)}"
            descriptors.append(serverFromString(None, described).fileno)  # type: ignore[no-untyped-call]
    names = environment.get("LISTEN_FDNAMES", "").split(":")
    return tuple(Handed(*one) for one in zip(descriptors, names, strict=False))


def activated(description: str, handed: Sequence[Handed] | None = None) -> Sequence[socket.socket]:
    """Return copies of the sockets that a description asks for.

    Args:
        description: Like `systemd:name=https`.
        handed: What was handed over to this process, if that is known already.

    Raises:
        OperatorError: it is no description, or there is none of these.
    """
    try:
        wanted = Wanted.read(description)
    except ValueError as error:
        raise OperatorError(description, f"is no endpoint: {error}", "write it like systemd:name=https") from error
    copies = _copies(handed_over() if handed is None else handed)
    there = ", ".join(f"{name} ({copy.family.name[3:]})" for _, name, copy in copies) or "none at all"
    meant = []
    for number, name, copy in copies:
        if wanted.fits(number, name, copy.family):
            meant.append(copy)
        else:
            copy.close()
    if not meant:
        advice = "see FileDescriptorName= in the socket's unit, and whether that was started before the service"
        raise OperatorError(description, f"systemd has handed over no such socket; there is {there}", advice)
    return meant


def _copies(handed: Sequence[Handed]) -> Sequence[tuple[int, str, socket.socket]]:
    copies = ((number, one.name, _copy(one.descriptor)) for number, one in enumerate(handed))
    return [(number, name, copy) for number, name, copy in copies if copy is not None]


def _copy(descriptor: int) -> socket.socket | None:
    """Return a copy; None of what can't be served on: a unit may hand over datagrams, a FIFO or a file as well."""
    number = os.dup(descriptor)
    try:
        copy = socket.socket(fileno=number)
    except OSError:
        os.close(number)
        return None
    if copy.type == socket.SOCK_STREAM:
        return copy
    copy.close()
    return None
