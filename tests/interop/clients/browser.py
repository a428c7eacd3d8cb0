"""Chromium: a page of another origin, which calls the gateway and writes what it sees into itself."""

import base64
import hashlib
import html
import json
import re
import ssl
import subprocess
import urllib.request

from cases import Missing, expect, wait_for
from clients import python
from gateway import Gateway
from processes import program

# A listener within TLS, where the browser asks for HTTP/2.
SECURED = """
[server.tls]
cert = "{0}/gateway.crt"
key = "{0}/gateway.key"
"""
# Whether the gateway answers preflights; without that a page cannot send a key in a field.
CORS = True
OPTIONS = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-quic", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--no-proxy-server", "--disable-dev-shm-usage",
]  # fmt: skip


def configuration(servers):
    """Returns what the gateway's configuration must have for the page."""
    if not CORS or "nginx" in servers.missing:
        return ""
    return f'\n[cors]\norigins = ["http://127.0.0.1:{servers.page_port}"]\n'


def run(cases, servers, gateway, directory):
    """Runs all cases, and compares the books."""
    try:
        servers.need("nginx", "ws")
        chromium = program("chromium")
    except Missing as missing:
        cases.tell_missing("chromium", "all", "all", str(missing))
        return
    opened(cases, servers, gateway, directory / "chromium", [chromium], "chromium")
    more = SECURED.format(servers.certificates) + configuration(servers)
    secured = Gateway(servers.processes, gateway.binary, directory / "gateway-chromium", servers.ports, more, "https")
    trusted = f"--ignore-certificate-errors-spki-list={key_digest(servers.certificates / 'gateway.crt')}"
    opened(cases, servers, secured, directory / "chromium-h2", [chromium, trusted], "chromium, h2")


def opened(cases, servers, gateway, profile, command, client):
    """Opens the page, which calls a gateway, and compares the books."""
    customer, revoking, spent = gateway.customer(), gateway.customer(), spend(gateway, servers.certificates / "gateway.crt")
    settings = {
        "gateway": gateway.url(""),
        "raw": f"http://127.0.0.1:{servers.raw.port}",
        "key": customer.key,
        "revoked": revoking.key,
        "spent": spent.key,
        "cors": CORS,
    }
    page = (servers.here / "programs" / "page.html").read_text()
    page = page.replace("at = @SETTINGS@", f"at = {json.dumps(settings)}")
    (servers.pages / "page.html").write_text(page)

    servers.raw.begin()
    command = [*command, *OPTIONS, f"--user-data-dir={profile}", "--dump-dom"]
    command.append(f"http://127.0.0.1:{servers.page_port}/page.html")
    cases.run(client, "all", "the page", show, cases, command, servers.raw, customer, revoking, client)
    cases.run(client, "all", "the books", customer.check_books)
    cases.run(client, "all", "the books of whose key was revoked", revoking.check_books)
    cases.run(client, "all", "the books of whose quota is used up", spent.check_books)


def spend(gateway, trusted):
    """Makes a customer whose quota is used up, also where the gateway is within TLS."""
    if gateway.scheme == "http":
        return python.spend(gateway)
    customer = gateway.customer("two")
    trusting = ssl.create_default_context(cafile=trusted)
    for _ in range(2):
        request = urllib.request.Request(gateway.url("/raw/head"), headers={"X-Api-Key": customer.key})
        with urllib.request.urlopen(request, timeout=10, context=trusting) as answer:
            expect("the status", answer.status, 200)
        customer.calls += 1
    return customer


def key_digest(certificate):
    """Returns the digest of a certificate's key, by which a browser may be told to trust it."""
    openssl = program("openssl")
    key = subprocess.run([openssl, "x509", "-in", certificate, "-pubkey", "-noout"], capture_output=True, check=True)
    command = [openssl, "pkey", "-pubin", "-outform", "der"]
    encoded = subprocess.run(command, input=key.stdout, capture_output=True, check=True).stdout
    return base64.b64encode(hashlib.sha256(encoded).digest()).decode()


def show(cases, command, raw, customer, revoking, client):
    """Opens the page, and tells of the cases that it has written into itself."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as browser:
        try:
            wait_for("the page", lambda: raw.seen("/opened") or browser.poll() is not None, 15)
            revoking.revoke()
            revoking.calls += 1
            shown, said = browser.communicate()
        finally:
            browser.kill()
    expect("the browser's end", browser.returncode, 0)
    results = re.search(r'<pre id="results">(.*?)</pre>', shown, re.DOTALL)
    lines = html.unescape(results.group(1)).splitlines() if results else []
    expect(f"results on the page, {shown[-500:]} {said[-500:]}", len(lines), 11 if CORS else 7)
    for line in lines:
        one = json.loads(line)
        customer.calls += one["calls"]
        cases.tell(client, "all", one["what"], one["failure"], one["seconds"])
