// WebSockets of `ws` on streams of Node's `http2` (RFC 8441). `ws` opens none there, so what opens one is here, and all
// that is said on it is its own. One session carries them all.
"use strict";

const { EventEmitter, once } = require("node:events");
const http2 = require("node:http2");
const { WebSocket } = require("ws");

let session;

/** Returns the session, once the other side has said that it takes an extended CONNECT. */
async function opened(origin) {
  if (!session) {
    session = http2.connect(origin);
    session.on("error", () => {});
    await once(session, "remoteSettings");
  }
  if (!session.remoteSettings.enableConnectProtocol) {
    throw new Error("SETTINGS_ENABLE_CONNECT_PROTOCOL is not set");
  }
  return session;
}

/** Asks for one; it tells of itself by the events of `ws`. */
function connect(url, headers, { protocolVersion = 13 } = {}) {
  const { host, pathname } = new URL(url);
  // The time to be closed is what one that `ws` opens itself has.
  const socket = new WebSocket(null, undefined, { autoPong: true, closeTimeout: 30_000 });
  // It has come from no server of `ws`, and masks what it says.
  socket._isServer = false;
  const ask = async () => {
    const stream = (await opened(`http://${host}`)).request(
      {
        ":method": "CONNECT",
        ":protocol": "websocket",
        ":scheme": "http",
        ":authority": host,
        ":path": pathname,
        "sec-websocket-version": protocolVersion,
        ...headers,
      },
      { endStream: false },
    );
    const [answer] = await once(stream, "response");
    if (answer[":status"] === 200) {
      socket.setSocket(stream, Buffer.alloc(0), { allowSynchronousEvents: true, maxPayload: 0 });
      return;
    }
    const told = Object.assign(stream, { statusCode: answer[":status"], headers: answer });
    socket.emit("unexpected-response", { destroy: () => stream.close() }, told);
  };
  ask().catch((error) => EventEmitter.prototype.emit.call(socket, "error", error));
  return socket;
}

/** Makes a GET on the same session and returns its status. */
async function get(url, headers) {
  const { host, pathname } = new URL(url);
  const stream = (await opened(`http://${host}`)).request({ ":path": pathname, ...headers });
  const [answer] = await once(stream, "response");
  stream.resume();
  return answer[":status"];
}

module.exports = { connect, get };
