// The stock client of the scheme `Payment` pays for calls: mpp_client.cjs GATEWAY FACILITATOR KEY. A line of JSON for each case.
"use strict";

const { pathToFileURL } = require("node:url");
const { privateKeyToAccount } = require("viem/accounts");
const { expect, tell } = require("./tell.cjs");

const [gateway, facilitator, key] = process.argv.slice(2);
const PRICE = 10_000n;

async function json(url) {
  return (await fetch(url)).json();
}

async function main() {
  // What is imported is looked for beside this file, and what is required where the libraries are.
  const load = (name) => import(pathToFileURL(require.resolve(name)));
  const [{ Mppx, evm }, { Receipt }] = [await load("mppx/client"), await load("mppx")];
  const terms = await json(`${facilitator}/terms`);
  const chain = Number(terms.network.split(":")[1]);
  const balance = async (of) => BigInt((await json(`${facilitator}/balance?of=${of}`)).balance);
  const sent = [];
  const noted = (input, init) => {
    const request = new Request(input, init);
    sent.push(request.headers.get("payment-authorization"));
    return fetch(request);
  };
  const client = (account) =>
    Mppx.create({
      methods: [
        evm.charge({
          account,
          // The token is no well-known one.
          authorization: { name: "Test Dollar", version: "2" },
          networks: [chain],
          currencies: [terms.asset],
        }),
      ],
      fetch: noted,
      polyfill: false,
    });
  const paying = client(privateKeyToAccount(terms.key));
  // Its answer is what the upstream was told.
  const url = `${gateway}/paid/head`;
  const moved = async (run) => {
    const before = [await balance(terms.payer), await balance(terms.payTo)];
    const result = await run();
    const after = [await balance(terms.payer), await balance(terms.payTo)];
    return [result, String(before[0] - after[0]), String(after[1] - before[1])];
  };

  await tell("a call is paid for and served", 0, async () => {
    const [response, spent, received] = await moved(() => paying.fetch(url));
    expect("the status", response.status, 200);
    expect("what moved", [spent, received], [String(PRICE), String(PRICE)]);
    const told = Object.keys(await response.json());
    const forbidden = told.filter((name) => name.includes("payment") || name === "authorization");
    expect("what goes up of payments", forbidden, []);
    const receipt = Receipt.fromResponse(response);
    expect("the receipt", [receipt.status, receipt.method, receipt.chainId], ["success", "evm", chain]);
    expect("its reference", /^0x[0-9a-f]{64}$/.test(receipt.reference), true);
    expect("whom it is for", response.headers.get("cache-control"), "private");
    expect("requests", sent.map((header) => header !== null), [false, true]);
  });
  await tell("the same credential opens nothing more", 0, async () => {
    const headers = { "payment-authorization": sent.at(-1) };
    const [again, , received] = await moved(() => fetch(url, { headers }));
    expect("the status", again.status, 403);
    expect("the code", (await again.json()).code, "payment_already_used");
    expect("whether it is asked for again", again.headers.get("www-authenticate"), null);
    expect("what moved", received, "0");
  });
  await tell("each of several calls at once is paid for once", 0, async () => {
    const all = () => Promise.all(Array.from({ length: 5 }, () => paying.fetch(url)));
    const [responses, , received] = await moved(all);
    expect("the statuses", responses.map((response) => response.status), [200, 200, 200, 200, 200]);
    expect("what moved", received, String(5n * PRICE));
  });
  await tell("a call with a body is paid for and served", 0, async () => {
    const init = { method: "POST", body: JSON.stringify({ q: "hello" }) };
    const [response, , received] = await moved(() => paying.fetch(`${gateway}/paid/upload`, init));
    expect("the status", response.status, 200);
    expect("the body", (await response.json()).bytes, init.body.length);
    expect("what moved", received, String(PRICE));
    const credential = JSON.parse(Buffer.from(sent.at(-1).split(" ")[1], "base64url"));
    expect("whether the body is bound", credential.challenge.digest?.startsWith("sha-256=:"), true);
  });
  await tell("a call is paid for beside a key without a right to it", 0, async () => {
    const init = { headers: { authorization: `Bearer ${key}` } };
    const [response, , received] = await moved(() => paying.fetch(url, init));
    expect("the status", response.status, 200);
    expect("what moved", received, String(PRICE));
    expect("whether the key was known", "faregate-customer" in (await response.json()), true);
  });
  await tell("who has too little is told so and pays nothing", 0, async () => {
    const poor = client(privateKeyToAccount(`0x${"11".repeat(32)}`));
    const [response, , received] = await moved(() => poor.fetch(url));
    expect("the status", response.status, 402);
    expect("the code", (await response.json()).code, "payment_invalid");
    expect("what moved", received, "0");
  });
}

main();
