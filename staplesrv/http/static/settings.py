"""What an operator may say about a folder of files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from types import MappingProxyType

from staplesrv.errors import OperatorError
from staplesrv.http.fields import is_value
from staplesrv.http.static.file_path import FilePath

WHERE = "[sites.files]"
"""What an `OperatorError` about a setting names as its place; whoever knows the file may name that instead."""

_MEDIA_TYPE = re.compile(r"[\w!#$&^+.-]+/[\w!#$&^+.-]+[ \t]*(;|\Z)", re.ASCII)
"""RFC 6838 §4.2, and perhaps parameters behind."""

_MIB = 1024 * 1024

# Bytes and seconds. Reading a file at once holds up all clients.
_MOST = {"file_in_memory": 16 * _MIB, "memory": 1024 * 1024 * _MIB, "check_seconds": 3600}


@dataclass(frozen=True, slots=True)
class StaticSettings:
    """How a folder is served. A value that exists is valid.

    Args:
        cache_control: What Cache-Control says, by pattern; the first pattern that fits counts, and where none does
            there is no such field. A pattern with a slash is for the path below the root, another for the file's
            name; `*` stands for anything, also for slashes.
        media_types: By extension with its dot, in lower case; before those that are known.
        not_found: The page that goes out with 404, where it is there; below the root. Empty: a plain one.
        fallback: What is answered, with 200, where there is no such file: of applications that run in the browser.
            Below the root. Empty: nothing.
        file_in_memory: The largest file that is kept in memory, in bytes.
        memory: What all of them may take, in bytes.
        check_seconds: How long a file in memory may go out before the disk is looked at.

    Raises:
        OperatorError: a setting can't be used.
    """

    cache_control: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    media_types: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    not_found: str = "404.html"
    fallback: str = ""
    file_in_memory: int = 64 * 1024
    memory: int = 64 * _MIB
    check_seconds: float = 1.0

    def __post_init__(self) -> None:
        _check_texts("cache_control", self.cache_control)
        _check_texts("media_types", self.media_types)
        for extension, kind in self.media_types.items():
            if not extension.startswith(".") or extension != extension.lower():
                raise _bad("media_types", f"{extension!r} is no extension", "write it in lower case, with its dot")
            if not _MEDIA_TYPE.match(kind):
                raise _bad("media_types", f"{kind!r} is no media type", "write it like application/wasm")
        for key in ("not_found", "fallback"):
            if getattr(self, key) and page_path(getattr(self, key)) is None:
                raise _bad(key, "is no file that is served", "name a file below the folder")
        for key, most in _MOST.items():
            if not 0 <= getattr(self, key) <= most:
                raise _bad(key, "is out of range", f"use from 0 to {most}")

    def cache_control_of(self, name: bytes) -> bytes | None:
        """Return what Cache-Control says of a file; None where nothing is said.

        Args:
            name: Relative to the root.
        """
        path = name.decode()
        for pattern, value in self.cache_control.items():
            subject = path if "/" in pattern else path.rpartition("/")[2]
            if fnmatchcase(subject, pattern.removeprefix("/")):
                return value.encode()
        return None


def page_path(name: str) -> FilePath | None:
    """Return where a page of the settings is; None where its name is none that is served."""
    path = FilePath.parse(b"/" + name.removeprefix("/").encode().replace(b"%", b"%25"))
    return None if path is None or path.is_folder else path


def _check_texts(key: str, texts: Mapping[str, str]) -> None:
    for name, text in texts.items():
        if not text or not is_value(text.encode()) or text != text.strip():
            raise _bad(key, f"{text!r} for {name!r} can't be sent", "use plain text on one line")


def _bad(key: str, problem: str, advice: str) -> OperatorError:
    return OperatorError(WHERE, problem, advice, key=key)
