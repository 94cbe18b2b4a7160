"""Server sockets that are bound now and listen later.

Binding may need privileges that are shed before the first staples are there, and a client that connects in between
must be refused by the kernel rather than served without a staple. bind(2) without listen(2) does both.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from twisted.python.lockfile import FilesystemLock

from staplesrv.errors import OperatorError

PORT_TRIES = 20
"""How often a free port is looked for that is free in IPv4 and IPv6 alike."""

MAX_PORT = 65535

# This host or this kernel has no such protocol, or has it switched off.
_NO_PROTOCOL = {errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT}


def bind_tcp(where: str, port: int, interface: str = "") -> list[socket.socket]:
    """Bind TCP sockets.

    Args:
        where: What an error names as its place.
        port: The port; 0 takes a free one, the same for IPv4 and IPv6.
        interface: An address or a host name; empty is every address, IPv4 and IPv6, each with a socket of its own.

    Returns:
        One or two sockets.

    Raises:
        OperatorError: it can't be bound.
    """
    if not 0 <= port <= MAX_PORT:
        # Some look-ups take such a number modulo 65536.
        raise OperatorError(where, f"{port} is no port", "use a number up to 65535; 0 takes a free one")
    try:
        if interface:
            # RFC 4007 scopes (fe80::1%eth0) and names alike.
            family, _, _, _, address = socket.getaddrinfo(
                interface, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            return [_bound(family, address)]
        return _bind_both(port)
    except OSError as error:
        raise refusal(where, error, port) from error


def bind_beside(where: str, first: socket.socket) -> socket.socket:
    """Bind the address of a TCP socket once more; the kernel parts connections between all that listen there.

    It takes SO_REUSEPORT on both. The first one may get it when it listens: until then no other process of this user
    could tell that the port is taken. Two sockets with SO_REUSEADDR of which none listens can be bound without.

    Args:
        where: What an error names as its place.
        first: The socket.

    Raises:
        OperatorError: it can't be bound.
    """
    try:
        return _bound(first.family, first.getsockname(), reuse_port=True)
    except OSError as error:
        # The port is ours: what is missing is a right that there was when the first one was bound.
        problem = f"can't be bound once more for another worker: {os.strerror(error.errno or 0)}"
        raise OperatorError(where, problem, "restart, or let the number of workers stay") from error


def let_others_listen(first: socket.socket) -> None:
    """Have sockets of `bind_beside` listen beside one that listens."""
    first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)


def bind_unix(where: str, path: Path, mode: int, *, lock: bool) -> tuple[socket.socket, Callable[[], None]]:
    """Bind a UNIX socket.

    Args:
        where: What an error names as its place.
        path: Where the socket is to be.
        mode: Its permissions.
        lock: Whether to lock it as Twisted does (`PATH.lock`), and take the place of a socket whose owner died.

    Returns:
        The socket, and what to call when it is closed: it removes socket and lock.

    Raises:
        OperatorError: it can't be bound.
    """
    lock_file = FilesystemLock(str(_lock_of(path))) if lock else None  # type: ignore[no-untyped-call]
    try:
        if lock_file is not None:
            if not lock_file.lock():  # type: ignore[no-untyped-call]
                raise OperatorError(where, "another process has the socket", "stop it, or choose another path")
            if not lock_file.clean and path.exists() and _is_left_over(path):
                path.unlink()
        try:
            bound = _bound(socket.AF_UNIX, str(path))
            path.chmod(mode)
        except OSError:
            if lock_file is not None:
                lock_file.unlock()  # type: ignore[no-untyped-call]
            raise
    except (OSError, ValueError) as error:
        raise _path_refusal(where, path, error) from error

    return bound, partial(clear, path) if lock else partial(path.unlink, missing_ok=True)


def path_of(bound: socket.socket) -> Path | None:
    """Return the path of a UNIX socket that has one."""
    path = bound.getsockname() if bound.family == socket.AF_UNIX else ""
    return Path(path) if isinstance(path, str) and path else None


def claim(path: Path) -> None:
    """Put this process's number into the lock of a UNIX socket, where there is one.

    It was made by a process that has forked since, as twistd does, or has left the socket to this one. Whoever finds
    the number of one that has gone takes the path.
    """
    lock = _lock_of(path)
    if not lock.is_symlink():
        return
    mine = lock.with_name(f"{lock.name}.{os.getpid()}")
    # Without the right to do so, after `twistd --uid`, it stays as it is.
    with suppress(OSError):
        mine.symlink_to(str(os.getpid()))
        try:
            mine.replace(lock)
        except OSError:
            mine.unlink()


def clear(path: Path) -> None:
    """Remove a UNIX socket, and its lock."""
    path.unlink(missing_ok=True)
    _lock_of(path).unlink(missing_ok=True)


def listen(where: str, bound: socket.socket, backlog: int) -> None:
    """Have a bound socket listen.

    Raises:
        OperatorError: another one was faster, as bind(2) alone does not keep others away.
    """
    try:
        bound.listen(backlog)
    except OSError as error:
        raise refusal(where, error) from error


def refusal(where: str, error: Exception, port: int | None = None) -> OperatorError:
    """Turn what the system says about a socket into a line for the operator."""
    number = getattr(error, "errno", None)
    if number == errno.EADDRINUSE:
        what = "the address is in use" if port is None else f"port {port} is in use"
        return OperatorError(where, what, "see who listens there (`ss -lnp`), stop it or choose another one")
    if number in (errno.EACCES, errno.EPERM):
        advice = "start as root, allow it with CAP_NET_BIND_SERVICE, or choose a place that needs no privilege"
        return OperatorError(where, "permission denied", advice)
    if number == errno.EADDRNOTAVAIL:
        return OperatorError(where, "this machine has no such address", "see which there are (`ip address`)")
    reason = os.strerror(number) if isinstance(error, OSError) and number and number > 0 else str(error)
    return OperatorError(where, f"can't be bound: {reason}", "check the port, the interface or the path")


def _lock_of(path: Path) -> Path:
    """Where Twisted has it."""
    return path.with_name(f"{path.name}.lock")


def _is_left_over(path: Path) -> bool:
    """Whether this is a socket on which nobody listens.

    That the process of its lock has gone does not say so: in an upgrade another one took the socket over, and a server
    that goes to the background locks before it does.
    """
    if not stat.S_ISSOCK(path.stat().st_mode):
        return False
    with socket.socket(socket.AF_UNIX) as client:
        client.setblocking(False)
        return client.connect_ex(str(path)) == errno.ECONNREFUSED


def _bind_both(port: int) -> list[socket.socket]:
    for _ in range(PORT_TRIES - 1):
        try:
            return _bind_pair(port)
        except OSError as error:
            # The port that was free in IPv4 may be taken in IPv6; the next one may not.
            if port != 0 or error.errno != errno.EADDRINUSE:
                raise
    return _bind_pair(port)


def _bind_pair(port: int) -> list[socket.socket]:
    bound: list[socket.socket] = []
    missing: list[OSError] = []
    for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):  # noqa: S104 - what was asked
        try:
            bound.append(_bound(family, (address, bound[0].getsockname()[1] if bound else port)))
        except OSError as error:
            if error.errno not in _NO_PROTOCOL:
                for one in bound:
                    one.close()
                raise
            missing.append(error)
    if not bound:
        raise missing[0]
    return bound


def _bound(family: int, address: object, *, reuse_port: bool = False) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setblocking(False)
        if family != socket.AF_UNIX:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # Else "::" takes IPv4 too, and the two sockets of one port get into each other's way.
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if reuse_port:
            let_others_listen(made)
        made.bind(address)  # type: ignore[arg-type]
    except BaseException:
        made.close()
        raise
    return made


def _path_refusal(where: str, path: Path, error: Exception) -> OperatorError:
    """Say what the folder of a UNIX socket lacks; the rest is as with other sockets."""
    match getattr(error, "errno", None):
        case errno.ENOENT:
            advice = "make it, or have systemd do so with RuntimeDirectory="
            return OperatorError(where, f"there is no directory {path.parent}", advice)
        case errno.EACCES | errno.EPERM:
            advice = f"let the server's user write {path.parent}, or choose another directory"
            return OperatorError(where, "permission denied", advice)
        case _:
            return refusal(where, error)
