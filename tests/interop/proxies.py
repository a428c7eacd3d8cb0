"""nginx, HAProxy and Caddy on both sides of a gateway: as upstreams that speak HTTP/2, and as what callers reach first."""

import os

from processes import free_port, program

NGINX_BEHIND = """
server {{
  listen 127.0.0.1:{clear} http2;
  listen 127.0.0.1:{secured} ssl http2;
  ssl_certificate {certificates}/server.crt;
  ssl_certificate_key {certificates}/server.key;
  root {files};
  location /small/ {{ client_max_body_size 1k; dav_methods PUT; }}
  location /upload/ {{ dav_methods PUT; create_full_put_path on; }}
}}
"""
NGINX_BEFORE = """
server {{
  listen 127.0.0.1:{before} ssl http2;
  ssl_certificate {certificates}/server.crt;
  ssl_certificate_key {certificates}/server.key;
  # To a client of gRPC the end of a connection is the end of its calls.
  keepalive_requests 1000;
  proxy_http_version 1.1;
  proxy_request_buffering off;
  location / {{ proxy_set_header Host $host; proxy_pass http://127.0.0.1:{gateway}; }}
  location ~ ^/(grpc|nowhere)/ {{ grpc_pass grpc://127.0.0.1:{gateway}; }}
}}
"""
NGINX = """
daemon off;
master_process off;
worker_processes 1;
pid nginx.pid;
error_log stderr;
events {{}}
http {{
  types {{ text/plain txt; application/octet-stream bin; }}
  access_log off;
  gzip on;
  gzip_types text/plain;
  gzip_proxied any;
  client_max_body_size 0;
  # So few that a connection of HTTP/2 is ended (GOAWAY) now and then.
  keepalive_requests 7;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  scgi_temp_path scgi;
  uwsgi_temp_path uwsgi;
  {servers}
}}
"""
HAPROXY = """
defaults
    mode http
    timeout connect 2s
    timeout client 20s
    timeout server 20s
"""
HAPROXY_BEHIND = """
frontend behind
    bind 127.0.0.1:{clear} proto h2
    bind 127.0.0.1:{secured} ssl crt {certificates}/server.pem alpn h2
    default_backend files
backend files
    server files 127.0.0.1:{nginx}
"""
HAPROXY_BEFORE = """
frontend before
    bind 127.0.0.1:{before} ssl crt {certificates}/server.pem alpn h2,http/1.1
    default_backend gateway
backend gateway
    server gateway 127.0.0.1:{gateway} proto h2 {more}
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
(files) {{
  bind 127.0.0.1
  root * {files}
  encode gzip
  file_server
}}
http://:{clear} {{
  import files
}}
https://127.0.0.1:{secured} {{
  tls {certificates}/server.crt {certificates}/server.key
  import files
}}
"""
CLEAR = 'url = "http://127.0.0.1:{0}"\nhttp_version = "2"'
SECURED = 'url = "https://127.0.0.1:{0}"\nhttp_version = "2"\ntls = {{ ca = "{1}/server.crt" }}'


class Proxies:
    """Starts them, each in a directory of its own."""

    def __init__(self, servers, directory):
        self.servers, self.directory = servers, directory
        directory.mkdir()
        self.certificates = servers.certificates
        pair = [(self.certificates / f"server.{end}").read_text() for end in ("crt", "key")]
        (self.certificates / "server.pem").write_text("".join(pair))

    def behind(self):
        """Starts all three as upstreams; returns what a configuration says of them, in clear and within TLS."""
        upstreams = {}
        for name in ["nginx", "haproxy", "caddy"]:
            clear, secured = free_port(), free_port()
            getattr(self, f"_{name}_behind")(clear, secured)
            upstreams[f"{name}-h2"] = CLEAR.format(clear)
            upstreams[f"{name}-h2-tls"] = SECURED.format(secured, self.certificates)
        return upstreams

    def nginx_before(self, gateway):
        """Starts nginx before a gateway; returns its port."""
        before = free_port()
        self._nginx("nginx-before", before, NGINX_BEFORE.format(before=before, gateway=gateway, **self._common()))
        return before

    def haproxy_before(self, name, gateway, more=""):
        """Starts HAProxy before a gateway, which it asks by HTTP/2; returns its port."""
        before = free_port()
        self._haproxy(name, before, HAPROXY_BEFORE.format(before=before, gateway=gateway, more=more, **self._common()))
        return before

    def _nginx_behind(self, clear, secured):
        text = NGINX_BEHIND.format(clear=clear, secured=secured, **self._common())
        self._nginx("nginx-behind", secured, text)

    def _haproxy_behind(self, clear, secured):
        nginx = self.servers.ports["nginx"]
        text = HAPROXY_BEHIND.format(clear=clear, secured=secured, nginx=nginx, **self._common())
        self._haproxy("haproxy-behind", secured, text)

    def _caddy_behind(self, clear, secured):
        home = self._home("caddy-behind")
        (home / "Caddyfile").write_text(CADDY.format(clear=clear, secured=secured, **self._common()))
        environment = {**os.environ, "HOME": str(home), "XDG_DATA_HOME": str(home), "XDG_CONFIG_HOME": str(home)}
        command = [program("caddy"), "run", "--config", "Caddyfile", "--adapter", "caddyfile"]
        self.servers.processes.start("caddy-behind", command, secured, cwd=home, env=environment)

    def _nginx(self, name, port, servers):
        home = self._home(name)
        (home / "nginx.conf").write_text(NGINX.format(servers=servers))
        command = [program("nginx"), "-p", str(home), "-c", "nginx.conf", "-e", "stderr"]
        self.servers.processes.start(name, command, port)

    def _haproxy(self, name, port, sections):
        home = self._home(name)
        (home / "haproxy.cfg").write_text(HAPROXY + sections)
        command = [program("haproxy"), "-f", str(home / "haproxy.cfg"), "-db"]
        self.servers.processes.start(name, command, port)

    def _home(self, name):
        home = self.directory / name
        home.mkdir()
        return home

    def _common(self):
        return {"certificates": self.certificates, "files": self.servers.files}
