"""The gateway under test, its customers, and what its books say of them."""

import hashlib
import json
import os
import secrets
import urllib.error
import urllib.request

from cases import expect, wait_for
from processes import free_port

BODY_BYTES_MAX = 32 << 20
CONFIGURATION = """
[server]
listen = "127.0.0.1:{port}"
workers = 2
drain_timeout = "1s"
limits = {{ body_bytes = "32MiB" }}
{server}

[admin]
listen = "127.0.0.1:{admin}"
token = {{ env = "FAREGATE_ADMIN_TOKEN" }}

[store]
url = "sqlite:faregate.db"

[log]
access = "access.log"

[auth]
locations = ["bearer", "x-api-key", "basic", "query:api_key"]
{more}
{upstreams}
[plans.all]
quotas = [{{ name = "all", limit = 1000000, window = "lifetime" }}]

[plans.two]
quotas = [{{ name = "two", limit = 2, window = "lifetime" }}]
upgrade_url = "https://example.com/billing"
"""
UPSTREAM = """
[upstreams.{name}]
{url}

[[routes]]
name = "{name}"
path = "/{name}/{{*path}}"
strip_prefix = "/{name}"
upstream = "{name}"

[[routes]]
name = "{name}-public"
path = "/public/{name}/{{*path}}"
strip_prefix = "/public/{name}"
upstream = "{name}"
access = "public"

[[routes]]
name = "{name}-by-message"
path = "/by-message/{name}/{{*path}}"
strip_prefix = "/by-message/{name}"
upstream = "{name}"
websocket = "message"

[[routes]]
name = "{name}-by-time"
path = "/by-time/{name}/{{*path}}"
strip_prefix = "/by-time/{name}"
upstream = "{name}"
websocket = "1s"
"""


class Gateway:
    """A gateway in a directory of its own, before the upstreams that are named."""

    def __init__(self, processes, binary, directory, upstreams, more="", scheme="http", server=""):
        self.binary = binary
        self.scheme = scheme
        self.port = free_port()
        self.admin_port = free_port()
        directory.mkdir()
        self.file = directory / "faregate.toml"
        self.file.write_text(
            CONFIGURATION.format(
                port=self.port,
                admin=self.admin_port,
                more=more,
                server=server,
                upstreams="".join(UPSTREAM.format(name=name, url=url_of(at)) for name, at in upstreams.items()),
            )
        )
        command = [binary, "run", "--config", "faregate.toml"]
        self.token = secrets.token_hex(16)
        environment = {**os.environ, "FAREGATE_ADMIN_TOKEN": self.token}
        # It listens before all else, so calls may have to wait a moment; they do, in the listen queue.
        self.process = processes.start(directory.name, command, self.port, cwd=directory, env=environment)

    def url(self, path, scheme=None):
        return f"{scheme or self.scheme}://127.0.0.1:{self.port}{path}"

    def admin(self, method, path, document=None):
        """Makes a call of the admin API and returns its answer."""
        body = None if document is None else json.dumps(document).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.admin_port}{path}", data=body, method=method)
        request.add_header("Authorization", f"Bearer {self.token}")
        if body is not None:
            request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} {path}: {error.code} {error.read()!r}") from error

    def metrics(self, name, *labels):
        """Returns the values of a metric's series in whose labels all of these stand."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin_port}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        found = [line for line in lines if line.startswith(f"{name}{{") and all(label in line for label in labels)]
        return [float(line.rsplit(" ", 1)[1]) for line in found]

    def customer(self, plan="all"):
        """Makes a customer with a key."""
        return Customer(self, plan)


def url_of(at):
    """Writes where an upstream is: a port, or one within TLS and the table for that, or all that is to be written."""
    if isinstance(at, str):
        return at
    if isinstance(at, tuple):
        port, tls = at
        return f'url = "https://127.0.0.1:{port}"\ntls = {tls}'
    return f'url = "http://127.0.0.1:{at}"'


class Customer:
    """A customer, and how many calls it has made that are to be charged."""

    def __init__(self, gateway, plan):
        self.gateway = gateway
        self.id = f"interop-{secrets.token_hex(4)}"
        self.plan = plan
        self.calls = 0
        gateway.admin("POST", "/v1/customers", {"id": self.id, "subscription": {"plan": plan}})
        made = gateway.admin("POST", f"/v1/customers/{self.id}/keys", {"name": "interop"})
        self.key = made["secret"]
        self.key_id = made["id"]

    def revoke(self):
        """Takes the key back."""
        self.gateway.admin("DELETE", f"/v1/keys/{self.key_id}")

    def usage(self):
        """Returns the units that are used and those that are held."""
        usage = self.gateway.admin("GET", f"/v1/customers/{self.id}/usage")
        (quota,) = [one for one in usage["quotas"] if one["name"] == self.plan]
        return quota["used"], quota["reserved"]

    def check_books(self):
        """Fails unless exactly the calls that were made are charged, and nothing is held any more."""
        wait_for("the end of all calls", lambda: self.usage()[1] == 0)
        expect("units used", self.usage()[0], self.calls)


def sha256(content):
    return hashlib.sha256(content).hexdigest()
