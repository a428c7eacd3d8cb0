"""Chromium: a page of another origin, which calls the gateway and writes what it sees into itself."""

import html
import json
import re
import subprocess

from cases import Missing, expect, wait_for
from clients import python
from processes import program

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
    customer, revoking, spent = gateway.customer(), gateway.customer(), python.spend(gateway)
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

    command = [chromium, *OPTIONS, f"--user-data-dir={directory / 'chromium'}", "--dump-dom"]
    command.append(f"http://127.0.0.1:{servers.page_port}/page.html")
    cases.run("chromium", "all", "the page", show, cases, command, servers.raw, customer, revoking)
    cases.run("chromium", "all", "the books", customer.check_books)
    cases.run("chromium", "all", "the books of whose key was revoked", revoking.check_books)
    cases.run("chromium", "all", "the books of whose quota is used up", spent.check_books)


def show(cases, command, raw, customer, revoking):
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
    expect(f"results on the page, {shown[-500:]} {said[-500:]}", len(lines), 10 if CORS else 7)
    for line in lines:
        one = json.loads(line)
        customer.calls += one["calls"]
        cases.tell("chromium", "all", one["what"], one["failure"], one["seconds"])
