"""The stock clients of x402 and of the scheme `Payment` pay on a chain of its own, through the stock facilitator."""

import json
import os
import secrets
import subprocess
import urllib.request

from cases import Missing, expect, wait_for
from clients import told
from gateway import Gateway
from processes import free_port

CONFIGURATION = """
{mpp}
[payments.x402]
facilitator = {facilitators}
network = "{network}"
asset = "{asset}"
asset_name = "Test Dollar"
asset_version = "2"
decimals = 6
pay_to = "{payTo}"
{more}

[[routes]]
name = "paid"
path = "/paid/{{*path}}"
strip_prefix = "/paid"
upstream = "raw"
price = "0.01 USD"

[[routes]]
name = "streamed"
path = "/streamed/{{*path}}"
strip_prefix = "/streamed"
upstream = "raw"
price = "0.01 USD"
settle = "after-headers"
[plans.elsewhere]
routes = ["raw"]
quotas = [{{ name = "elsewhere", limit = 1, window = "lifetime" }}]
"""


MPP = """
[payments]
secret = {{ file = "{secret}" }}

[payments.mpp]
"""


class Nobody:
    """Who pays by the call has no count of its own."""

    calls = 0


def run(cases, servers, gateway, directory):
    """Runs all cases, and compares the ledger."""
    try:
        node, environment = servers.node()
        servers.python()
        servers.need_module("mppx", "@x402/fetch", "@x402/evm", "@foundry-rs/anvil", "solc", "viem")
    except Missing as missing:
        cases.tell_missing("payments", "raw", "all", str(missing))
        return
    programs, port, chain_port = servers.here / "programs", free_port(), free_port()
    command = [node, str(programs / "pay_chain.cjs"), str(port), str(chain_port)]
    servers.processes.start("pay_chain", command, port, env=environment)
    facilitator = f"http://127.0.0.1:{port}"
    with urllib.request.urlopen(f"{facilitator}/terms", timeout=10) as answer:
        terms = json.load(answer)
    secret = directory / "payment.secret"
    secret.write_text(secrets.token_hex(32))
    ports = {"raw": servers.ports["raw"]}

    def start(name, facilitators, more, mpp):
        tables = CONFIGURATION.format(facilitators=json.dumps(facilitators), more=more, mpp=mpp, **terms)
        return Gateway(servers.processes, gateway.binary, directory / name, ports, tables)

    script = str(programs / "pay_client.cjs")
    paying = start("paying", facilitator, "v1 = true", MPP.format(secret=secret))
    told.run(cases, Nobody(), "x402", "raw", [node, script, paying.url(""), facilitator], environment)
    told.run(cases, Nobody(), "x402-v1", "raw", [node, script, paying.url(""), facilitator, "v1"], environment)
    client = [servers.python(), str(programs / "pay_client.py"), paying.url(""), facilitator]
    told.run(cases, Nobody(), "x402-python", "raw", client)
    cases.run("x402", "raw", "the ledger", check_ledger, paying, terms["payer"].lower(), 15)
    keyed = paying.customer("elsewhere")
    client = [node, str(programs / "mpp_client.cjs"), paying.url(""), facilitator, keyed.key]
    told.run(cases, Nobody(), "mppx", "raw", client, environment)
    client = [servers.python(), str(programs / "mpp_client.py"), paying.url(""), facilitator]
    told.run(cases, Nobody(), "pympp", "raw", client)
    # The scheme's nine beside those of x402; the one beside a key is its customer's.
    cases.run("mpp", "raw", "the ledger", check_ledger, paying, terms["payer"].lower(), 24)
    cases.run("mpp", "raw", "the ledger of the key", check_ledger, paying, keyed.id, 1)
    # The first of the two is not there.
    several = [f"http://127.0.0.1:{free_port()}", facilitator]
    permitting = start("permitting", several, 'asset_transfer_method = "permit2"', "")
    told.run(cases, Nobody(), "x402-permit2", "raw", [node, script, permitting.url(""), facilitator], environment)
    cases.run("x402-permit2", "raw", "the ledger", check_ledger, permitting, terms["payer"].lower(), 7)
    for name, replaced, word in WRONG:
        replaced = [text.format(**terms) for text in replaced]
        cases.run("x402", "raw", f"check --online: {name}", check_online, paying, replaced, word)
    cases.run("x402", "demo", "demo --pay", check_demo, gateway.binary, directory)


WRONG = [
    ("all is right", ("", ""), "no problems"),
    ("another network", ('"eip155:84532"', '"eip155:1"'), "does not settle on `eip155:1`"),
    ("another name", ('"Test Dollar"', '"Test Euro"'), "the token has another name"),
    ("another version", ('asset_version = "2"', 'asset_version = "1"'), "the token has another version"),
    ("no token", ('asset = "{asset}', 'asset = "{payTo}'), "no contract at this address"),
]


def check_online(gateway, replaced, word):
    """Fails unless the file, changed so, is told to be so."""
    old, new = replaced
    text = gateway.file.read_text().replace("v1 = true\n", "")
    if old:
        text = text.replace(old, new)
    file = gateway.file.with_name("changed.toml")
    file.write_text(text)
    environment = {**os.environ, "FAREGATE_ADMIN_TOKEN": gateway.token}
    command = [gateway.binary, "check", "--online", "--config", str(file)]
    checked = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)
    expect("what is said", word in checked.stdout, True)
    expect("the exit code", checked.returncode, 0 if word == "no problems" else 1)


def check_demo(binary, directory):
    """Fails unless the demo pays, and ends what it has started."""
    log = directory / "demo.log"
    listen = ["--listen", f"127.0.0.1:{free_port()}", "--admin-listen", f"127.0.0.1:{free_port()}"]
    with log.open("wb") as output:
        demo = subprocess.Popen(
            [binary, "demo", "--pay", *listen], stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
    try:
        wait_for("the demo", lambda: "Decisions" in log.read_text() or demo.poll() is not None, 300)
        children = subprocess.run(["pgrep", "-P", str(demo.pid)], capture_output=True, text=True).stdout.split()
        expect("children", len(children), 1)
    finally:
        demo.terminate()
        demo.wait(30)
    said = log.read_text()
    for part in ["402: it offers to be paid 0.01", "200: {", "had 1 and has 0.99", "had 0 and has 0.01"]:
        expect(f"{part} in {said}", part in said, True)
    wait_for("the end of the chain", lambda: not os.path.exists(f"/proc/{children[0]}"))


def check_ledger(gateway, owner, calls):
    """Fails unless exactly the calls that were served are paid for and spent."""
    page = gateway.admin("GET", f"/v1/customers/{owner}/ledger?limit=100")
    kinds = [entry["kind"] for entry in page["items"]]
    expect("entries", (kinds.count("paid"), kinds.count("spent"), len(kinds)), (calls, calls, calls * 2))
    expect("whether it adds up", gateway.admin("POST", "/v1/verify")["ok"], True)
