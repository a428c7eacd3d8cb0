"""The stock clients of x402 pay on a chain of its own, through the stock facilitator."""

import json
import urllib.request

from cases import Missing, expect
from clients import told
from gateway import Gateway
from processes import free_port

CONFIGURATION = """
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
"""


class Nobody:
    """Who pays by the call has no count of its own."""

    calls = 0


def run(cases, servers, gateway, directory):
    """Runs all cases, and compares the ledger."""
    try:
        node, environment = servers.node()
        servers.python()
        servers.need_module("@x402/fetch", "@x402/evm", "@foundry-rs/anvil", "solc", "viem")
    except Missing as missing:
        cases.tell_missing("x402", "raw", "all", str(missing))
        return
    programs, port, chain_port = servers.here / "programs", free_port(), free_port()
    command = [node, str(programs / "pay_chain.cjs"), str(port), str(chain_port)]
    servers.processes.start("pay_chain", command, port, env=environment)
    facilitator = f"http://127.0.0.1:{port}"
    with urllib.request.urlopen(f"{facilitator}/terms", timeout=10) as answer:
        terms = json.load(answer)
    more = CONFIGURATION.format(facilitator=facilitator, **terms)
    ports = {"raw": servers.ports["raw"]}
    paying = Gateway(servers.processes, gateway.binary, directory / "paying", ports, more)
    client = [node, str(programs / "pay_client.cjs"), paying.url(""), facilitator]
    told.run(cases, Nobody(), "x402", "raw", client, environment)
    client = [servers.python(), str(programs / "pay_client.py"), paying.url(""), facilitator]
    told.run(cases, Nobody(), "x402-python", "raw", client)
    cases.run("x402", "raw", "the ledger", check_ledger, paying, terms["payer"])


def check_ledger(gateway, payer):
    """Fails unless exactly the eight calls that were served are paid for and spent."""
    page = gateway.admin("GET", f"/v1/customers/{payer.lower()}/ledger?limit=100")
    kinds = [entry["kind"] for entry in page["items"]]
    expect("entries", (kinds.count("paid"), kinds.count("spent"), len(kinds)), (8, 8, 16))
    expect("whether it adds up", gateway.admin("POST", "/v1/verify")["ok"], True)
