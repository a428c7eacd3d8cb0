// The cases of @grpc/grpc-js: TARGET, KEY, KEY of a customer whose quota is used up; behind them, within TLS, whom to trust.
"use strict";

const { readFileSync } = require("node:fs");
const grpc = require("@grpc/grpc-js");
const { expect, tell } = require("./tell.cjs");

const [target, key, spentKey, trusted] = process.argv.slice(2);
const SERVICE = "/grpc/test.Echo/";
const same = (bytes) => bytes;

function keyed(secret = key) {
  const metadata = new grpc.Metadata();
  metadata.set("authorization", `Bearer ${secret}`);
  return metadata;
}

/** Makes a call with one message; returns the answer, and what stood behind it. */
function unary(client, method, message, { path = SERVICE + method, secret = key, deadline = Date.now() + 8000 } = {}) {
  return new Promise((resolve, reject) => {
    let behind;
    const call = client.makeUnaryRequest(path, same, same, Buffer.from(message), keyed(secret), { deadline }, (error, answer) =>
      error ? reject(error) : setImmediate(() => resolve({ answer, behind })),
    );
    call.on("status", (status) => {
      behind = status.metadata.getMap();
    });
  });
}

async function one(client) {
  const { answer, behind } = await unary(client, "Unary", "question");
  expect("the answer", [answer.toString(), behind["x-sum"]], ["question", "8"]);
}

async function many(client) {
  const numbers = Array.from({ length: 50 }, (_, number) => String(number));
  const answers = await Promise.all(numbers.map((number) => unary(client, "Unary", number)));
  expect("the answers", answers.map(({ answer }) => answer.toString()), numbers);
}

async function count(client) {
  const seen = [];
  for await (const message of client.makeServerStreamRequest(`${SERVICE}Count`, same, same, Buffer.from("200"), keyed())) {
    seen.push(message.toString());
  }
  expect("the answers", seen, Array.from({ length: 200 }, (_, number) => String(number)));
}

async function talk(client) {
  const call = client.makeBidiStreamRequest(`${SERVICE}Talk`, same, same, keyed());
  const answers = call[Symbol.asyncIterator]();
  for (let number = 0; number < 100; number++) {
    call.write(Buffer.from(String(number)));
    expect("the answer", (await answers.next()).value.toString(), String(number));
  }
  call.end();
  expect("the end", (await answers.next()).done, true);
}

async function cancelled(client) {
  const call = client.makeBidiStreamRequest(`${SERVICE}Talk`, same, same, keyed());
  call.write(Buffer.from("one"));
  await new Promise((resolve) => call.once("data", resolve));
  const ended = new Promise((resolve) => call.once("error", resolve));
  call.cancel();
  expect("the status", (await ended).code, grpc.status.CANCELLED);
}

async function refused(call, status, ...codes) {
  const error = await call.then(() => ({ code: "it is answered" }), (error) => error);
  expect("the status", grpc.status[error.code], status);
  const code = error.metadata.getMap()["faregate-code"];
  expect(`the code ${code} is one of these`, codes.includes(code), true);
}

async function main() {
  const credentials = trusted ? grpc.credentials.createSsl(readFileSync(trusted)) : grpc.credentials.createInsecure();
  const client = new grpc.Client(target, credentials);
  await tell("a call", 1, () => one(client));
  await tell("50 calls at once", 50, () => many(client));
  await tell("an answer of 200 messages", 1, () => count(client));
  await tell("100 messages to and fro", 1, () => talk(client));
  await tell("a stream that is cancelled", 1, () => cancelled(client));
  for (const [name, charged] of [["NOT_FOUND", 1], ["INTERNAL", 0]]) {
    await tell(`${name} of the server's`, charged, () => refused(unary(client, "Fail", name), name, undefined));
  }
  const late = () => unary(client, "Sleep", "5", { deadline: Date.now() + 300 });
  await tell("a deadline that passes", 1, () => refused(late(), "DEADLINE_EXCEEDED", undefined, "upstream_timeout"));
  const unknown = () => unary(client, "Unary", "question", { secret: "no" });
  await tell("an unknown key", 0, () => refused(unknown(), "UNAUTHENTICATED", "invalid_api_key"));
  const spent = () => unary(client, "Unary", "question", { secret: spentKey });
  await tell("a quota used up", 0, () => refused(spent(), "RESOURCE_EXHAUSTED", "quota_exceeded"));
  client.close();
}

main();
