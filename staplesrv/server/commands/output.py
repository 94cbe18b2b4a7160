"""Print what a command found out, on whatever terminal or pipe there is."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import click

from staplesrv.ops import text


def lines(found: Iterable[str]) -> None:
    """Print lines; what would steer the terminal, or what it has no character for, appears as an escape."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    for line in found:
        click.echo(text.plain(line).encode(encoding, "backslashreplace").decode(encoding))


def json_object(found: Mapping[str, Any]) -> None:
    """Print a JSON object, in ASCII; times in ISO 8601, UTC."""
    click.echo(json.dumps(found, indent=2, default=_json))


def _json(value: object) -> str:
    if isinstance(value, datetime):
        return text.iso(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")
