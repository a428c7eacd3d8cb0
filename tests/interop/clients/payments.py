"""The stock clients of x402 and of the scheme `Payment` pay on a chain of its own, through the stock facilitator."""

import json
import secrets
import urllib.request

from cases import Missing, expect
from clients import told
from gateway import Gateway
from processes import free_port

CONFIGURATION = """
[payments]
secret = {{ file = "{secret}" }}

[payments.mpp]

[payments.x402]
facilitator = "{facilitator}"
network = "{network}"
asset = "{asset}"
asset_name = "Test Dollar"
asset_version = "2"
decimals = 6
pay_to = "{payTo}"

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
    more = CONFIGURATION.format(facilitator=facilitator, secret=secret, **terms)
    ports = {"raw": servers.ports["raw"]}
    paying = Gateway(servers.processes, gateway.binary, directory / "paying", ports, more)
    client = [node, str(programs / "pay_client.cjs"), paying.url(""), facilitator]
    told.run(cases, Nobody(), "x402", "raw", client, environment)
    client = [servers.python(), str(programs / "pay_client.py"), paying.url(""), facilitator]
    told.run(cases, Nobody(), "x402-python", "raw", client)
    cases.run("x402", "raw", "the ledger", check_ledger, paying, terms["payer"].lower(), 8)
    keyed = paying.customer("elsewhere")
    client = [node, str(programs / "mpp_client.cjs"), paying.url(""), facilitator, keyed.key]
    told.run(cases, Nobody(), "mppx", "raw", client, environment)
    client = [servers.python(), str(programs / "mpp_client.py"), paying.url(""), facilitator]
    told.run(cases, Nobody(), "pympp", "raw", client)
    # The scheme's nine beside those of x402; the one beside a key is its customer's.
    cases.run("mpp", "raw", "the ledger", check_ledger, paying, terms["payer"].lower(), 17)
    cases.run("mpp", "raw", "the ledger of the key", check_ledger, paying, keyed.id, 1)


def check_ledger(gateway, owner, calls):
    """Fails unless exactly the calls that were served are paid for and spent."""
    page = gateway.admin("GET", f"/v1/customers/{owner}/ledger?limit=100")
    kinds = [entry["kind"] for entry in page["items"]]
    expect("entries", (kinds.count("paid"), kinds.count("spent"), len(kinds)), (calls, calls, calls * 2))
    expect("whether it adds up", gateway.admin("POST", "/v1/verify")["ok"], True)
