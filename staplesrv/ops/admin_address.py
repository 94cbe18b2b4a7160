"""Where the admin interface of a server is: a port of this machine's own, or a UNIX socket.

It asks nobody who they are. So it is only where strangers can't reach it: on a loopback address, or behind the
permissions of a file.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

MODE: Final = 0o600
"""Permissions of a socket where nothing is said: its owner alone."""

LOOPBACK: Final = "127.0.0.1"

_LOCALHOST: Final = "localhost"
# As Twisted reads them: a backslash takes the meaning of what follows.
_PARTS: Final = re.compile(r"(?:[^:\\]|\\.)+", re.DOTALL)
_ARGUMENT: Final = re.compile(r"([a-z]+)=(.*)", re.DOTALL)
_QUOTED: Final = re.compile(r"\\(.)", re.DOTALL)
_TO_QUOTE: Final = re.compile(r"[\\:=]")
_DIGITS: Final = re.compile(r"[0-9]{1,5}")
_MODE: Final = re.compile(r"0?[0-7]{3}")


class BadAdminAddress(ValueError):
    """A text that names no such place.

    Args:
        problem: What is wrong with it.
        advice: What to write instead.
    """

    def __init__(self, problem: str, advice: str) -> None:
        super().__init__(f"{problem}; {advice}")
        self.problem = problem
        self.advice = advice


_ADVICE = f"write it like tcp:9443:interface={LOOPBACK}, or unix:/run/staplesrv.sock"


@dataclass(frozen=True, slots=True)
class AdminAddress:
    """A TCP port or a UNIX socket; `parse` makes it.

    Args:
        host: An address of loopback, or `localhost`; empty for a UNIX socket.
        port: 0 to 65535; 0 takes a free one.
        path: Of the socket; None for TCP.
        mode: Its permissions.
    """

    host: str = ""
    port: int = 0
    path: Path | None = None
    mode: int = MODE

    @classmethod
    def parse(cls, text: str) -> AdminAddress:
        """Read an endpoint string as the key `admin` has it: of `tcp:` with `interface=`, or of `unix:`.

        Raises:
            BadAdminAddress: it is none, or one that strangers could reach.
        """
        values, arguments = _taken_apart(text)
        match values:
            case ["unix", path]:
                return cls._unix(path, arguments)
            case ["tcp", port]:
                return cls._tcp(port, arguments)
        raise BadAdminAddress(f"{text[:100]!a} is no place for it", _ADVICE)

    @classmethod
    def asked(cls, text: str) -> AdminAddress:
        """Read what somebody writes who looks for a server: also `tcp:PORT`, `HOST:PORT` or `[IPv6]:PORT`.

        Raises:
            BadAdminAddress: it is none of these.
        """
        found = re.fullmatch(r"(?:\[([^\[\]]+)\]|([^:\[\]=/]+)):([0-9]{1,5})", text)
        if found is not None:
            host = found[1] or found[2]
            return cls(LOOPBACK if host == "tcp" else _loopback(host), _port(found[3]))
        return cls.parse(text)

    @classmethod
    def _tcp(cls, port: str, arguments: Mapping[str, str]) -> AdminAddress:
        _only(arguments, ("interface",))
        if "interface" not in arguments:
            problem = "would be open to everybody, and asks nobody who they are"
            raise BadAdminAddress(problem, f"write tcp:{_port(port)}:interface={LOOPBACK}, or use a unix: socket")
        return cls(_loopback(arguments["interface"]), _port(port))

    @classmethod
    def _unix(cls, path: str, arguments: Mapping[str, str]) -> AdminAddress:
        _only(arguments, ("mode",))
        mode = arguments.get("mode", f"{MODE:o}")
        if not _MODE.fullmatch(mode):
            raise BadAdminAddress(f"mode={mode[:20]!a} is no set of permissions", "write it like mode=660")
        return cls(path=Path(path), mode=int(mode, 8))

    @property
    def endpoint(self) -> str:
        """The same for every way in which the place can be written: what Twisted calls it."""
        if self.path is not None:
            return f"unix:{_quoted(str(self.path))}:mode={self.mode:o}"
        return f"tcp:{self.port}:interface={_quoted(self.host)}"

    def within(self, folder: Path) -> AdminAddress:
        """Return the same place where a relative path counts from a folder."""
        return self if self.path is None else replace(self, path=folder / self.path)

    def __str__(self) -> str:
        if self.path is not None:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def _taken_apart(text: str) -> tuple[list[str], Mapping[str, str]]:
    """Return the words of an endpoint string, and its arguments by name."""
    values: list[str] = []
    arguments: dict[str, str] = {}
    for part in _PARTS.findall(text):
        if found := _ARGUMENT.fullmatch(part):
            arguments[found[1]] = _QUOTED.sub(r"\1", found[2])
        else:
            values.append(_QUOTED.sub(r"\1", part))
    return values, arguments


def _quoted(text: str) -> str:
    return _TO_QUOTE.sub(r"\\\g<0>", text)


def _only(arguments: Mapping[str, str], known: Sequence[str]) -> None:
    odd = next((name for name in arguments if name not in known), None)
    if odd is not None:
        raise BadAdminAddress(f"{odd[:60]!a} does not go with it", f"leave it out; there is {', '.join(known)}")


def _loopback(host: str) -> str:
    try:
        if host == _LOCALHOST or ipaddress.ip_address(host).is_loopback:
            return host
    except ValueError as error:
        raise BadAdminAddress(f"{host[:100]!a} is no address", f"use {LOOPBACK}, or ::1") from error
    problem = f"{host} can be reached from elsewhere, and the admin interface asks nobody who they are"
    raise BadAdminAddress(problem, f"use {LOOPBACK} or a unix: socket, and for others ssh or a proxy that asks")


def _port(text: str) -> int:
    if not _DIGITS.fullmatch(text) or int(text) > 0xFFFF:  # noqa: PLR2004 - a port has 16 bits
        raise BadAdminAddress(f"{text[:20]!a} is no port", _ADVICE)
    return int(text)
