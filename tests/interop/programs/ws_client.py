"""The WebSocket cases of `websockets`: URL, KEY; with `closed`, how it is closed from afar; with `spend`, after
how many messages."""

import asyncio
import sys
import time

import websockets
from tell import expect, say, tell

URL, KEY = sys.argv[1:3]


def connect(**options):
    headers = {"Authorization": f"Bearer {KEY}"}
    return websockets.connect(URL, additional_headers=headers, max_size=2**22, proxy=None, **options)


async def echoed(message, **options):
    async with connect(**options) as socket:
        await socket.send(message)
        expect("the echo", await socket.recv(), "".join(message) if isinstance(message, list) else message)


async def ping():
    async with connect() as socket:
        await asyncio.wait_for(await socket.ping(b"from the client"), 5)
        await socket.send("ping")
        expect("the answer", await socket.recv(), "the pong came")


async def fragments():
    await echoed(["one ", "two ", "three"])
    async with connect() as socket:
        await socket.send("fragments")
        # The library ends what it sends in parts with an empty one.
        parts = [part async for part in socket.recv_streaming() if part]
        expect("the parts", parts, ["one ", "two ", "three"])


async def closed_by_client():
    async with connect() as socket:
        await socket.close(4001, "client-leaves")
    expect("the code that came back", (socket.close_code, socket.close_reason), (4001, "client-leaves"))
    async with connect() as socket:
        # The server notes it only when the connection is gone; until then it tells of the one before.
        seen = None
        while seen != "4001 client-leaves":
            await socket.send("last")
            seen = await socket.recv()


async def closed_by_server():
    async with connect() as socket:
        await socket.send("close 4002 server-leaves")
        await socket.wait_closed()
    expect("the code", (socket.close_code, socket.close_reason), (4002, "server-leaves"))


async def refused():
    global KEY
    kept, KEY = KEY, "none"
    try:
        await echoed("x")
    except websockets.InvalidStatus as error:
        expect("the status", error.response.status_code, 401)
        expect("the code", b'"code":"invalid_api_key"' in error.response.body, True)
    else:
        raise AssertionError("it was opened")
    finally:
        KEY = kept


async def closed():
    async with connect() as socket:
        await socket.send("x")
        await socket.recv()
        say({"open": True})
        begin = time.monotonic()
        await socket.wait_closed()
    say({"code": socket.close_code, "reason": socket.close_reason, "seconds": time.monotonic() - begin})


async def spend():
    count = 0
    async with connect() as socket:
        say({"open": True})
        try:
            while True:
                await socket.send(["in ", "pieces"])
                await socket.recv()
                count += 1
        except websockets.ConnectionClosed:
            pass
    say({"code": socket.close_code, "reason": socket.close_reason, "echoed": count})


async def main():
    if sys.argv[3:] == ["spend"]:
        await spend()
        return
    if sys.argv[3:] == ["closed"]:
        await closed()
        return
    await tell("text", 1, echoed("größer"))
    await tell("text without compression", 1, echoed("größer", compression=None))
    await tell("binary, 1 MiB", 1, echoed(bytes(range(256)) * 4096))
    await tell("fragments, both ways", 2, fragments())
    await tell("ping and pong, both ways", 1, ping())
    await tell("closed by the client, 4001", 2, closed_by_client())
    await tell("closed by the server, 4002", 1, closed_by_server())
    await tell("401 before it is opened", 0, refused())


asyncio.run(main())
