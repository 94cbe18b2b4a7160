"""Starts a program as systemd does for a socket unit: `activate.py NAME=HOST:PORT ... -- COMMAND ...`."""

from __future__ import annotations

import os
import socket
import sys

FIRST = 3


def main(arguments: list[str]) -> None:
    """Bind, and become the program."""
    end = arguments.index("--")
    names = []
    sockets = []
    for one in arguments[:end]:
        name, _, address = one.partition("=")
        host, _, port = address.rpartition(":")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        sockets.append(socket.create_server((host, int(port)), family=family))
        names.append(name)
    # Out of each other's way first.
    high = [os.dup2(one.fileno(), 100 + number) for number, one in enumerate(sockets)]
    for number, descriptor in enumerate(high, FIRST):
        os.dup2(descriptor, number)
        os.close(descriptor)
    told = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(len(names)), "LISTEN_FDNAMES": ":".join(names)}
    command = arguments[end + 1 :]
    os.execve(command[0], command, {**os.environ, **told})


if __name__ == "__main__":
    main(sys.argv[1:])
