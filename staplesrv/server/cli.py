"""The `staplesrv` command: small programs beside the server itself, which twistd runs."""

from __future__ import annotations

import click

from staplesrv import __version__
from staplesrv.server.commands.check_command import check
from staplesrv.server.commands.config_command import config
from staplesrv.server.commands.program import Program
from staplesrv.server.commands.reload_command import reload
from staplesrv.server.commands.status_command import status
from staplesrv.server.commands.verify_command import verify


@click.group(cls=Program)
@click.version_option(__version__, prog_name="staplesrv")
def main() -> None:
    """Look at OCSP staples, at a server's from outside or in a file; check a configuration; ask and steer a server."""


main.add_command(check)
main.add_command(config)
main.add_command(reload)
main.add_command(status)
main.add_command(verify)
