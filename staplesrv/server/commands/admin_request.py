"""Ask a running server, at the place that its key `admin` names: what `status` and `reload` share."""

from __future__ import annotations

import http.client
import io
import socket
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

import click

from staplesrv import sources
from staplesrv.errors import OperatorError
from staplesrv.ops.admin_address import AdminAddress
from staplesrv.server.commands.option_value import parse_timeout, parsed
from staplesrv.server.config import read_admin
from staplesrv.server.configuration.place import Place
from staplesrv.server.configuration.toml_file import read_toml

LONGEST: Final = 256 << 20
"""Bytes of an answer that are read. Ten thousand certificates take 6 MiB."""

_ADVICE = "see whether the server runs, and has this place for its key admin"
_F = TypeVar("_F", bound=Callable[..., Any])


class Answer(NamedTuple):
    """What the server said.

    Args:
        status: Of HTTP.
        text: The body.
    """

    status: int
    text: str


def options(seconds: int) -> Callable[[_F], _F]:
    """Add what says which server is meant, and how long to wait for it; `place_of` reads the first two.

    Args:
        seconds: To wait unless something else is said.
    """

    def added(command: _F) -> _F:
        how_long = f"How long it may take; {seconds} unless given."
        timeout = click.option(
            "--timeout", metavar="SECONDS", callback=parsed(parse_timeout), default=str(seconds), help=how_long
        )
        config = click.option("--config", "-c", metavar="FILE", help="Take the address from the configuration FILE.")
        return click.argument("address", required=False, callback=parsed(AdminAddress.asked))(config(timeout(command)))

    return added


def place_of(address: AdminAddress | None, config: str | None) -> AdminAddress:
    """Return where to ask.

    Args:
        address: As it was given.
        config: Or the file that has it. Of that nothing else is looked at: perhaps it is what is wrong.

    Raises:
        UsageError: none of them was given, or both.
        OperatorError: the file can't be read, or names no place.
    """
    if (address is None) == (config is None):
        raise click.UsageError("give either an ADDRESS or --config FILE", click.get_current_context())
    if address is not None:
        return address
    file, place = Path(str(config)), Place(str(config))
    text = read_toml(file).get("admin")
    if not isinstance(text, str):
        raise place.error("admin", "names no place", 'add one, as in admin = "unix:/run/staplesrv.sock"')
    found = read_admin(text, place, (Path.cwd() / file).parent)
    assert found is not None  # noqa: S101 - there is a text
    return found


def ask(where: AdminAddress, method: str, path: str, timeout: timedelta) -> Answer:
    """Ask, and wait for the answer.

    Args:
        where: The server.
        method: Of the request.
        path: Of the request.
        timeout: For everything together.

    Raises:
        OperatorError: there is no answer.
    """
    try:
        heard = _Heard(where, f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", timeout)
        response = http.client.HTTPResponse(heard)  # type: ignore[arg-type]  # no more of a socket is used
        response.begin()
        return Answer(response.status, response.read().decode(errors="replace"))
    except TimeoutError as error:
        problem = f"does not answer within {timeout.total_seconds():g} s"
        raise OperatorError(str(where), problem, "try again, with a longer --timeout") from error
    except PermissionError as error:
        advice = "ask as the user whose socket it is, or let others by :mode=660 in the key admin"
        raise OperatorError(str(where), "permission denied", advice) from error
    except OSError as error:
        problem = f"can't be reached: {error.strerror or error}"
        raise OperatorError(str(where), problem, _ADVICE) from error
    except http.client.HTTPException as error:
        raise OperatorError(str(where), f"speaks no HTTP: {type(error).__name__}", _ADVICE) from error


class _Heard:
    """All that came for a request, where `HTTPResponse` wants a socket: its own reading could be drawn out for ever.

    Args:
        where: Who is asked.
        request: The request.
        timeout: For everything together.
    """

    def __init__(self, where: AdminAddress, request: str, timeout: timedelta) -> None:
        self._heard = io.BytesIO()
        end = sources.monotonic() + timeout.total_seconds()
        with _connected(where, timeout.total_seconds()) as connection:
            connection.sendall(request.encode())
            while self._heard.tell() < LONGEST:
                left = end - sources.monotonic()
                if left <= 0:
                    raise TimeoutError
                connection.settimeout(left)
                piece = connection.recv(1 << 16)
                if not piece:
                    break
                self._heard.write(piece)
        self._heard.seek(0)

    def makefile(self, _mode: str) -> io.BytesIO:
        """Return it as a file."""
        return self._heard


def _connected(where: AdminAddress, seconds: float) -> socket.socket:
    if where.path is None:
        return socket.create_connection((where.host, where.port), seconds)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(seconds)
        connection.connect(str(where.path))
    except BaseException:
        connection.close()
        raise
    return connection
