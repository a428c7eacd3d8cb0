"""The upstreams: real servers, and one that says what those do not."""

import os
import random
import subprocess

from cases import Missing
from processes import free_port, program
from raw import Raw

NGINX = """
daemon off;
master_process off;
worker_processes 1;
pid nginx.pid;
error_log stderr;
events {{}}
http {{
  types {{ text/html html; text/plain txt; application/octet-stream bin; }}
  access_log off;
  gzip on;
  gzip_types text/plain;
  # Without it nginx compresses nothing for who comes with `Via`, as the gateway does.
  gzip_proxied any;
  client_max_body_size 0;
  # So few that the gateway's connections end now and then.
  keepalive_requests 7;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  scgi_temp_path scgi;
  uwsgi_temp_path uwsgi;
  server {{
    listen 127.0.0.1:{api};
    root files;
    location /small/ {{ client_max_body_size 1k; dav_methods PUT; }}
    location /upload/ {{ dav_methods PUT; create_full_put_path on; }}
  }}
  server {{
    listen 127.0.0.1:{pages};
    root pages;
  }}
  # As the first, for those alone who show the gateway's certificate.
  server {{
    listen 127.0.0.1:{secured} ssl;
    ssl_certificate {certificates}/server.crt;
    ssl_certificate_key {certificates}/server.key;
    ssl_verify_client on;
    ssl_client_certificate {certificates}/gateway.crt;
    root files;
    location /small/ {{ client_max_body_size 1k; dav_methods PUT; }}
    location /upload/ {{ dav_methods PUT; create_full_put_path on; }}
  }}
}}
"""
CADDY = """
{{
  admin off
  auto_https off
}}
:{port} {{
  bind 127.0.0.1
  root * {files}
  encode gzip
  file_server
}}
https://127.0.0.1:{secured} {{
  bind 127.0.0.1
  tls {certificates}/server.crt {certificates}/server.key
  root * {files}
  encode gzip
  file_server
}}
"""
# What the gateway knows of those within TLS.
TLS = '{{ ca = "{0}/server.crt", cert = "{0}/gateway.crt", key = "{0}/gateway.key" }}'
FILE_BYTES = 5 << 20
TEXT = "The fare is paid at the gate.\n" * 500


class Servers:
    """All upstreams. One whose program is missing has no port, and its cases fail."""

    def __init__(self, processes, directory, here, libraries):
        self.processes, self.directory, self.here, self.libraries = processes, directory, here, libraries
        self.files = directory / "nginx" / "files"
        self.pages = directory / "nginx" / "pages"
        self.certificates = directory / "certificates"
        self.missing = {}
        self.raw = Raw()
        self.ports = {"raw": self.raw.port}
        self.secured = {"nginx": free_port(), "caddy": free_port()}
        self._write_files()
        for name, start in [
            ("nginx", self._nginx),
            ("caddy", self._caddy),
            ("nginx-tls", lambda: self._secured("nginx")),
            ("caddy-tls", lambda: self._secured("caddy")),
            ("grpc", self._grpc),
            ("websockets", self._websockets),
            ("ws", self._ws),
        ]:
            try:
                self.ports[name] = start()
            except Missing as missing:
                self.missing[name] = str(missing)

    def need(self, *names):
        """Fails unless these are running."""
        for name in names:
            if name in self.missing:
                raise Missing(self.missing[name])

    def python(self):
        """Returns the Python that has the libraries."""
        path = self.libraries / "python" / "bin" / "python"
        if not path.exists():
            raise Missing(f"{path} (tests/interop/install makes it)")
        return str(path)

    def node(self):
        """Returns Node, and the environment in which it finds the libraries."""
        if not (self.libraries / "node_modules" / "ws").exists():
            raise Missing("ws for Node (tests/interop/install brings it)")
        # `require` looks there; `import` would not.
        return program("node"), {**os.environ, "NODE_PATH": str(self.libraries / "node_modules")}

    def need_module(self, *names):
        """Fails unless these libraries for Node are there."""
        for name in names:
            if not (self.libraries / "node_modules" / name).exists():
                raise Missing(f"{name} for Node (tests/interop/install brings it)")

    def _write_files(self):
        self.files.mkdir(parents=True)
        self.pages.mkdir()
        self.file = random.Random(1).randbytes(FILE_BYTES)
        (self.files / "file.bin").write_bytes(self.file)
        (self.files / "text.txt").write_text(TEXT)
        (self.files / "empty.txt").write_text("")

    def _nginx(self):
        nginx, prefix = program("nginx"), self.directory / "nginx"
        port, self.page_port = free_port(), free_port()
        self._write_certificates()
        text = NGINX.format(
            api=port, pages=self.page_port, secured=self.secured["nginx"], certificates=self.certificates
        )
        (prefix / "nginx.conf").write_text(text)
        command = [nginx, "-p", str(prefix), "-c", "nginx.conf", "-e", "stderr"]
        self.processes.start("nginx", command, port)
        return port

    def _caddy(self):
        caddy, home, port = program("caddy"), self.directory / "caddy", free_port()
        home.mkdir()
        self._write_certificates()
        text = CADDY.format(port=port, files=self.files, secured=self.secured["caddy"], certificates=self.certificates)
        (home / "Caddyfile").write_text(text)
        environment = {**os.environ, "HOME": str(home), "XDG_DATA_HOME": str(home), "XDG_CONFIG_HOME": str(home)}
        command = [caddy, "run", "--config", "Caddyfile", "--adapter", "caddyfile"]
        self.processes.start("caddy", command, port, cwd=home, env=environment)
        return port

    def _secured(self, name):
        """Returns where a server is within TLS, which is started by now."""
        self.need(name)
        return self.secured[name], TLS.format(self.certificates)

    def _write_certificates(self):
        """Makes certificates that vouch for themselves, each with its key."""
        openssl = program("openssl")
        if self.certificates.exists():
            return
        self.certificates.mkdir()
        for name in ["server", "gateway", "caller"]:
            key, cert = self.certificates / f"{name}.key", self.certificates / f"{name}.crt"
            command = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
            command += ["-days", "30", "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1"]
            command += ["-addext", "basicConstraints=critical,CA:FALSE", "-keyout", key, "-out", cert]
            subprocess.run(command, check=True, capture_output=True)

    def _grpc(self):
        python, port = self.python(), free_port()
        command = [python, str(self.here / "programs" / "grpc_server.py"), str(port)]
        self.grpc = self.processes.start("grpc", command, port)
        health = 'health = { grpc = "test.Echo", interval = "100ms", fails = 1, passes = 1 }'
        return f'url = "http://127.0.0.1:{port}"\nhttp_version = "2"\n{health}'

    def _websockets(self):
        python, port = self.python(), free_port()
        self.processes.start("websockets", [python, str(self.here / "programs" / "ws_server.py"), str(port)], port)
        return port

    def _ws(self):
        (node, environment), port = self.node(), free_port()
        command = [node, str(self.here / "programs" / "ws_server.cjs"), str(port)]
        self.processes.start("ws", command, port, env=environment)
        return port
