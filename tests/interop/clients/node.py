"""Node: its fetch, and `node:http` for what fetch does not show."""

from cases import Missing
from clients import python, told


def run(cases, servers, gateway, _directory):
    """Runs all cases, and compares the books."""
    customer, spent = gateway.customer(), python.spend(gateway)
    try:
        servers.need("nginx", "caddy")
        node, environment = servers.node()
    except Missing as missing:
        cases.tell_missing("node", "all", "all", str(missing))
        return
    command = [node, str(servers.here / "programs" / "http_client.cjs"), gateway.url(""), customer.key, spent.key]
    told.run(cases, customer, "node", "all", command, environment)
    cases.run("node", "all", "the books", customer.check_books)
    cases.run("node", "all", "the books of whose quota is used up", spent.check_books)
