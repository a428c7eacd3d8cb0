"""The cases of grpcio: TARGET, KEY, KEY of a customer whose quota is used up; behind them, within TLS, whom to trust."""

import asyncio
import sys
from pathlib import Path

import grpc
from tell import expect, tell

TARGET, KEY, SPENT = sys.argv[1:4]
OPTIONS = [("grpc.max_receive_message_length", 64 << 20)]
SERVICE = "/grpc/test.Echo/"


def keyed(key=KEY):
    return (("authorization", f"Bearer {key}"),)


async def unary(channel):
    call = channel.unary_unary(SERVICE + "Unary")(b"question", metadata=keyed(), timeout=10)
    expect("the answer", await call, b"question")
    expect("what stands before it", dict(await call.initial_metadata())["x-own"], "1")
    expect("what stands behind it", dict(await call.trailing_metadata())["x-sum"], "8")


async def many(channel):
    ask = channel.unary_unary(SERVICE + "Unary")
    answers = await asyncio.gather(*(ask(str(number).encode(), metadata=keyed()) for number in range(50)))
    expect("the answers", answers, [str(number).encode() for number in range(50)])


async def large(channel):
    message = bytes(range(256)) * (5 << 12)
    expect("the answer", await channel.unary_unary(SERVICE + "Unary")(message, metadata=keyed()) == message, True)


async def count(channel):
    answers = [message async for message in channel.unary_stream(SERVICE + "Count")(b"200", metadata=keyed())]
    expect("the answers", answers, [str(number).encode() for number in range(200)])


async def gather(channel):
    call = channel.stream_unary(SERVICE + "Gather")(iter([b"a", b"b", b"c"]), metadata=keyed())
    expect("the answer", await call, b"abc")


async def talk(channel):
    call = channel.stream_stream(SERVICE + "Talk")(metadata=keyed())
    for number in range(100):
        await call.write(str(number).encode())
        expect("the answer", await call.read(), str(number).encode())
    await call.done_writing()
    expect("the end", await call.read(), grpc.aio.EOF)
    expect("the status", await call.code(), grpc.StatusCode.OK)


async def cancelled(channel):
    call = channel.stream_stream(SERVICE + "Talk")(metadata=keyed())
    await call.write(b"one")
    await call.read()
    call.cancel()
    expect("the status", await call.code(), grpc.StatusCode.CANCELLED)


async def failed(channel, name):
    await refused(channel.unary_unary(SERVICE + "Fail")(name.encode(), metadata=keyed()), name, None)


async def late(channel):
    call = channel.unary_unary(SERVICE + "Sleep")(b"5", metadata=keyed(), timeout=0.3)
    # The gateway knows the deadline too, and may be the first to say so.
    await refused(call, "DEADLINE_EXCEEDED", None, "upstream_timeout")


async def refused(call, status, *codes):
    try:
        await call
    except grpc.aio.AioRpcError as error:
        expect("the status", error.code().name, status)
        metadata = {**dict(error.initial_metadata()), **dict(error.trailing_metadata())}
        expect("the code is one of these", metadata.get("faregate-code") in codes, True)
        if status == "NOT_FOUND":
            expect("the message", error.details(), "as asked: 100 % of ü")
    else:
        raise AssertionError("it is answered")


def question(channel, path, key):
    return channel.unary_unary(path)(b"question", metadata=keyed(key), timeout=10)


def connect():
    if len(sys.argv) == 4:
        return grpc.aio.insecure_channel(TARGET, options=OPTIONS)
    credentials = grpc.ssl_channel_credentials(Path(sys.argv[4]).read_bytes())
    return grpc.aio.secure_channel(TARGET, credentials, options=OPTIONS)


async def main():
    async with connect() as channel:
        await tell("a call", 1, unary(channel))
        await tell("50 calls at once", 50, many(channel))
        await tell("messages of 5 MiB", 1, large(channel))
        await tell("an answer of 200 messages", 1, count(channel))
        await tell("a question of three messages", 1, gather(channel))
        await tell("100 messages to and fro", 1, talk(channel))
        await tell("a stream that is cancelled", 1, cancelled(channel))
        for name, charged in [("NOT_FOUND", 1), ("INVALID_ARGUMENT", 1), ("INTERNAL", 0), ("UNAVAILABLE", 0)]:
            await tell(f"{name} of the server's", charged, failed(channel, name))
        await tell("a deadline that passes", 1, late(channel))
        path = SERVICE + "Unary"
        await tell("an unknown key", 0, refused(question(channel, path, "no"), "UNAUTHENTICATED", "invalid_api_key"))
        await tell("a quota used up", 0, refused(question(channel, path, SPENT), "RESOURCE_EXHAUSTED", "quota_exceeded"))
        nowhere = refused(question(channel, "/nowhere/Unary", KEY), "UNIMPLEMENTED", "route_not_found")
        await tell("a method that no route takes", 0, nowhere)


asyncio.run(main())
