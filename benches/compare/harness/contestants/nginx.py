"""nginx: the upstream of all, and three contestants."""

import os
import pwd

from ..failure import Failure
from ..processes import free_port, wait_for_port
from ..programs import module
from ..stage import CHECKED_PATH, PLAIN_PATH, TEMPLATES, Endpoint, Instance, fill, render
from ..workload import PAYING_LIMIT, SPENT_LIMIT, body
from .base import Contestant


def _common(stage, directory):
    """The values of every configuration of nginx."""
    user = pwd.getpwuid(os.geteuid()).pw_name
    return {
        "dir": directory,
        # Only root can be another user, and the files are ours.
        "user": f"user {user};" if os.geteuid() == 0 else "",
        "workers": stage.workers,
        "descriptors": stage.descriptors,
        "connections_max": stage.connections_max() * 2,
        "upstream_port": stage.upstream_port,
    }


def start_upstream(stage):
    """Starts the API that every contestant forwards to."""
    directory = stage.fresh_directory("upstream")
    stage.upstream_port = free_port()
    values = _common(stage, directory) | {"body": body()}
    # It does next to nothing for a request; a second worker would only be woken in vain.
    values["workers"] = max(1, stage.workers // 2)
    config = render("upstream.conf", directory / "upstream.conf", values)
    stage.upstream = _run(stage, config, directory, stage.upstream_port, "upstream")


def _run(stage, config, directory, port, name):
    errors = directory / "error.log"
    with open(errors, "ab") as err:
        command = ["nginx", "-e", errors, "-p", directory, "-c", config]
        process = stage.processes.start(command, stdout=err, stderr=err)
    wait_for_port(process, port, name, errors)
    return process


class Nginx(Contestant):
    """Forwards and logs, and checks nothing."""

    programs = ("nginx", "openssl")
    checks_keys = False
    counts = False
    # The file names' middle of the parts of its configuration, None for no parts.
    parts = None
    modules = ()

    def start(self, stage, workload, tls=False):
        """Master and workers, which share the listening sockets."""
        directory = stage.fresh_directory(self.name)
        ports = {name: free_port() for name in ("checked", "plain", "tls")}
        log = directory / "access.log"
        cert, key, _ = stage.certificate
        values = _common(stage, directory) | {"log": log, "cert": cert, "key": key}
        values |= {f"{name}_port": port for name, port in ports.items()}
        values |= self._parts(workload)
        config = render("nginx.conf", directory / "nginx.conf", values)
        process = _run(stage, config, directory, ports["checked"], self.name)
        endpoints = {
            "checked": Endpoint(ports["checked"], CHECKED_PATH),
            "plain": Endpoint(ports["plain"], PLAIN_PATH),
            "tls": Endpoint(ports["tls"], CHECKED_PATH, "https"),
        }
        return Instance(self.name, stage, [process], endpoints, log, b'"status":')

    def _parts(self, workload):
        unset = 'set $customer "";'
        loads = []
        for name in self.modules:
            path = module(name)
            if path is None:
                raise Failure(f"{name} is missing; on Debian: apt-get install libnginx-mod-http-lua")
            loads.append(f"load_module {path};")
        values = {"modules": "\n".join(loads), "plain_server_part": unset}
        if self.parts is None:
            return values | {"http_part": "", "server_part": unset, "location_part": ""}
        # A customer takes about a quarter of a KiB in each table.
        mebibytes = 8 + workload.total // 4000
        inner = {
            "keys_map": self._map(workload),
            "spent_limit": SPENT_LIMIT,
            "paying_limit": PAYING_LIMIT,
            "customers_memory": f"{mebibytes}m",
            "used_memory": f"{mebibytes}m",
        }
        for part in ("http", "server", "location"):
            text = (TEMPLATES / f"{self.parts}.{part}.conf").read_text()
            values[f"{part}_part"] = fill(text, inner)
        return values

    def _map(self, workload):
        return workload.map_file


class NginxMap(Nginx):
    """What nginx can do of the checks by itself: keys, and a rate in a quota's place."""

    checks_keys = True
    counts = True
    # A customer at the rate of one a minute is let through once a minute.
    stray = 0.01
    parts = "nginx-map"

    def _map(self, workload):
        return workload.nginx_map_file


class NginxLua(Nginx):
    """The checks in Lua, in the access phase."""

    programs = ("nginx", "nginx-lua", "openssl")
    checks_keys = True
    counts = True
    parts = "nginx-lua"
    modules = ("ndk_http_module.so", "ngx_http_lua_module.so")
