"""Caddy: keys by its map directive; it counts nothing."""

import os

from ..processes import free_port, wait_for_port
from ..stage import CHECKED_PATH, PLAIN_PATH, Endpoint, Instance, render
from .base import Contestant


class Caddy(Contestant):
    """One process whose threads the Go runtime is told to keep to the same number."""

    programs = ("caddy", "openssl")
    counts = False

    def start(self, stage, workload, tls=False):
        """Its state goes into its directory, as nothing may be left in the home of the user."""
        directory = stage.fresh_directory(self.name)
        ports = {name: free_port() for name in ("checked", "plain", "tls")}
        log, errors = directory / "access.log", directory / "error.log"
        cert, key, _ = stage.certificate
        values = {"log": log, "cert": cert, "key": key, "keys_map": workload.map_file}
        values |= {"upstream_port": stage.upstream_port}
        values |= {f"{name}_port": port for name, port in ports.items()}
        config = render("Caddyfile", directory / "Caddyfile", values)
        environment = os.environ | {
            "GOMAXPROCS": str(stage.workers),
            "HOME": str(directory),
            "XDG_CONFIG_HOME": str(directory),
            "XDG_DATA_HOME": str(directory),
        }
        command = ["caddy", "run", "--adapter", "caddyfile", "--config", config]
        with open(errors, "ab") as err:
            process = stage.processes.start(command, stdout=err, stderr=err, env=environment)
        wait_for_port(process, ports["checked"], self.name, errors)
        endpoints = {
            "checked": Endpoint(ports["checked"], CHECKED_PATH),
            "plain": Endpoint(ports["plain"], PLAIN_PATH),
            "tls": Endpoint(ports["tls"], CHECKED_PATH, "https"),
        }
        return Instance(self.name, stage, [process], endpoints, log, b'"status":')
