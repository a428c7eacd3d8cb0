// The stock client of x402 pays for calls: pay_client.cjs GATEWAY FACILITATOR [v1]. A line of JSON for each case.
"use strict";

const { wrapFetchWithPayment, x402Client, decodePaymentResponseHeader } = require("@x402/fetch");
const { registerExactEvmScheme } = require("@x402/evm/exact/client");
const { ExactEvmSchemeV1 } = require("@x402/evm/exact/v1/client");
const { privateKeyToAccount } = require("viem/accounts");
const { expect, tell } = require("./tell.cjs");

const [gateway, facilitator, version] = process.argv.slice(2);
const IS_V1 = version === "v1";
const PAYMENT = IS_V1 ? "x-payment" : "payment-signature";
const RESPONSE = IS_V1 ? "x-payment-response" : "payment-response";
const PRICE = 10_000n;

async function json(url) {
  return (await fetch(url)).json();
}

function wallet(key) {
  const client = new x402Client();
  const signer = privateKeyToAccount(key);
  if (IS_V1) {
    client.registerV1("base-sepolia", new ExactEvmSchemeV1(signer));
  } else {
    registerExactEvmScheme(client, { signer });
  }
  // The token is no well-known one.
  client.setSpendControls(false);
  return client;
}

// A client of version 1 knows no field of version 2, and reads the body.
async function asked(request) {
  const response = await fetch(request);
  if (!IS_V1 || response.status !== 402) {
    return response;
  }
  const headers = new Headers(response.headers);
  headers.delete("payment-required");
  return new Response(await response.text(), { status: 402, headers });
}

async function main() {
  const terms = await json(`${facilitator}/terms`);
  const balance = async (of) => BigInt((await json(`${facilitator}/balance?of=${of}`)).balance);
  const sent = [];
  const noted = (input, init) => {
    const request = new Request(input, init);
    sent.push(request.clone());
    return asked(request);
  };
  const paying = wrapFetchWithPayment(noted, wallet(terms.key));
  // Its answer is what the upstream was told.
  const url = `${gateway}/paid/head`;

  await tell("a call is paid for and served", 0, async () => {
    const before = [await balance(terms.payer), await balance(terms.payTo)];
    const response = await paying(url);
    expect("the status", response.status, 200);
    const told = Object.keys(await response.json());
    expect("what goes up of payments", told.filter((name) => name.includes("payment")), []);
    const receipt = decodePaymentResponseHeader(response.headers.get(RESPONSE));
    expect("the receipt", [receipt.success, receipt.network, receipt.payer.toLowerCase()], [
      true,
      IS_V1 ? "base-sepolia" : terms.network,
      terms.payer.toLowerCase(),
    ]);
    const after = [await balance(terms.payer), await balance(terms.payTo)];
    expect("what moved", [String(before[0] - after[0]), String(after[1] - before[1])], [String(PRICE), String(PRICE)]);
    expect("requests", sent.map((request) => request.headers.has(PAYMENT)), [false, true]);
  });
  await tell("the same call again gets the answer that was paid for", 0, async () => {
    const before = await balance(terms.payTo);
    const [one, other] = [await fetch(sent.at(-1).clone()), await fetch(sent.at(-1).clone())];
    expect("the statuses", [one.status, other.status], [200, 200]);
    // It tells which request it answers.
    expect("the answer", await one.text(), await other.text());
    expect("the receipt", decodePaymentResponseHeader(one.headers.get(RESPONSE)).success, true);
    expect("what moved", String((await balance(terms.payTo)) - before), "0");
  });
  await tell("the same payment opens nothing more", 0, async () => {
    const before = await balance(terms.payTo);
    const payment = sent.at(-1).headers.get(PAYMENT);
    const again = await fetch(`${url}?other`, { headers: { [PAYMENT]: payment } });
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
    expect("the receipt", decodePaymentResponseHeader(response.headers.get(RESPONSE)).success, true);
    expect("what moved", String((await balance(terms.payTo)) - before), String(PRICE));
    const events = (await response.text()).split("\n\n").filter((event) => event !== "");
    expect("the last event", events.at(-1), `id: ${events.length}\ndata: event ${events.length}`);
  });
  await tell("a call that fails moves nothing where it is paid for behind its head", 0, async () => {
    const before = await balance(terms.payTo);
    const response = await paying(`${gateway}/streamed/unavailable`);
    expect("the status", response.status, 503);
    expect("the receipt", response.headers.get(RESPONSE), null);
    expect("what moved", String((await balance(terms.payTo)) - before), "0");
  });
  await tell("who has too little is told so and pays nothing", 0, async () => {
    const poor = wallet(`0x${"11".repeat(32)}`);
    const before = await balance(terms.payTo);
    const response = await wrapFetchWithPayment((input, init) => asked(new Request(input, init)), poor)(url);
    expect("the status", response.status, 402);
    expect("the code", (await response.json()).code, "payment_invalid");
    expect("what moved", String((await balance(terms.payTo)) - before), "0");
  });
}

main();
