"""The stock client of the scheme `Payment` for Python pays for calls: mpp_client.py GATEWAY FACILITATOR. A line of JSON
for each case."""

import asyncio
import json
import sys
import urllib.request

from eth_account import Account
from mpp import Receipt
from mpp.client import Mpp
from mpp.methods.evm import evm
from tell import expect, tell

GATEWAY, FACILITATOR = sys.argv[1:]
PRICE = 10_000


def get(path):
    with urllib.request.urlopen(f"{FACILITATOR}{path}", timeout=10) as answer:
        return json.load(answer)


def balance(of):
    return int(get(f"/balance?of={of}")["balance"])


async def paid(path, **request):
    terms = get("/terms")
    before = balance(terms["payTo"])
    method = evm(
        account=Account.from_key(terms["key"]),
        currency=terms["asset"],
        chain_id=int(terms["network"].split(":")[1]),
        decimals=6,
        authorization={"name": "Test Dollar", "version": "2"},
    )
    async with Mpp(methods=[method]) as mpp:
        answer = await mpp.fetch(f"{GATEWAY}/paid/{path}", **request)
    expect("the status", answer.status_code, 200)
    receipt = Receipt.from_payment_receipt(answer.headers["payment-receipt"])
    expect("the receipt", (receipt.status, receipt.method), ("success", "evm"))
    expect("what moved", balance(terms["payTo"]) - before, PRICE)


async def main():
    await tell("a call is paid for and served", 0, paid("head"))
    await tell("a call with a body is paid for and served", 0, paid("upload", method="POST", json={"q": "hello"}))


asyncio.run(main())
