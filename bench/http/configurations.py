"""What the servers are told: one site for each kind of work, under a name of its own."""

from __future__ import annotations

NGINX = """\
  upstream backend {{ server 127.0.0.1:{backend}; keepalive 64; }}
  ssl_certificate {certificate};
  ssl_certificate_key {key};
  server {{
    listen 127.0.0.1:{port} ssl backlog=1024;
    http2 on;
    server_name files.example resource.example;
    open_file_cache max=1000;
    open_file_cache_valid 1s;
    root {www};
  }}
  server {{
    listen 127.0.0.1:{port} ssl;
    server_name proxy.example;
    location / {{
      proxy_pass http://backend;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Host $http_host;
      proxy_set_header X-Forwarded-Proto $scheme;
    }}
  }}
"""

NGINX_TUNNEL = """\
  server {{
    listen 127.0.0.1:{tunnel} ssl backlog=1024;
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    proxy_pass 127.0.0.1:{backend};
  }}
"""

NGINX_BACKEND = """\
  server {{
    listen 127.0.0.1:{backend} backlog=1024;
    root {www};
  }}
"""

CADDY = """\
{{
  admin off
  auto_https off
  persist_config off
  storage file_system {folder}/caddy
  servers {{
    protocols h1 h2
  }}
}}
https://files.example:{port} {{
  bind 127.0.0.1
  tls {certificate} {key}
  root * {www}
  file_server
}}
https://proxy.example:{port} {{
  bind 127.0.0.1
  tls {certificate} {key}
  reverse_proxy 127.0.0.1:{backend}
}}
"""

STAPLESRV = """\
listen = ["tcp:{port}:interface=127.0.0.1"]
state_dir = "{folder}/state"
"""

STAPLESRV_SITE = """
[[sites]]
names = ["{name}.example"]
certificate = "{certificate}"
private_key = "{key}"
staple_file = "{staple}"
{serves}
"""

STAPLESRV_SERVES = {
    "files": 'static = "{www}"',
    "proxy": 'proxy = "http://127.0.0.1:{backend}"',
    "resource": 'resource = "ten_lines:Small"',
    "tunnel": 'tunnel = "tcp:127.0.0.1:{backend}"',
}
