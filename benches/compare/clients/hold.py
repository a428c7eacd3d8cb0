"""Opens connections, sends one request on each, and holds them until its standard input ends.

Arguments: port, path, key, number of connections. Prints `held N`, and at the end `open N`.
"""

import resource
import socket
import sys

_, HARD = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (HARD, HARD))


def exchange(connection, request):
    """Sends a request and reads the whole answer; its status."""
    connection.sendall(request)
    received = b""
    while b"\r\n\r\n" not in received:
        received += receive(connection)
    head, body = received.split(b"\r\n\r\n", 1)
    length = int(head.lower().split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
    while len(body) < length:
        body += receive(connection)
    return int(head[9:12])


def receive(connection):
    """Some bytes; an end is an error."""
    got = connection.recv(65536)
    if not got:
        sys.exit("closed by the other side")
    return got


def is_open(connection):
    """Whether the other side has not closed it."""
    connection.setblocking(False)
    try:
        return bool(connection.recv(1))
    except BlockingIOError:
        return True
    except OSError:
        return False


def main():
    """Opens, holds, looks again."""
    port, path, key, number = int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nX-Api-Key: {key}\r\n\r\n".encode()
    held = []
    for _ in range(number):
        connection = socket.create_connection(("127.0.0.1", port), timeout=10)
        status = exchange(connection, request)
        if status != 200:
            sys.exit(f"answered {status}")
        held.append(connection)
    print(f"held {len(held)}", flush=True)
    sys.stdin.read()
    print(f"open {sum(is_open(connection) for connection in held)}", flush=True)


main()
