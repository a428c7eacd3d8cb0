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
    sent.push(request.clone());
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
    expect("requests", sent.map((request) => request.headers.has("payment-signature")), [false, true]);
  });
  await tell("the same call again gets the answer that was paid for", 0, async () => {
    const before = await balance(terms.payTo);
    const [one, other] = [await fetch(sent.at(-1).clone()), await fetch(sent.at(-1).clone())];
    expect("the statuses", [one.status, other.status], [200, 200]);
    // It tells which request it answers.
    expect("the answer", await one.text(), await other.text());
    expect("the receipt", decodePaymentResponseHeader(one.headers.get("payment-response")).success, true);
    expect("what moved", String((await balance(terms.payTo)) - before), "0");
  });
  await tell("the same payment opens nothing more", 0, async () => {
    const before = await balance(terms.payTo);
    const payment = sent.at(-1).headers.get("payment-signature");
    const again = await fetch(`${url}?other`, { headers: { "payment-signature": payment } });
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
  await tell("a stream is paid for behind its head", 0, async () => {
    const before = await balance(terms.payTo);
    const response = await paying(`${gateway}/streamed/stream`);
    expect("the status", response.status, 200);
    expect("the receipt", decodePaymentResponseHeader(response.headers.get("payment-response")).success, true);
    expect("what moved", String((await balance(terms.payTo)) - before), String(PRICE));
    const events = (await response.text()).split("\n\n").filter((event) => event !== "");
    expect("the last event", events.at(-1), `id: ${events.length}\ndata: event ${events.length}`);
  });
  await tell("a call that fails moves nothing where it is paid for behind its head", 0, async () => {
    const before = await balance(terms.payTo);
    const response = await paying(`${gateway}/streamed/unavailable`);
    expect("the status", response.status, 503);
    expect("the receipt", response.headers.get("payment-response"), null);
    expect("what moved", String((await balance(terms.payTo)) - before), "0");
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
