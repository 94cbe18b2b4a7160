"""`staplesrv config`: check a configuration without starting."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from staplesrv import sources
from staplesrv.errors import OperatorError
from staplesrv.server.commands import output
from staplesrv.server.config import Configuration, load
from staplesrv.server.configuration.paths import file_problem, written_problem
from staplesrv.server.contents import examine
from staplesrv.server.privileges import known_user_and_group
from staplesrv.tls.loaded import load_site
from staplesrv.tls.stage import Stage

WRONG = 1
"""Exit status for a configuration that can't be used, as of the server that is started with it."""


@click.command("config")
@click.argument("file")
@click.pass_context
def config(ctx: click.Context, /, *, file: str) -> None:
    """Check the configuration FILE without starting: every key, certificate and private key, and that each fits.

    Resources are imported, not made; nothing is bound and no responder is asked.

    Exit status: 0 if the server would start with it, perhaps with warnings that are printed; 1 if not, with one line
    that says why; 3 wrong usage.
    """
    try:
        lines = list(_examine(load(Path(file))))
    except OperatorError as error:
        click.echo(f"{ctx.command_path}: {error}", err=True)
        ctx.exit(WRONG)
    output.lines(lines)


def _examine(configuration: Configuration) -> Iterator[str]:
    stage = Stage([site.certificate for site in configuration.sites], configuration.settings, sources.wall_clock)
    try:
        stage.show([stage.make(load_site(site, configuration.settings)) for site in stage.sites])
    except OperatorError as error:
        raise configuration.explain(error) from error
    for site in configuration.sites:
        examine(site)
    known_user_and_group(configuration.user, configuration.group, configuration.place)
    log = configuration.access_log
    if log is not None and (wrong := written_problem(log.file)):
        raise configuration.place.within("[access_log]").path_error("file", log.file, wrong)
    listeners = ", ".join(listener.endpoint for listener in configuration.listeners)
    certificates = sum(len(site.entries) for site in stage.live)
    yield f"{configuration.place.where}: fine: {listeners}; sites: {len(stage.live)}; certificates: {certificates}"
    for finding in stage.findings():
        yield f"{finding.level}: {finding}"
    for site in configuration.sites:
        if site.leads_to_itself:
            problem, advice = "leads to a name of the site itself", "name another host, or have another server there"
            yield f"warn: {site.place.error('redirect', problem, advice)}"
        for place, key, path in site.awaited:
            if wrong := file_problem(path):
                yield f"warn: {place.path_error(key, path, wrong)}"
