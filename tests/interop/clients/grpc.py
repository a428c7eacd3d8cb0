"""gRPC: grpcio on both sides."""

from cases import Missing
from clients import python, told


def run(cases, servers, gateway, _directory):
    """Runs all cases, and compares the books."""
    customer, spent = gateway.customer(), python.spend(gateway)
    try:
        servers.need("grpc")
        interpreter = servers.python()
    except Missing as missing:
        return cases.tell_missing("grpcio", "grpcio", "all", str(missing))
    program = str(servers.here / "programs" / "grpc_client.py")
    command = [interpreter, program, f"127.0.0.1:{gateway.port}", customer.key, spent.key]
    told.run(cases, customer, "grpcio", "grpcio", command, None)
    cases.run("grpcio", "grpcio", "the books", customer.check_books)
    cases.run("grpcio", "grpcio", "the books of whose quota is used up", spent.check_books)
