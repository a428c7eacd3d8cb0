"""Opens TLS connections without resumption, one request on each, from several processes.

Arguments: port, path, key, seconds, processes. Prints JSON.
"""

import json
import multiprocessing
import socket
import ssl
import sys
import time


def work(port, path, key, seconds, results):
    """One process: a connection after the other until the time is over."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
    request = f"{request}X-Api-Key: {key}\r\nConnection: close\r\n\r\n".encode()
    told = {"requests": 0, "refused": 0, "errors": 0, "resumed": 0}
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            status, resumed = call(context, port, request)
        except OSError:
            told["errors"] += 1
            continue
        told["requests"] += 1
        told["refused"] += status != 200
        told["resumed"] += resumed
    results.put(told)


def call(context, port, request):
    """One connection: its status, and whether its session was an old one."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
        # Else the request waits for the acknowledgement of the handshake's end, which may be delayed.
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with context.wrap_socket(plain) as connection:
            connection.sendall(request)
            received = b""
            while True:
                try:
                    got = connection.recv(65536)
                except ssl.SSLEOFError:
                    break
                if not got:
                    break
                received += got
            return int(received[9:12]), bool(connection.session_reused)


def main():
    """Starts the processes and adds up what they saw."""
    port, path, key = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    seconds, number = float(sys.argv[4]), int(sys.argv[5])
    results = multiprocessing.Queue()
    arguments = (port, path, key, seconds, results)
    workers = [multiprocessing.Process(target=work, args=arguments, daemon=True) for _ in range(number)]
    for worker in workers:
        worker.start()
    told = [results.get(timeout=seconds + 60) for _ in workers]
    for worker in workers:
        worker.join()
    print(json.dumps({name: sum(one[name] for one in told) for name in told[0]}))


main()
