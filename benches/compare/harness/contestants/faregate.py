"""Faregate: the customers imported into its store, as somebody with a hundred thousand of them has them."""

import shutil
import subprocess
import time
import urllib.request

from ..failure import Failure
from ..processes import free_port, wait_for_port
from ..stage import CHECKED_PATH, PLAIN_PATH, Endpoint, Instance, render
from ..workload import PAYING_LIMIT, SPENT_LIMIT
from .base import Contestant

_STATE = ("faregate.db", "faregate.db.journal")


class Faregate(Contestant):
    """One process; with TLS a second one, because its data listener speaks either."""

    def __init__(self, name, summary, log=True, program="binary", extra=False):
        super().__init__(name, summary, extra)
        self._log = log
        self._program = program

    def start(self, stage, workload, tls=False):
        """Starts it on a copy of a store with the customers, which is made once for a binary."""
        store = self._store(stage, workload)
        instance = self._run(stage, _copy(store, stage.fresh_directory(self.name)), with_tls=False)
        if tls and self.lacks_tls(stage) is None:
            directory = _copy(store, stage.fresh_directory(f"{self.name}-tls"))
            second = self._run(stage, directory, with_tls=True)
            instance.processes += second.processes
            instance.endpoints["tls"] = second.endpoints["tls"]
            instance.more_logs.append(second.log)
        return instance

    def lacks_tls(self, stage):
        """Asks the program whether it takes a configuration with TLS."""
        directory = stage.fresh_directory(f"{self.name}-asked")
        config, *_ = self._configure(stage, directory, with_tls=True)
        command = [self._binary(stage), "check", "--config", config]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return None if done.returncode == 0 else "not available: this version takes no `server.tls`"

    def _binary(self, stage):
        return getattr(stage, self._program)

    def _configure(self, stage, directory, with_tls):
        port, admin = free_port(), free_port()
        cert, key, _ = stage.certificate
        values = {
            "checked_port": port,
            "admin_port": admin,
            "workers": stage.workers,
            "tls": f'tls = {{ cert = "{cert}", key = "{key}" }}' if with_tls else "",
            "log": directory / "access.log" if self._log else "off",
            "upstream_port": stage.upstream_port,
            "paying_limit": PAYING_LIMIT,
            "spent_limit": SPENT_LIMIT,
        }
        return render("faregate.toml", directory / "faregate.toml", values), port, admin

    def _run(self, stage, directory, with_tls):
        config, port, admin = self._configure(stage, directory, with_tls)
        errors = directory / "error.log"
        with open(errors, "ab") as err:
            command = [self._binary(stage), "run", "--config", config]
            process = stage.processes.start(command, stdout=err, stderr=err)
        wait_for_port(process, port, self.name, errors)
        _wait_until_ready(process, admin, self.name)
        endpoints = {
            "checked": Endpoint(port, CHECKED_PATH),
            "plain": Endpoint(port, PLAIN_PATH),
        }
        if with_tls:
            endpoints = {"tls": Endpoint(port, CHECKED_PATH, "https")}
        mark = b'"status":' if self._log else None
        # A report has everything, so what is still in the journal goes to the store for it.
        report = ["export", "--config", config, "--from", "2000-01-01", "--to", "2000-01-02"]
        finishing = [self._binary(stage), *report]
        log = directory / "access.log"
        return Instance(self.name, stage, [process], endpoints, log, mark, finishing)

    def _store(self, stage, workload):
        """A directory with the customers imported by this binary."""
        made = (self._binary(stage), workload.total)
        if made not in stage.stores:
            directory = stage.fresh_directory(f"{self._program}-store")
            instance = self._run(stage, directory, with_tls=False)
            config = directory / "faregate.toml"
            command = [self._binary(stage), "import", workload.import_file, "--config", config]
            stage.processes.output(command, seconds=600)
            instance.stop()
            stage.stores[made] = directory
        return stage.stores[made]


def _wait_until_ready(process, admin, name, seconds=120):
    """Its listeners stand from the beginning of its start, the admin token and the customers later."""
    # Not through a proxy that the environment names.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with opener.open(f"http://127.0.0.1:{admin}/readyz", timeout=5) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.05)
    raise Failure(f"{name} was not ready within {seconds} s, or ended ({process.poll()})")


def _copy(store, directory):
    """Copies the database and the journal of a gateway that was stopped."""
    for name in _STATE:
        copy = shutil.copytree if (store / name).is_dir() else shutil.copy
        copy(store / name, directory / name)
    return directory
