// The cases of Node, its own fetch and `node:http`: URL, KEY, KEY of a customer whose quota is used up.
"use strict";

const { createHash } = require("node:crypto");
const { once } = require("node:events");
const http = require("node:http");
const { expect, tell } = require("./tell.cjs");

const [url, key, spentKey] = process.argv.slice(2);
const EACH = 20;

const headers = { Authorization: `Bearer ${key}` };
const sha256 = (content) => createHash("sha256").update(content).digest("hex");

/** Makes a call by `node:http` and returns its answer, what came ahead of it, and its body. */
async function ask(path, options = {}, send = (request) => request.end()) {
  const request = http.request(url + path, { headers, ...options });
  const ahead = [];
  request.on("information", (information) => ahead.push([information.statusCode, information.headers.link]));
  const answered = once(request, "response");
  send(request);
  const [answer] = await answered;
  const pieces = [];
  for await (const piece of answer) {
    pieces.push(piece);
  }
  return { answer, ahead, body: Buffer.concat(pieces) };
}

async function get() {
  const answer = await fetch(`${url}/nginx/text.txt`, { headers });
  expect("the status", answer.status, 200);
  expect("the coding", answer.headers.get("content-encoding"), "gzip");
  expect("the length", (await answer.text()).length, 15_000);
}

async function range() {
  const answer = await fetch(`${url}/caddy/file.bin`, { headers: { ...headers, Range: "bytes=10-19" } });
  expect("the answer", [answer.status, (await answer.arrayBuffer()).byteLength], [206, 10]);
}

async function post() {
  const body = JSON.stringify({ text: "größer" });
  const answer = await fetch(`${url}/raw/upload`, { method: "POST", headers, body });
  expect("the digest", (await answer.json()).sha256, sha256(body));
}

async function stream() {
  const body = new ReadableStream({
    pull(controller) {
      this.sent = (this.sent ?? 0) + 1;
      controller.enqueue(new Uint8Array(10_000).fill(120));
      if (this.sent === 50) {
        controller.close();
      }
    },
  });
  const answer = await fetch(`${url}/raw/upload`, { method: "PUT", headers, body, duplex: "half" });
  expect("the digest", (await answer.json()).sha256, sha256("x".repeat(500_000)));
}

async function many() {
  const answers = await Promise.all(Array.from({ length: EACH }, () => fetch(`${url}/nginx/text.txt`, { headers })));
  const lengths = await Promise.all(answers.map(async (answer) => (await answer.text()).length));
  expect("the lengths", [...new Set(lengths)], [15_000]);
}

async function spent() {
  const answer = await fetch(`${url}/raw/head`, { headers: { Authorization: `Bearer ${spentKey}` } });
  expect("the answer", [answer.status, (await answer.json()).code], [402, "quota_exceeded"]);
}

async function hints() {
  const { answer, ahead, body } = await ask("/raw/hints");
  expect("the answer", [answer.statusCode, body.toString()], [200, "hello"]);
  expect("ahead of it", ahead, [
    [103, "</style.css>; rel=preload; as=style"],
    [103, "</script.js>; rel=preload; as=script"],
  ]);
}

async function trailersDown() {
  const { answer, body } = await ask("/raw/trailers", { headers: { ...headers, TE: "trailers" } });
  expect("the body", body.toString(), "hello");
  expect("behind it", answer.trailers, { "x-checksum": "5d41402a" });
}

async function trailersUp() {
  const fields = { ...headers, Trailer: "X-Sum", "Transfer-Encoding": "chunked" };
  const { body } = await ask("/raw/upload", { method: "PUT", headers: fields }, (request) => {
    request.write("hello");
    request.addTrailers({ "X-Sum": "1", "Faregate-Customer": "somebody" });
    request.end();
  });
  const seen = JSON.parse(body);
  expect("the digest", seen.sha256, sha256("hello"));
  expect("behind the body", seen.trailers, { "x-sum": "1" });
}

async function awaited() {
  const fields = { ...headers, Expect: "100-continue", "Content-Length": 5 };
  const { body } = await ask("/raw/upload", { method: "PUT", headers: fields }, (request) => {
    request.flushHeaders();
    request.once("continue", () => request.end("hello"));
  });
  expect("the digest", JSON.parse(body).sha256, sha256("hello"));
}

async function reuse() {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  const ports = [];
  for (let call = 0; call < 3; call += 1) {
    await ask("/raw/head", { agent }, (request) => {
      request.once("socket", (socket) => ports.push(socket));
      request.end();
    });
  }
  agent.destroy();
  expect("sockets", new Set(ports).size, 1);
}

async function main() {
  await tell("fetch: GET, compressed", 1, get);
  await tell("fetch: a range", 1, range);
  await tell("fetch: POST", 1, post);
  await tell("fetch: a body sent in pieces, chunked", 1, stream);
  await tell(`fetch: ${EACH} at once`, EACH, many);
  await tell("fetch: 402 is read", 0, spent);
  await tell("http: 103 Early Hints, two of them", 1, hints);
  await tell("http: trailers of an answer", 1, trailersDown);
  await tell("http: trailers of a request", 1, trailersUp);
  await tell("http: Expect: 100-continue", 1, awaited);
  await tell("http: a connection is used again", 3, reuse);
}

// What a failed case leaves open must not hold the program.
main().then(() => process.exit(0));
