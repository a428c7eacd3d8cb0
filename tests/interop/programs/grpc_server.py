"""A gRPC server: PORT. Its messages are bytes, and its methods do what their names say."""

import asyncio
import sys

import grpc


async def unary(message, context):
    await context.send_initial_metadata((("x-own", "1"),))
    context.set_trailing_metadata((("x-sum", str(len(message))),))
    return message


async def count(message, _context):
    for number in range(int(message)):
        yield str(number).encode()


async def talk(messages, _context):
    async for message in messages:
        yield message


async def gather(messages, _context):
    return b"".join([message async for message in messages])


async def fail(message, context):
    await context.abort(grpc.StatusCode[message.decode()], "as asked: 100 % of ü")


async def sleep(message, _context):
    await asyncio.sleep(float(message))
    return message


METHODS = {
    "Unary": grpc.unary_unary_rpc_method_handler(unary),
    "Count": grpc.unary_stream_rpc_method_handler(count),
    "Talk": grpc.stream_stream_rpc_method_handler(talk),
    "Gather": grpc.stream_unary_rpc_method_handler(gather),
    "Fail": grpc.unary_unary_rpc_method_handler(fail),
    "Sleep": grpc.unary_unary_rpc_method_handler(sleep),
}


async def main():
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", 64 << 20)])
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Echo", METHODS),))
    server.add_insecure_port(f"127.0.0.1:{sys.argv[1]}")
    await server.start()
    await server.wait_for_termination()


asyncio.run(main())
