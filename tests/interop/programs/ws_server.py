"""A WebSocket server that sends back what comes, and does what some texts ask for."""

import asyncio
import sys

import websockets


async def main(port):
    last = "none"

    async def serve(socket):
        nonlocal last
        try:
            async for message in socket:
                match message.split(" ", 2) if isinstance(message, str) else []:
                    case ["close", code, reason]:
                        await socket.close(int(code), reason)
                    case ["fragments"]:
                        await socket.send(["one ", "two ", "three"])
                    case ["last"]:
                        await socket.send(last)
                    case ["ping"]:
                        await (await socket.ping(b"from the server"))
                        await socket.send("the pong came")
                    case _:
                        await socket.send(message)
        finally:
            last = f"{socket.close_code} {socket.close_reason}"

    async with websockets.serve(serve, "127.0.0.1", port, max_size=2**22):
        await asyncio.get_running_loop().create_future()


asyncio.run(main(int(sys.argv[1])))
