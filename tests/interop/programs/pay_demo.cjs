// What `faregate demo --pay` shows: a call is refused, paid for and served. pay_demo.cjs URL FACILITATOR
"use strict";

const { decodePaymentRequiredHeader, decodePaymentResponseHeader } = require("@x402/core/http");
const { wrapFetchWithPayment, x402Client } = require("@x402/fetch");
const { registerExactEvmScheme } = require("@x402/evm/exact/client");
const { privateKeyToAccount } = require("viem/accounts");

const [url, facilitator] = process.argv.slice(2);

async function json(path) {
  return (await fetch(`${facilitator}${path}`)).json();
}

async function main() {
  const terms = await json("/terms");
  const balance = async (of) => Number((await json(`/balance?of=${of}`)).balance) / 1e6;
  const refused = await fetch(url);
  const [offer] = decodePaymentRequiredHeader(refused.headers.get("payment-required")).accepts;
  console.log(`GET ${url}`);
  console.log(`  ${refused.status}: it offers to be paid ${Number(offer.amount) / 1e6} Test Dollars on ${offer.network}`);
  const client = new x402Client();
  registerExactEvmScheme(client, { signer: privateKeyToAccount(terms.key) });
  // The token is no well-known one.
  client.setSpendControls(false);
  const before = [await balance(terms.payer), await balance(terms.payTo)];
  const served = await wrapFetchWithPayment(fetch, client)(url);
  console.log("GET again, by the stock client of x402 (npm @x402/fetch), which signs what is offered");
  console.log(`  ${served.status}: ${(await served.text()).trim().slice(0, 200)}`);
  const receipt = decodePaymentResponseHeader(served.headers.get("payment-response"));
  console.log(`  paid with transaction ${receipt.transaction}`);
  const after = [await balance(terms.payer), await balance(terms.payTo)];
  console.log(`  the payer ${terms.payer.toLowerCase()} had ${before[0]} and has ${after[0]}`);
  console.log(`  the seller ${terms.payTo.toLowerCase()} had ${before[1]} and has ${after[1]}`);
  process.exit(served.status === 200 ? 0 : 1);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
