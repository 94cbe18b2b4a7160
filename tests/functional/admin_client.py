"""Asking a running server how it is, by our own commands."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from functional.harness import BIN, Program


def asked(program: Program, *arguments: str) -> tuple[int, str, str]:
    """Run the `staplesrv` command beside the server; its exit status, and what it wrote."""
    done = subprocess.run(
        [BIN / "staplesrv", *arguments], cwd=program.folder, capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stdout, done.stderr


def document(program: Program) -> dict[str, Any]:
    """What the server says of itself."""
    status, out, err = asked(program, "status", "unix:admin", "--json")
    assert status < 3, err
    found: dict[str, Any] = json.loads(out)
    return found
