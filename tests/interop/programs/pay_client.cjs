// The stock client of x402 pays for calls: pay_client.cjs GATEWAY FACILITATOR. A line of JSON for each case.
"use strict";

const { wrapFetchWithPayment, x402Client, decodePaymentResponseHeader } = require("@x402/fetch");
const { registerExactEvmScheme } = require("@x402/evm/exact/client");
const { privateKeyToAccount } = require("viem/accounts");
const { expect, tell } = require("./tell.cjs");

const [gateway, facilitator] = process.argv.slice(2);
const PRICE = 10_000n;

async function json(url) {
  return (await fetch(url)).json();
}

async function main() {
  const terms = await json(`${facilitator}/terms`);
  const balance = async (of) => BigInt((await json(`${facilitator}/balance?of=${of}`)).balance);
  const client = new x402Client();
  registerExactEvmScheme(client, { signer: privateKeyToAccount(terms.key) });
  // The token is no well-known one.
  client.setSpendControls(false);
  const sent = [];
  const noted = (input, init) => {
    const request = new Request(input, init);
    sent.push(request.headers.get("payment-signature"));
    return fetch(request);
  };
  const paying = wrapFetchWithPayment(noted, client);
  // Its answer is what the upstream was told.
  const url = `${gateway}/paid/head`;

  await tell("a call is paid for and served", 0, async () => {
    const before = [await balance(terms.payer), await balance(terms.payTo)];
    const response = await paying(url);
    expect("the status", response.status, 200);
    const told = Object.keys(await response.json());
    expect("what goes up of payments", told.filter((name) => name.includes("payment")), []);
    const receipt = decodePaymentResponseHeader(response.headers.get("payment-response"));
    expect("the receipt", [receipt.success, receipt.network, receipt.payer.toLowerCase()], [
      true,
      terms.network,
      terms.payer.toLowerCase(),
    ]);
    const after = [await balance(terms.payer), await balance(terms.payTo)];
    expect("what moved", [String(before[0] - after[0]), String(after[1] - before[1])], [String(PRICE), String(PRICE)]);
    expect("requests", sent.map((header) => header !== null), [false, true]);
  });
  await tell("the same payment opens nothing more", 0, async () => {
    const before = await balance(terms.payTo);
    const again = await fetch(url, { headers: { "payment-signature": sent.at(-1) } });
    expect("the status", again.status, 409);
    expect("the code", (await again.json()).code, "payment_already_used");
    expect("what moved", String((await balance(terms.payTo)) - before), "0");
  });
  await tell("each of several calls at once is paid for once", 0, async () => {
    const before = await balance(terms.payTo);
    const responses = await Promise.all(Array.from({ length: 5 }, () => paying(url)));
    expect("the statuses", responses.map((response) => response.status), [200, 200, 200, 200, 200]);
    expect("what moved", String((await balance(terms.payTo)) - before), String(5n * PRICE));
  });
  await tell("who has too little is told so and pays nothing", 0, async () => {
    const poor = new x402Client();
    registerExactEvmScheme(poor, { signer: privateKeyToAccount(`0x${"11".repeat(32)}`) });
    poor.setSpendControls(false);
    const before = await balance(terms.payTo);
    const response = await wrapFetchWithPayment(fetch, poor)(url);
    expect("the status", response.status, 402);
    expect("the code", (await response.json()).code, "payment_invalid");
    expect("what moved", String((await balance(terms.payTo)) - before), "0");
  });
}

main();
