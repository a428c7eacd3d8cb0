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
    sent.push(request.headers.get(PAYMENT));
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
    expect("requests", sent.map((header) => header !== null), [false, true]);
  });
  await tell("the same payment opens nothing more", 0, async () => {
    const before = await balance(terms.payTo);
    const again = await fetch(url, { headers: { [PAYMENT]: sent.at(-1) } });
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
    const poor = wallet(`0x${"11".repeat(32)}`);
    const before = await balance(terms.payTo);
    const response = await wrapFetchWithPayment((input, init) => asked(new Request(input, init)), poor)(url);
    expect("the status", response.status, 402);
    expect("the code", (await response.json()).code, "payment_invalid");
    expect("what moved", String((await balance(terms.payTo)) - before), "0");
  });
}

main();
