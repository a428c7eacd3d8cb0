// The WebSocket cases of `ws`: URL, KEY; with `closed`, how it is closed from afar; with `spend`, after
// how many messages. A URL of `h2:` has them on streams of HTTP/2.
"use strict";

const { once } = require("node:events");
const { WebSocket } = require("ws");
const { expect, say, tell } = require("./tell.cjs");
const streams = require("./ws_over_h2.cjs");

const [given, key, mode] = process.argv.slice(2);
const onStreams = given.startsWith("h2:");
const url = given.replace(/^h2:/, "ws:");

function connect(options = {}, credential = key) {
  if (onStreams) {
    return streams.connect(url, { authorization: `Bearer ${credential}` }, options);
  }
  return new WebSocket(url, { headers: { Authorization: `Bearer ${credential}` }, ...options });
}

async function open(options) {
  const socket = connect(options);
  await once(socket, "open");
  return socket;
}

async function closing(socket) {
  const [code, reason] = await once(socket, "close");
  return [code, reason.toString()];
}

async function close(socket) {
  const closed = closing(socket);
  socket.close(1000);
  await closed;
}

/** Sends a text and returns the answer. */
async function ask(socket, text) {
  socket.send(text);
  const [data] = await once(socket, "message");
  return data.toString();
}

async function echoed(text, options) {
  const socket = await open(options);
  expect("the echo", await ask(socket, text), text);
  await close(socket);
}

async function binary() {
  const socket = await open();
  const content = Buffer.alloc(1 << 20, Buffer.from([...Array(256).keys()]));
  socket.send(content);
  const [data, isBinary] = await once(socket, "message");
  expect("the echo", [isBinary, data.equals(content)], [true, true]);
  await close(socket);
}

async function fragments() {
  const socket = await open();
  socket.send("one ", { fin: false });
  socket.send("two ", { fin: false });
  expect("ours", await ask(socket, "three"), "one two three");
  expect("the server's", await ask(socket, "fragments"), "one two three");
  await close(socket);
}

async function ping() {
  const socket = await open();
  socket.ping("from the client");
  const [payload] = await once(socket, "pong");
  expect("the pong", payload.toString(), "from the client");
  expect("the answer", await ask(socket, "ping"), "the pong came");
  await close(socket);
}

async function closedByClient() {
  const socket = await open();
  const closed = closing(socket);
  socket.close(4001, "client-leaves");
  expect("the code that came back", (await closed)[0], 4001);
  const another = await open();
  // The server notes it only when the connection is gone; until then it tells of the one before.
  let seen;
  while (seen !== "4001 client-leaves") {
    seen = await ask(another, "last");
  }
  await close(another);
}

async function closedByServer() {
  const socket = await open();
  const closed = closing(socket);
  socket.send("close 4002 server-leaves");
  expect("the code", await closed, [4002, "server-leaves"]);
}

/** RFC 6455 section 4.4. */
async function olderVersion() {
  const [request, answer] = await once(connect({ protocolVersion: 8 }), "unexpected-response");
  expect("the version", answer.headers["sec-websocket-version"], "13");
  request.destroy();
}

async function refused() {
  const [request, answer] = await once(connect({}, "none"), "unexpected-response");
  expect("the status", answer.statusCode, 401);
  let body = "";
  for await (const piece of answer) {
    body += piece;
  }
  expect("the code", JSON.parse(body).code, "invalid_api_key");
  request.destroy();
}

/** Several at once share the session, with a call that is none. */
async function together() {
  const sockets = await Promise.all([1, 2, 3, 4, 5].map(() => open()));
  const answers = await Promise.all(sockets.map((socket, index) => ask(socket, `text ${index}`)));
  expect("the echoes", answers, sockets.map((_, index) => `text ${index}`));
  expect("a call beside them", await streams.get(url, { authorization: "Bearer none" }), 401);
  await Promise.all(sockets.map(close));
}

async function closed() {
  const socket = await open();
  await ask(socket, "x");
  say({ open: true });
  const begin = performance.now();
  const [code, reason] = await closing(socket);
  say({ code, reason, seconds: (performance.now() - begin) / 1000 });
}

async function spend() {
  const socket = await open();
  say({ open: true });
  let echoed = 0;
  const closed = closing(socket);
  const send = () => {
    socket.send("in ", { fin: false });
    socket.send("pieces");
  };
  socket.on("message", () => {
    echoed += 1;
    send();
  });
  send();
  const [code, reason] = await closed;
  say({ code, reason, echoed });
}

async function main() {
  if (mode === "spend") {
    await spend();
    return;
  }
  if (mode === "closed") {
    await closed();
    return;
  }
  await tell("text", 1, () => echoed("größer"));
  if (onStreams) {
    await tell("five at once on one connection", 5, together);
  } else {
    await tell("text without compression", 1, () => echoed("größer", { perMessageDeflate: false }));
  }
  await tell("binary, 1 MiB", 1, binary);
  await tell("fragments, both ways", 1, fragments);
  await tell("ping and pong, both ways", 1, ping);
  await tell("closed by the client, 4001", 2, closedByClient);
  await tell("closed by the server, 4002", 1, closedByServer);
  await tell("401 before it is opened", 0, refused);
  await tell("version 8 is told which there is", 0, olderVersion);
}

// What a failed case leaves open must not hold the program.
main().then(() => process.exit(0));
