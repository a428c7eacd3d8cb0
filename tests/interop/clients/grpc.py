"""gRPC: grpcio on both sides, and grpc-js before it; and grpcio's health service, which the gateway asks."""

import signal

from cases import Missing, expect_in, wait_for
from clients import python, told


def run(cases, servers, gateway, directory):
    """Runs all cases, and compares the books."""
    what = "checks by its health service: not serving, and back"
    cases.run("faregate", "grpcio", what, health, servers, gateway, directory)
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


def health(servers, gateway, directory):
    servers.need("grpc")
    log = directory / "gateway.log"

    def is_healthy():
        return gateway.metrics("faregate_upstream_endpoint_healthy", 'upstream="grpc"') == [1.0]

    def has_passed():
        return gateway.metrics("faregate_upstream_health_checks_total", 'upstream="grpc"', 'result="passed"') > [1.0]

    wait_for("checks that pass", lambda: has_passed() and is_healthy())
    servers.grpc.send_signal(signal.SIGUSR1)
    wait_for("checks that fail", lambda: not is_healthy())
    told = [line for line in log.read_text().splitlines() if "fails its health checks" in line]
    expect_in("the log", "it says that the service is not serving", told[-1])
    servers.grpc.send_signal(signal.SIGUSR2)
    wait_for("checks that pass again", is_healthy)


def quiet(node, environment):
    """Returns how Node is started without its warnings, such as that an address is no name for TLS."""
    return node, {**environment, "NODE_NO_WARNINGS": "1"}
