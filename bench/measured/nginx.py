"""nginx, which everything is measured against: one worker, connections kept, nothing logged."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path

CONFIGURATION = """\
{user}
{load}
daemon off;
worker_processes 1;
pid {folder}/nginx-{label}.pid;
error_log stderr;
events {{ worker_connections 16384; }}
http {{
  access_log off;
  keepalive_timeout 600s;
  keepalive_requests 10000000;
  default_type application/octet-stream;
  client_body_temp_path {folder}/nginx-body;
  proxy_temp_path {folder}/nginx-proxy;
  fastcgi_temp_path {folder}/nginx-fastcgi;
  uwsgi_temp_path {folder}/nginx-uwsgi;
  scgi_temp_path {folder}/nginx-scgi;
{http}
}}
{stream}
"""


def command(nginx: str, folder: Path, label: object, *, http: str, stream: str = "") -> list[str]:
    """Write a configuration, and return the command that runs it.

    Args:
        nginx: What runs nginx; where that is in a chroot, the folder is the same one inside.
        folder: For the configuration and all that nginx writes.
        label: Tells several configurations in the folder apart.
        http: What stands in the block `http`.
        stream: What stands in the block `stream`, whose module may have to be loaded.
    """
    user = "user root;" if os.geteuid() == 0 else ""
    path = folder / f"nginx-{label}.conf"
    block = f"stream {{\n{stream}\n}}" if stream else ""
    load = _stream_module(nginx) if stream else ""
    path.write_text(CONFIGURATION.format(user=user, load=load, folder=folder, label=label, http=http, stream=block))
    return [*shlex.split(nginx), "-p", str(folder), "-c", str(path), "-e", "stderr"]


def version(nginx: str) -> str:
    """Return nginx's version and that of its OpenSSL."""
    return ", ".join(line for line in _build(nginx).splitlines() if "nginx version" in line or "OpenSSL" in line)


def _stream_module(nginx: str) -> str:
    build = _build(nginx)
    if "--with-stream=dynamic" not in build:
        return ""
    # With -p, relative paths are no longer those of the package.
    found = re.search(r"--modules-path=(\S+)", build)
    return f"load_module {found[1] if found else 'modules'}/ngx_stream_module.so;"


def _build(nginx: str) -> str:
    return subprocess.run([*shlex.split(nginx), "-V"], check=True, capture_output=True, text=True).stderr
