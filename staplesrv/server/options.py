"""What `twistd staplesrv` takes on its command line: a configuration file, or the same few keys for one site."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from twisted.python import usage

from staplesrv import __version__
from staplesrv.errors import OperatorError
from staplesrv.server.config import Configuration, build, load
from staplesrv.server.configuration.listener import DEFAULT_LISTEN
from staplesrv.server.configuration.place import CommandLine
from staplesrv.server.inheritance import VARIABLE, clear_other_pid_file, other_pid_file, take_over_pid_file

_REPEATED = ("listen", "certificate", "private_key", "proxy", "staple_file")
_SITE_KEYS = (
    "certificate",
    "private_key",
    "static",
    "proxy",
    "resource",
    "wsgi",
    "tunnel",
    "redirect",
    "issuer",
    "responder",
    "staple_file",
    "must_staple",
    "client_ca",
    "client_auth",
)


class Options(usage.Options):
    """The options. Mistakes end the program with one line, not with Twisted's page of help."""

    synopsis = "[--config FILE | --certificate FILE --private-key FILE --static DIRECTORY ... | --demo]"
    longdesc = "Serve sites over TLS, with a fresh, verified OCSP staple in every handshake."

    optFlags = (("demo", None, "Try it: a throw-away CA, its OCSP responder and a page, all inside this process."),)
    optParameters = (
        ("config", "c", None, "TOML file with any number of sites; takes the place of the other options."),
        ("static", None, None, "Directory to serve."),
        ("resource", None, None, "Serve package.module:attribute instead, a Twisted Web resource."),
        ("wsgi", None, None, "Serve package.module:attribute instead, a WSGI application."),
        ("tunnel", None, None, "Hand the bytes of whole connections to tcp:HOST:PORT or unix:PATH instead."),
        ("redirect", None, None, "Lead everybody to this URL instead."),
        ("state-dir", None, None, "Directory where staples survive restarts."),
        ("responder", None, None, "URL to ask instead of the certificate's own; empty: never ask."),
        ("issuer", None, None, "PEM file with the issuer, if it is not in the certificate's file."),
        ("must-staple", None, None, "Without a staple: serve (the default), or refuse handshakes."),
        ("client-ca", None, None, "PEM file with the CA whose certificates clients must show."),
        ("client-auth", None, None, "With --client-ca: require a certificate (the default), request one, or off."),
        ("admin", None, None, "Where to ask and steer it: tcp:PORT:interface=127.0.0.1, or unix:PATH."),
        ("workers", None, None, "Processes that serve: a number, or auto, one for each processor."),
        ("tls", None, None, "Mozilla's name for versions and ciphers: intermediate (the default), or modern."),
    )

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Twisted's has no annotations
        for key in _REPEATED:
            self[_option(key)] = []

    def opt_listen(self, endpoint: str) -> None:
        """Where to listen; may be given more than once. Left out it is tcp:8443, for --demo on 127.0.0.1 alone."""
        self["listen"].append(endpoint)

    def opt_certificate(self, file: str) -> None:
        """PEM file: the certificate and its chain, leaf first. Twice for RSA beside ECDSA."""
        self["certificate"].append(file)

    def opt_private_key(self, file: str) -> None:
        """PEM file with the certificate's key, if it is not in the same file; as often as --certificate."""
        self["private-key"].append(file)

    def opt_proxy(self, url: str) -> None:
        """Pass requests on to this HTTP server instead, like http://127.0.0.1:8080; may be given more than once."""
        self["proxy"].append(url)

    def opt_staple_file(self, file: str) -> None:
        """File to take the OCSP response from instead of a responder; as often as --certificate."""
        self["staple-file"].append(file)

    def opt_version(self) -> None:
        """Show the version and end."""
        click.echo(f"staplesrv {__version__}")
        raise SystemExit(0)

    def parseArgs(self, *words: str) -> None:
        """Refuse what is no option."""
        if words:
            raise usage.UsageError(f"{words[0][:100]!a} is no option")

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """Read the command line."""
        twistds = getattr(self, "parent", None) or {}
        self._pid_file = twistds.get("pidfile") or ""
        if VARIABLE in os.environ and self._pid_file:
            # The process that this one is to replace still has it; twistd looks after this was said.
            twistds["pidfile"] = other_pid_file(self._pid_file)
        try:
            super().parseOptions(options)  # type: ignore[no-untyped-call]  # Twisted's has no annotations
        except usage.UsageError as error:
            raise SystemExit(f"staplesrv: {error}; see 'twistd staplesrv --help'") from error

    def alone(self) -> None:
        """The process that this one was to replace has gone, and its pid file with it."""
        take_over_pid_file(self.parent or {}, self._pid_file)

    def lost(self, pid: int) -> None:
        """A process that was to replace this one has ended, and may have left its pid file."""
        clear_other_pid_file(self._pid_file, pid)

    @property
    def is_demo(self) -> bool:
        """Whether this is a demonstration.

        Raises:
            OperatorError: it is, and there is an option that does not go with it.
        """
        if self["demo"]:
            self._refuse_beside("demo", "listen")
        return bool(self["demo"])

    @property
    def listen(self) -> tuple[str, ...]:
        """The endpoints that were given."""
        return tuple(self["listen"])

    def configuration(self) -> Configuration:
        """Read the file that is named, or make the same of the options for one site.

        Raises:
            OperatorError: something in it can't be used.
        """
        if self["config"] is not None:
            self._refuse_beside("config")
            return load(Path(self["config"]))
        if not self["certificate"]:
            advice = "give --certificate, --private-key and --static for one site, --config FILE for more, or --demo"
            raise OperatorError("command line", "there is nothing to serve", advice)
        return build(self._table(), CommandLine(), Path.cwd())

    def _table(self) -> Mapping[str, Any]:
        endpoints = self["listen"] or [DEFAULT_LISTEN]
        tls = self._given("tls")
        table: dict[str, Any] = {
            "listeners": [{"endpoint": endpoint, **tls} for endpoint in endpoints],
            "sites": [self._given(*_SITE_KEYS)],
        }
        workers = self._given("workers")
        if workers.get("workers", "").isdecimal():
            workers["workers"] = int(workers["workers"])
        return table | self._given("state_dir", "admin") | workers

    def _given(self, *keys: str) -> dict[str, Any]:
        """The options that were given, under the names that they have in a file."""
        values = {key: self[_option(key)] for key in keys}
        return {key: value for key, value in values.items() if value is not None and value != []}

    def _refuse_beside(self, option: str, *allowed: str) -> None:
        others = self._given("config", "listen", "state_dir", "admin", "tls", "workers", *_SITE_KEYS)
        if self["demo"]:
            others["demo"] = True
        odd = next((key for key in others if key not in (option, *allowed)), None)
        if odd is not None:
            raise OperatorError(f"--{_option(odd)}", f"does not go with --{option}", "leave one of them out")


def _option(key: str) -> str:
    return key.replace("_", "-")
