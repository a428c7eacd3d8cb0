"""The cases of `httpx` by HTTP/2: URL, KEY, KEY of a customer whose quota is used up."""

import asyncio
import hashlib
import sys

import httpx
from tell import expect, tell

URL, KEY, SPENT = sys.argv[1:4]
EACH = 50


def client(key=KEY):
    return httpx.AsyncClient(
        base_url=URL,
        headers={"Authorization": f"Bearer {key}"},
        timeout=10,
        trust_env=False,
        http1=False,
        http2=True,
    )


async def get():
    async with client() as http:
        answer = await http.get("/nginx/text.txt")
        expect("the answer", (answer.status_code, answer.http_version), (200, "HTTP/2"))
        expect("the length", len(answer.text), 15_000)
        expect("the cost", answer.headers["faregate-cost"], "1")


async def many():
    async with client() as http:
        answers = await asyncio.gather(*(http.get("/caddy/text.txt") for _ in range(EACH)))
        expect("the answers", {(answer.status_code, len(answer.text)) for answer in answers}, {(200, 15_000)})


async def file():
    async with client() as http:
        expect("the size", len((await http.get("/nginx/file.bin")).content), 5 << 20)


async def upload():
    body = b"x" * (5 << 20)
    async with client() as http:
        answer = await http.post("/raw/upload", content=body)
        expect("the digest", answer.json()["sha256"], hashlib.sha256(body).hexdigest())


async def refused():
    async with client(SPENT) as http:
        for _ in range(2):
            answer = await http.get("/raw/head")
            expect("the answer", (answer.status_code, answer.json()["code"]), (402, "quota_exceeded"))


async def main():
    await tell("GET", 1, get())
    await tell(f"{EACH} calls at once on a connection", EACH, many())
    await tell("a file of 5 MiB", 1, file())
    await tell("a body of 5 MiB", 1, upload())
    await tell("402, and the connection goes on", 0, refused())


asyncio.run(main())
