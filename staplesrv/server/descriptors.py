"""How many connections the system lets this process have: a descriptor each, and some for everything else."""

from __future__ import annotations

import resource
from contextlib import suppress
from dataclasses import replace
from typing import Any

from twisted.logger import Logger

from staplesrv.tls.limits import Limits

SPARE = 128
"""Descriptors that are not for connections: responders, files, sockets that listen, the log."""

MOST = 1 << 20
"""What an unlimited number is taken for, and Linux's own default for the largest one."""

FD_SETSIZE = 1024
"""select(2) knows no descriptor from this one on."""

_BY_SELECT = {"SelectReactor", "ThreadedSelectReactor"}

_log = Logger()


def within_descriptors(limits: Limits, reactor: Any, system: Any = resource) -> Limits:
    """Raise the process's soft limit of open files to its hard one, and fit the limits into that.

    What there is then is said in one line. Where the limits do not fit, what one address may have shrinks in
    proportion, so that it is still the same part of the whole.

    Args:
        limits: As configured.
        reactor: The reactor. One that goes by select(2) has no use for more than `FD_SETSIZE`; more would break it.
        system: Has `getrlimit` and `setrlimit`.
    """
    by_select = any(kind.__name__ in _BY_SELECT for kind in type(reactor).__mro__)
    descriptors = min(_raised(FD_SETSIZE, system), FD_SETSIZE) if by_select else _raised(MOST, system)
    room = max(1, descriptors - min(SPARE, descriptors // 2))
    if limits.connections <= room:
        said = {"descriptors": descriptors, "connections": limits.connections}
        _log.info("this process may open {descriptors} files, enough for {connections} connections", **said)
        return limits
    _log.info(
        "{room} connections at most, not {connections}, as this process may open {descriptors} files; {advice}",
        room=room,
        connections=limits.connections,
        descriptors=descriptors,
        advice=_advice(limits.connections + SPARE, by_select=by_select),
    )
    per_address = max(1, limits.connections_per_address * room // limits.connections)
    return replace(limits, connections=room, connections_per_address=per_address)


def _raised(most: int, system: Any) -> int:
    soft, hard = _current(system)
    wanted = min(_number(hard), max(_number(soft), most))
    # Some kernels have a limit of their own, lower than the one they tell.
    with suppress(OSError, ValueError):
        if _number(soft) < wanted:
            system.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return _number(_current(system)[0])


def _current(system: Any) -> tuple[int, int]:
    soft, hard = system.getrlimit(resource.RLIMIT_NOFILE)
    return soft, hard


def _number(limit: int) -> int:
    return MOST if limit == resource.RLIM_INFINITY else limit


def _advice(needed: int, *, by_select: bool) -> str:
    if by_select:
        return "take a reactor that does not go by select(2), as with twistd --reactor=poll"
    return f"for all of them set LimitNOFILE={needed} in systemd's unit, or ulimit -n {needed} before the start"
