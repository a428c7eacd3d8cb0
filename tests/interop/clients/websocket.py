"""WebSocket: each client with each server."""

from cases import expect, Missing, wait_for
from clients import told

SERVERS = ["websockets", "ws"]


def run(cases, servers, gateway, _directory):
    """Runs all cases, and compares the books after each pair."""
    for client in SERVERS:
        for server in SERVERS:
            try:
                command, environment = command_of(servers, client)
                servers.need(server)
            except Missing as missing:
                cases.tell_missing(client, server, "all", str(missing))
                continue
            url = gateway.url(f"/{server}/chat", scheme="ws")
            customer = gateway.customer()
            told.run(cases, customer, client, server, [*command, url, customer.key], environment)
            cases.run(client, server, "the books", customer.check_books)
            revoking = gateway.customer()
            cases.run(
                client, server, "closed when the key is revoked: 1008", revoked, revoking,
                [*command, url, revoking.key, "revoked"], environment,
            )  # fmt: skip


def command_of(servers, client):
    """Returns how a client is started."""
    programs = servers.here / "programs"
    if client == "websockets":
        return [servers.python(), str(programs / "ws_client.py")], None
    node, environment = servers.node()
    return [node, str(programs / "ws_client.cjs")], environment


def revoked(customer, command, environment):
    customer.calls += 1
    process, said = told.lines(command, environment)
    try:
        expect("the beginning", next(said), {"open": True})
        customer.revoke()
        end = next(said)
        expect("the close", (end["code"], end["reason"]), (1008, "api_key_revoked"))
        # A second is promised; the machine may be busy.
        expect("the close within 3 s", end["seconds"] < 3, True)
        wait_for("the program's end", lambda: process.poll() is not None)
    finally:
        process.kill()
        process.wait()
    customer.check_books()
