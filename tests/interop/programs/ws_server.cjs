// A WebSocket server that sends back what comes, and does what some texts ask for.
"use strict";

const { WebSocketServer } = require("ws");

let last = "none";
const server = new WebSocketServer({ host: "127.0.0.1", port: Number(process.argv[2]), perMessageDeflate: true });

server.on("connection", (socket) => {
  socket.on("close", (code, reason) => {
    last = `${code} ${reason}`;
  });
  socket.on("message", (data, binary) => {
    const [word, code, reason] = binary ? [] : data.toString().split(" ");
    if (word === "close") {
      socket.close(Number(code), reason);
    } else if (word === "fragments") {
      socket.send("one ", { fin: false });
      socket.send("two ", { fin: false });
      socket.send("three");
    } else if (word === "last") {
      socket.send(last);
    } else if (word === "ping") {
      socket.once("pong", (payload) => {
        socket.send(payload.toString() === "from the server" ? "the pong came" : "another pong came");
      });
      socket.ping("from the server");
    } else {
      socket.send(data, { binary });
    }
  });
});
