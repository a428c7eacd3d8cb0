"""h2load: every request is answered and paid for, also while the gateway's certificate changes."""

import re
import shutil
import subprocess
import threading

from cases import Missing, expect
from gateway import Gateway
from processes import program

REQUESTS = 3000
# How often the certificate changes, and how long each is kept: the files are looked at every second.
CHANGES = 3
SECONDS = 1.5
SECURED = """
[server.tls]
cert = "{0}/gateway.crt"
key = "{0}/gateway.key"
"""


def run(cases, servers, gateway, directory):
    """Runs all cases, and compares the books after each."""
    try:
        servers.need("nginx", "caddy")
        h2load = program("h2load")
    except Missing as missing:
        return cases.tell_missing("h2load", "nginx", "all", str(missing))
    certificates = directory / "load-certificates"
    shutil.copytree(servers.certificates, certificates)
    more = SECURED.format(certificates)
    secured = Gateway(servers.processes, gateway.binary, directory / "gateway-load", servers.ports, more, "https")
    for case, one in [(many, gateway), (many, secured), (changed, secured)]:
        customer = one.customer()
        what = f"{one.scheme}: {case.__doc__.rstrip('.')}"
        cases.run("h2load", "nginx", what, case, h2load, one, customer, certificates, servers.certificates)
        cases.run("h2load", "nginx", f"{one.scheme}: the books", customer.check_books)


def many(h2load, gateway, customer, *_certificates):
    """20 connections, each with 20 requests at once."""
    customer.calls += REQUESTS
    expect("the answers", load(h2load, gateway, customer, REQUESTS), (REQUESTS, REQUESTS, 0))


def changed(h2load, gateway, customer, certificates, others):
    """handshakes and requests while the certificate changes."""
    is_over = threading.Event()
    changing = threading.Thread(target=change, args=(certificates, others, is_over))
    changing.start()
    served = 0
    while not is_over.is_set():
        answers = load(h2load, gateway, customer, 200)
        served += answers[1]
        expect("the answers", answers, (200, 200, 0))
    changing.join()
    customer.calls += served


def change(certificates, others, is_over):
    """Puts other pairs in the place of the gateway's, one after the other."""
    for name in ["server", "caller", "gateway"][:CHANGES]:
        for end in ["key", "crt"]:
            shutil.copyfile(others / f"{name}.{end}", certificates / f"gateway.{end}")
        is_over.wait(SECONDS)
    is_over.set()


def load(h2load, gateway, customer, requests):
    """Makes requests; returns how many were done, how many were answered 2xx, and how many failed."""
    command = [h2load, "-n", str(requests), "-c", "20", "-m", "20", "-H", f"authorization: Bearer {customer.key}"]
    done = subprocess.run(
        [*command, gateway.url("/nginx/empty.txt")], capture_output=True, text=True, timeout=15
    )
    total = re.search(r"requests: \d+ total, \d+ started, (\d+) done, \d+ succeeded, (\d+) failed", done.stdout)
    served = re.search(r"status codes: (\d+) 2xx", done.stdout)
    expect("what h2load tells", bool(total and served), True)
    return int(total[1]), int(served[1]), int(total[2])
