// The cases of `node:http2`: URL, KEY, KEY of a customer whose quota is used up.
"use strict";

const { createHash } = require("node:crypto");
const { once } = require("node:events");
const http2 = require("node:http2");
const { expect, tell } = require("./tell.cjs");

const [url, key, spentKey] = process.argv.slice(2);
const EACH = 100;

const sha256 = (content) => createHash("sha256").update(content).digest("hex");

/** Makes a call and returns its answer's head, body, and what came ahead and behind. */
async function ask(session, path, headers = {}, body = undefined) {
  const stream = session.request({ ":path": path, authorization: `Bearer ${key}`, ...headers }, { endStream: !body });
  const ahead = [];
  let behind;
  stream.on("headers", (fields) => ahead.push(fields[":status"]));
  stream.on("trailers", (fields) => {
    behind = fields;
  });
  if (body) {
    stream.end(body);
  }
  const [head] = await once(stream, "response");
  const pieces = [];
  for await (const piece of stream) {
    pieces.push(piece);
  }
  return { head, body: Buffer.concat(pieces), ahead, behind };
}

/** Runs a case on a session of its own. */
async function within(run) {
  const session = http2.connect(url);
  session.on("error", () => {});
  try {
    await run(session);
  } finally {
    session.destroy();
  }
}

async function get(session) {
  const { head, body } = await ask(session, "/caddy/text.txt");
  expect("the answer", [head[":status"], head["faregate-cost"], body.length], [200, "1", 15_000]);
}

async function many(session) {
  const answers = await Promise.all(Array.from({ length: EACH }, () => ask(session, "/caddy/text.txt")));
  expect("the answers", new Set(answers.map(({ head, body }) => `${head[":status"]} ${body.length}`)).size, 1);
}

async function upload(session) {
  const body = Buffer.alloc(5 << 20, "x");
  const { body: told } = await ask(session, "/raw/upload", { ":method": "POST" }, body);
  expect("the digest", JSON.parse(told).sha256, sha256(body));
}

async function aheadAndBehind(session) {
  const { ahead } = await ask(session, "/raw/hints");
  expect("what came ahead", ahead, [103, 103]);
  const { behind } = await ask(session, "/raw/trailers", { te: "trailers" });
  expect("what came behind", behind["x-checksum"].startsWith("5d41402a"), true);
}

async function refused(session) {
  for (let number = 0; number < 2; number++) {
    const { head, body } = await ask(session, "/raw/head", { authorization: `Bearer ${spentKey}` });
    expect("the answer", [head[":status"], JSON.parse(body).code], [402, "quota_exceeded"]);
  }
}

async function left(session) {
  const stream = session.request({ ":path": "/raw/events", authorization: `Bearer ${key}` });
  await once(stream, "data");
  stream.close(http2.constants.NGHTTP2_CANCEL);
  await once(stream, "close");
  expect("the next one", (await ask(session, "/raw/chunked")).body.toString(), "hello world");
}

async function main() {
  await tell("GET", 1, () => within(get));
  await tell(`${EACH} calls at once on a connection`, EACH, () => within(many));
  await tell("a body of 5 MiB", 1, () => within(upload));
  await tell("103, and trailers", 2, () => within(aheadAndBehind));
  await tell("402, and the connection goes on", 0, () => within(refused));
  await tell("a stream that is reset in its middle is charged once", 2, () => within(left));
}

main();
