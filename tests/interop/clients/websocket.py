"""WebSocket: each client with each server, and `ws` on streams of HTTP/2 too."""

from cases import expect, Missing, wait_for
from clients import told
from gateway import Gateway

SERVERS = ["websockets", "ws"]
# How a URL begins by which a client opens them.
CLIENTS = {"websockets": "ws", "ws": "ws", "ws, h2": "h2"}


def run(cases, servers, gateway, directory):
    """Runs all cases, and compares the books after each pair."""
    for client, scheme in CLIENTS.items():
        for server in SERVERS:
            try:
                command, environment = command_of(servers, client)
                servers.need(server)
            except Missing as missing:
                cases.tell_missing(client, server, "all", str(missing))
                continue
            url = gateway.url(f"/{server}/chat", scheme=scheme)
            customer = gateway.customer()
            told.run(cases, customer, client, server, [*command, url, customer.key], environment)
            cases.run(client, server, "the books", customer.check_books)
            cases.run(
                client, server, "closed when the key is revoked: 1008",
                revoked, gateway.customer(), url, command, environment,
            )  # fmt: skip
            by_message = gateway.url(f"/by-message/{server}/chat", scheme=scheme)
            cases.run(
                client, server, "each message is paid for, to the last: 1008",
                spent, gateway.customer("two"), by_message, command, environment, "spend",
            )  # fmt: skip
            by_time = gateway.url(f"/by-time/{server}/chat", scheme=scheme)
            cases.run(
                client, server, "each second is paid for, to the last: 1008",
                spent, gateway.customer("two"), by_time, command, environment, "closed",
            )  # fmt: skip
            other = directory / f"gateway-{client.replace(', ', '-')}-{server}"
            cases.run(
                client, server, "closed when the gateway stops: 1001",
                stopped, servers, gateway.binary, other, server, scheme, command, environment,
            )  # fmt: skip


def command_of(servers, client):
    """Returns how a client is started."""
    programs = servers.here / "programs"
    if client == "websockets":
        return [servers.python(), str(programs / "ws_client.py")], None
    node, environment = servers.node()
    return [node, str(programs / "ws_client.cjs")], environment


def revoked(customer, url, command, environment):
    customer.calls += 1
    end = closed([*command, url, customer.key, "closed"], environment, customer.revoke)
    expect("the close", (end["code"], end["reason"]), (1008, "api_key_revoked"))
    # A second is promised; the machine may be busy.
    expect("the close within 3 s", end["seconds"] < 3, True)
    customer.check_books()


def spent(customer, url, command, environment, mode):
    customer.calls += 2
    end = closed([*command, url, customer.key, mode], environment, lambda: None)
    expect("the close", (end["code"], end["reason"]), (1008, "quota_exceeded"))
    expect("the messages that came back", end.get("echoed", 2), 2)
    customer.check_books()


def stopped(servers, binary, directory, server, scheme, command, environment):
    gateway = Gateway(servers.processes, binary, directory, servers.ports)
    url = gateway.url(f"/{server}/chat", scheme=scheme)
    end = closed([*command, url, gateway.customer().key, "closed"], environment, gateway.process.terminate)
    expect("the code", end["code"], 1001)
    expect("the gateway's end", gateway.process.wait(), 0)


def closed(command, environment, close):
    """Runs a client program that waits to be closed, does what closes it, and returns what it saw."""
    process, said = told.lines(command, environment)
    try:
        expect("the beginning", next(said), {"open": True})
        close()
        end = next(said)
        wait_for("the program's end", lambda: process.poll() is not None)
        return end
    finally:
        process.kill()
        process.wait()
