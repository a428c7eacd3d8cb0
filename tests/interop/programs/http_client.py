"""The cases of `httpx`: URL, KEY, KEY of a customer whose quota is used up."""

import asyncio
import hashlib
import sys

import httpx
from tell import expect, tell

URL, KEY, SPENT = sys.argv[1:4]
EACH = 20


def client(key=KEY):
    return httpx.AsyncClient(
        base_url=URL, headers={"Authorization": f"Bearer {key}"}, timeout=10, trust_env=False
    )


async def get():
    async with client() as http:
        answer = await http.get("/nginx/text.txt")
        expect("the status", answer.status_code, 200)
        # It asks for compression of its own accord.
        expect("the coding", answer.headers["content-encoding"], "gzip")
        expect("the length", len(answer.text), 15_000)
        expect("the cost", answer.headers["faregate-cost"], "1")


async def head():
    async with client() as http:
        answer = await http.head("/caddy/file.bin")
        expect("the answer", (answer.status_code, answer.headers["content-length"]), (200, str(5 << 20)))
        # The connection can still be used.
        expect("the next one", (await http.get("/raw/chunked")).text, "hello world")


async def stream_down():
    async with client() as http:
        async with http.stream("GET", "/nginx/file.bin") as answer:
            size = 0
            async for piece in answer.aiter_bytes():
                size += len(piece)
        expect("the size", size, 5 << 20)


async def stream_up():
    async def pieces():
        for _ in range(50):
            yield b"x" * 10_000

    async with client() as http:
        answer = await http.put("/raw/upload", content=pieces())
        expect("the digest", answer.json()["sha256"], hashlib.sha256(b"x" * 500_000).hexdigest())


async def many():
    async with client() as http:
        answers = await asyncio.gather(*(http.get("/nginx/text.txt") for _ in range(EACH)))
        expect("the statuses", {answer.status_code for answer in answers}, {200})
        ids = {answer.headers["x-request-id"] for answer in answers}
        expect("different request ids", len(ids), EACH)


async def spent():
    async with client(SPENT) as http:
        answer = await http.get("/nginx/text.txt")
        expect("the status", answer.status_code, 402)
        expect("the code", answer.json()["code"], "quota_exceeded")
        expect("the link", answer.links["payment"]["url"], "https://example.com/billing")


async def main():
    await tell("GET, compressed", 1, get())
    await tell("HEAD, and GET behind it", 2, head())
    await tell("a body read in pieces", 1, stream_down())
    await tell("a body sent in pieces, chunked", 1, stream_up())
    await tell(f"{EACH} at once", EACH, many())
    await tell("402 is read, with its link", 0, spent())


asyncio.run(main())
