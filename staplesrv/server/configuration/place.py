"""Where a setting stands, so that an error about it names the file, the site and the key."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from staplesrv.errors import OperatorError
from staplesrv.server.configuration.paths import PathProblem

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]{1,60}")
_LONG_PATH = 500


@dataclass(frozen=True, slots=True)
class Place:
    """A table of a configuration file.

    Args:
        where: The file.
        label: The table inside of it, as people call it: `site 2 (example.org)`; empty for the file as a whole.
    """

    where: str
    label: str = ""

    def within(self, label: str) -> Place:
        """Return the place of a table inside of this one."""
        return replace(self, label=label)

    def inside(self, label: str) -> Place:
        """Return the place of a table inside of this one, which is named after both."""
        return self.within(f"{self.label}: {label}" if self.label else label)

    def error(self, key: str, problem: str, advice: str) -> OperatorError:
        """Make the error about a key; without a key it is about the table.

        Args:
            key: As it stands in the table.
            problem: What is wrong with it.
            advice: What to do about it.
        """
        return OperatorError(self.where, problem, advice, key=": ".join(filter(None, (self.label, shown(key)))))

    def path_error(self, key: str, path: Path, wrong: PathProblem) -> OperatorError:
        """Make the error about a key that names a path."""
        text = str(path)
        if len(text) > _LONG_PATH or not text.isprintable():
            text = ascii(text[:_LONG_PATH])
        return self.error(key, f"{text}: {wrong.problem}", wrong.advice)

    @contextmanager
    def explaining(self, key: str = "") -> Iterator[None]:
        """Have the error of a value that checks itself name this place.

        Args:
            key: What it is about, where the error does not say.

        Raises:
            OperatorError: the value can't be.
        """
        try:
            yield
        except OperatorError as error:
            raise self.error(error.key or key, error.problem, error.advice) from error


@dataclass(frozen=True, slots=True)
class CommandLine(Place):
    """The options of a command line, which has one site, so that an option's name says all."""

    where: str = "command line"

    def error(self, key: str, problem: str, advice: str) -> OperatorError:
        """Make the error about an option, given as the key of a file: `private_key` stands for `--private-key`."""
        option = "listen" if key == "endpoint" else key.replace("_", "-")
        return OperatorError(f"--{option}" if option else self.where, problem, advice)


def shown(key: str) -> str:
    """A key as an error shows it: quoted and cut short where it is not plain."""
    return key if not key or _BARE_KEY.fullmatch(key) else f"{key[:60]!a}"
