"""gRPC: grpcio on both sides, and grpc-js before it."""

from cases import Missing
from clients import python, told


def run(cases, servers, gateway, _directory):
    """Runs all cases, and compares the books."""
    through(cases, servers, gateway, f"127.0.0.1:{gateway.port}", "")


def through(cases, servers, gateway, target, client, *trusted):
    """Runs all cases by what stands at a target, within TLS where a certificate is trusted."""
    for library, find, program in [
        ("grpcio", lambda: (servers.python(), None), "grpc_client.py"),
        ("grpc-js", lambda: quiet(*servers.node()), "grpc_client.cjs"),
    ]:
        name = library + client
        customer, spent = gateway.customer(), python.spend(gateway)
        try:
            servers.need("grpc")
            interpreter, environment = find()
        except Missing as missing:
            cases.tell_missing(name, "grpcio", "all", str(missing))
            continue
        command = [interpreter, str(servers.here / "programs" / program), target, customer.key, spent.key]
        told.run(cases, customer, name, "grpcio", [*command, *map(str, trusted)], environment)
        cases.run(name, "grpcio", "the books", customer.check_books)
        cases.run(name, "grpcio", "the books of whose quota is used up", spent.check_books)


def quiet(node, environment):
    """Returns how Node is started without its warnings, such as that an address is no name for TLS."""
    return node, {**environment, "NODE_NO_WARNINGS": "1"}
