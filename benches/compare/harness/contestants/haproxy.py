"""HAProxy: key to customer by a map, a count per customer in a stick table, refusals in JSON."""

from ..processes import free_port, wait_for_port
from ..stage import CHECKED_PATH, PLAIN_PATH, Endpoint, Instance, render
from ..workload import PAYING_LIMIT, SPENT_LIMIT
from .base import Contestant

_RING = "ring access\n    format raw\n    maxlen 1200\n    size 33554432"


class HAProxy(Contestant):
    """One process with as many threads as the others have workers."""

    programs = ("haproxy", "openssl")

    def __init__(self, name, summary, log="file", digest=False, extra=False):
        super().__init__(name, summary, extra)
        self._log = log
        self._digest = digest

    def start(self, stage, workload, tls=False):
        """The log goes to its standard output, which is a file: it has no other way to one."""
        directory = stage.fresh_directory(self.name)
        ports = {name: free_port() for name in ("checked", "plain", "tls")}
        target = "ring@access" if self._log == "ring" else "stdout"
        values = {
            "log_global": "" if self._log == "off" else f"log {target} format raw local0 info",
            "log_section": _RING if self._log == "ring" else "",
            "log_frontend": "" if self._log == "off" else "log global",
            "workers": stage.workers,
            "connections_max": stage.connections_max(),
            "pem": stage.certificate[2],
            "digest": "sha2(256),hex," if self._digest else "",
            "keys_map": workload.digest_map_file if self._digest else workload.map_file,
            "spent_limit": SPENT_LIMIT,
            "paying_limit": PAYING_LIMIT,
            "upstream_port": stage.upstream_port,
        }
        values |= {f"{name}_port": port for name, port in ports.items()}
        config = render("haproxy.cfg", directory / "haproxy.cfg", values)
        log, errors = directory / "access.log", directory / "error.log"
        with open(log, "ab") as out, open(errors, "ab") as err:
            process = stage.processes.start(["haproxy", "-db", "-f", config], stdout=out, stderr=err)
        wait_for_port(process, ports["checked"], self.name, errors)
        endpoints = {
            "checked": Endpoint(ports["checked"], CHECKED_PATH),
            "plain": Endpoint(ports["plain"], PLAIN_PATH),
            "tls": Endpoint(ports["tls"], CHECKED_PATH, "https"),
        }
        mark = b" status=" if self._log == "file" else None
        return Instance(self.name, stage, [process], endpoints, log, mark)
