"""A gRPC server: PORT. Its messages are bytes, and its methods do what their names say. By SIGUSR1 its health service
says that it is not serving, by SIGUSR2 that it is again."""

import asyncio
import signal
import sys

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc


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


TASKS = set()
METHODS = {
    "Unary": grpc.unary_unary_rpc_method_handler(unary),
    "Count": grpc.unary_stream_rpc_method_handler(count),
    "Talk": grpc.stream_stream_rpc_method_handler(talk),
    "Gather": grpc.stream_unary_rpc_method_handler(gather),
    "Fail": grpc.unary_unary_rpc_method_handler(fail),
    "Sleep": grpc.unary_unary_rpc_method_handler(sleep),
}


def tell(servicer, status):
    value = health_pb2.HealthCheckResponse.ServingStatus.Value(status)
    task = asyncio.ensure_future(servicer.set("test.Echo", value))
    # The loop alone would not keep it.
    TASKS.add(task)
    task.add_done_callback(TASKS.discard)


async def main():
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", 64 << 20)])
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Echo", METHODS),))
    servicer = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    await servicer.set("test.Echo", health_pb2.HealthCheckResponse.SERVING)
    for number, status in [(signal.SIGUSR1, "NOT_SERVING"), (signal.SIGUSR2, "SERVING")]:
        asyncio.get_running_loop().add_signal_handler(number, tell, servicer, status)
    server.add_insecure_port(f"127.0.0.1:{sys.argv[1]}")
    await server.start()
    await server.wait_for_termination()


asyncio.run(main())
