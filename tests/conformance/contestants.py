"""Four proxies before one upstream: each in clear by HTTP/2 and within TLS, with the same certificate."""

import os
import subprocess

from processes import free_port, program

UPSTREAM = """
daemon off;
master_process off;
worker_processes 1;
pid nginx.pid;
error_log stderr;
events {{}}
http {{
  access_log off;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  scgi_temp_path scgi;
  uwsgi_temp_path uwsgi;
  server {{
    listen 127.0.0.1:{port};
    location / {{ default_type text/plain; return 200 "{body}"; }}
  }}
}}
"""
FAREGATE = """
[server]
listen = "127.0.0.1:{port}"
{tls}

[admin]
listen = "127.0.0.1:{admin}"
token = {{ env = "FAREGATE_ADMIN_TOKEN" }}

[store]
url = "sqlite:faregate.db"

[log]
access = "off"

[upstreams.api]
url = "http://127.0.0.1:{upstream}"

[[routes]]
path = "/{{*path}}"
upstream = "api"
access = "public"
"""
NGINX = """
daemon off;
master_process off;
worker_processes 1;
pid nginx.pid;
error_log stderr;
events {{}}
http {{
  access_log off;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  scgi_temp_path scgi;
  uwsgi_temp_path uwsgi;
  ssl_protocols TLSv1.2 TLSv1.3;
  ssl_certificate {certificate}.crt;
  ssl_certificate_key {certificate}.key;
  server {{
    listen 127.0.0.1:{clear} http2;
    listen 127.0.0.1:{secured} ssl http2;
    location / {{ proxy_pass http://127.0.0.1:{upstream}; }}
  }}
}}
"""
HAPROXY = """
defaults
    mode http
    timeout connect 2s
    timeout client 60s
    timeout server 60s
frontend all
    bind 127.0.0.1:{clear}
    bind 127.0.0.1:{secured} ssl crt {certificate}.pem alpn h2,http/1.1
    default_backend api
backend api
    server api 127.0.0.1:{upstream}
"""
CADDY = """
{{
  admin off
  auto_https off
  http_port {clear}
  https_port {secured}
  servers {{
    protocols h1 h2 h2c
  }}
}}
http://:{clear} {{
  bind 127.0.0.1
  reverse_proxy 127.0.0.1:{upstream}
}}
https://:{secured} {{
  bind 127.0.0.1
  tls {certificate}.crt {certificate}.key
  reverse_proxy 127.0.0.1:{upstream}
}}
"""
BODY = "The fare is paid at the gate. " * 34


class Contestant:
    """A proxy that runs: its version, and its ports in clear and within TLS."""

    def __init__(self, name, version, clear, secured):
        self.name, self.version, self.clear, self.secured = name, version, clear, secured


class Contestants:
    """Starts those that are named, each in a directory of its own."""

    def __init__(self, processes, directory, binary):
        self.processes, self.directory, self.binary = processes, directory, binary
        self.certificate = directory / "server"
        self._write_certificate()
        self.upstream = free_port()
        home = self._home("upstream")
        (home / "nginx.conf").write_text(UPSTREAM.format(port=self.upstream, body=BODY))
        processes.start("upstream", nginx(home), self.upstream)

    def start(self, name):
        """Starts one."""
        clear, secured = free_port(), free_port()
        version = getattr(self, f"_{name}")(clear, secured)
        return Contestant(name, version, clear, secured)

    def _faregate(self, clear, secured):
        # A listener is in clear or within TLS, so there are two of it.
        tls = f'tls = {{ cert = "{self.certificate}.crt", key = "{self.certificate}.key" }}'
        for name, port, more in [("faregate-clear", clear, ""), ("faregate-tls", secured, tls)]:
            home = self._home(name)
            text = FAREGATE.format(port=port, tls=more, admin=free_port(), upstream=self.upstream)
            (home / "faregate.toml").write_text(text)
            environment = {**os.environ, "FAREGATE_ADMIN_TOKEN": "conformance-conformance"}
            self.processes.start(name, [self.binary, "run"], port, cwd=home, env=environment)
        return version_of(self.binary, "--version")

    def _nginx(self, clear, secured):
        home = self._home("nginx")
        (home / "nginx.conf").write_text(self._filled(NGINX, clear, secured))
        self.processes.start("nginx", nginx(home), secured)
        return version_of(program("nginx"), "-v")

    def _haproxy(self, clear, secured):
        home = self._home("haproxy")
        (home / "haproxy.cfg").write_text(self._filled(HAPROXY, clear, secured))
        self.processes.start("haproxy", [program("haproxy"), "-f", str(home / "haproxy.cfg"), "-db"], secured)
        return version_of(program("haproxy"), "-v")

    def _caddy(self, clear, secured):
        home = self._home("caddy")
        (home / "Caddyfile").write_text(self._filled(CADDY, clear, secured))
        environment = {**os.environ, "HOME": str(home), "XDG_DATA_HOME": str(home), "XDG_CONFIG_HOME": str(home)}
        command = [program("caddy"), "run", "--config", "Caddyfile", "--adapter", "caddyfile"]
        self.processes.start("caddy", command, secured, cwd=home, env=environment)
        return version_of(program("caddy"), "version")

    def _filled(self, template, clear, secured):
        return template.format(
            clear=clear, secured=secured, upstream=self.upstream, certificate=self.certificate
        )

    def _home(self, name):
        home = self.directory / name
        home.mkdir()
        return home

    def _write_certificate(self):
        # RSA, since most of what asks servers of TLS knows of that alone.
        key, cert = f"{self.certificate}.key", f"{self.certificate}.crt"
        command = [program("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30"]
        command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
        command += ["-addext", "basicConstraints=critical,CA:FALSE", "-keyout", key, "-out", cert]
        subprocess.run(command, check=True, capture_output=True)
        both = "".join(open(name).read() for name in (cert, key))
        open(f"{self.certificate}.pem", "w").write(both)


NAMES = ["faregate", "nginx", "haproxy", "caddy"]


def nginx(home):
    return [program("nginx"), "-p", str(home), "-c", "nginx.conf", "-e", "stderr"]


def version_of(binary, option):
    """Returns the first line in which a program tells its version."""
    told = subprocess.run([binary, option], capture_output=True, text=True, check=True)
    return (told.stdout + told.stderr).splitlines()[0]
