"""The stock client of x402 for Python pays for a call: pay_client.py GATEWAY FACILITATOR. A line of JSON for each case."""

import asyncio
import json
import sys
import urllib.request

from eth_account import Account
from tell import expect, tell
from x402 import x402Client
from x402.http.clients import x402HttpxClient
from x402.mechanisms.evm import EthAccountSigner
from x402.mechanisms.evm.exact.register import register_exact_evm_client

GATEWAY, FACILITATOR = sys.argv[1:]
PRICE = 10_000


def get(path):
    with urllib.request.urlopen(f"{FACILITATOR}{path}", timeout=10) as answer:
        return json.load(answer)


def balance(of):
    return int(get(f"/balance?of={of}")["balance"])


async def paid():
    terms = get("/terms")
    before = balance(terms["payTo"])
    client = x402Client()
    # The token is no well-known one.
    client.set_spend_controls(False)
    register_exact_evm_client(client, EthAccountSigner(Account.from_key(terms["key"])))
    async with x402HttpxClient(client) as http:
        answer = await http.get(f"{GATEWAY}/paid/head")
        await answer.aread()
    expect("the status", answer.status_code, 200)
    expect("whether there is a receipt", "payment-response" in answer.headers, True)
    expect("what moved", balance(terms["payTo"]) - before, PRICE)


asyncio.run(tell("a call is paid for and served", 0, paid()))
